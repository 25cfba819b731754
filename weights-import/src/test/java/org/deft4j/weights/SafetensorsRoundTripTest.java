package org.deft4j.weights;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Random tensors of random types and shapes survive a file. */
class SafetensorsRoundTripTest {
  record Spec(String name, DType type, List<Long> sizes) {}

  @Provide
  Arbitrary<List<Spec>> specs() {
    Arbitrary<String> names = Arbitraries.strings().all().ofMaxLength(12)
        .filter(name -> name.codePoints().noneMatch(c -> c >= 0xD800 && c <= 0xDFFF) && !name.equals("__metadata__"));
    Arbitrary<List<Long>> shapes = Arbitraries.longs().between(0, 5).list().ofMaxSize(4);
    return Combinators.combine(names, Arbitraries.of(DType.values()), shapes).as(Spec::new).list().ofMaxSize(8)
        .uniqueElements(Spec::name);
  }

  @Property(tries = 150, seed = "1")
  void tensorsSurvive(@ForAll("specs") List<Spec> specs, @ForAll long seed) throws IOException {
    Path file = Files.createTempFile("roundtrip", ".safetensors");
    Random random = new Random(seed);
    try (Scope _ = Scope.open()) {
      Map<String, byte[]> bytes = new LinkedHashMap<>();
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (Spec spec : specs) {
        Tensor tensor = Tensor.empty(Device.CPU, spec.type,
            Shape.of(spec.sizes.stream().mapToLong(Long::longValue).toArray()));
        byte[] data = new byte[(int) tensor.bytes().byteSize()];
        random.nextBytes(data);
        tensor.bytes().copyFrom(MemorySegment.ofArray(data));
        bytes.put(spec.name, data);
        tensors.put(spec.name, tensor);
      }
      SafetensorsWriter.write(file, tensors, Map.of("seed", Long.toString(seed)));
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        assertEquals(bytes.keySet(), read.names());
        for (String name : read.names()) {
          assertEquals(tensors.get(name).shape(), read.shape(name));
          assertEquals(tensors.get(name).dtype(), read.dtype(name));
          assertArrayEquals(bytes.get(name), read.load(name).bytes().toArray(ValueLayout.JAVA_BYTE));
        }
      }
    } finally {
      Files.delete(file);
    }
  }
}
