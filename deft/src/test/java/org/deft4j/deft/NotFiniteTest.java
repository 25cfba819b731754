package org.deft4j.deft;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.deft.testing.Dense;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.TorchFile;
import org.deft4j.weights.TorchFileWriter;
import org.deft4j.weights.WeightSource;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** NaN and infinities are refused where an adapter is read, whatever the format, and where it would be written. */
class NotFiniteTest {
  @TempDir
  Path temporary;

  /** All but the one that is another by its names alone, for which a model must have SGM's. */
  private static Stream<AdapterFormat> formats() {
    return Stream.of(AdapterFormat.values()).filter(format -> format != AdapterFormat.KOHYA_SGM);
  }

  private static AdapterConfig config(AdapterFormat format) {
    return (format.isLora() ? AdapterConfig.lora(2) : AdapterConfig.deft(2)).with(Targets.suffixes(List.of("to_q")));
  }

  private static PipelineAdapter created(TwoLayers model, AdapterConfig config) {
    AdapterSet set = AdapterSet.create(model, config, new TorchRandom(0));
    return new PipelineAdapter(Map.of("unet", set), Map.of(), List.of());
  }

  private Path write(AdapterFormat format, TwoLayers model) throws IOException {
    Path folder = Files.createTempDirectory(temporary, format.label());
    Path out = format.isFolder() ? folder : folder.resolve(format == AdapterFormat.AUTHORS_SDXL ? AuthorsFiles.SDXL : "lora.safetensors");
    try (PipelineAdapter adapter = created(model, config(format))) {
      format.write(out, adapter, Map.of("unet", model), DType.F32, "title", "base");
    }
    return out;
  }

  /** The file with the tensors. */
  private static Path tensors(AdapterFormat format, Path out) {
    return switch (format) {
      case PEFT -> out.resolve(PeftFolder.WEIGHTS);
      case AUTHORS -> out.resolve("knowledge_injection_state.bin");
      default -> out;
    };
  }

  /** Puts {@code value} into one tensor of the file; returns its name. */
  private static String spoil(Path file, int which, float value) {
    boolean torch = !file.toString().endsWith(".safetensors");
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try (WeightSource source = torch ? TorchFile.open(file) : SafetensorsFile.open(file)) {
      source.names().forEach(name -> tensors.put(name, source.load(name)));
    }
    String name = List.copyOf(tensors.keySet()).get(which % tensors.size());
    long[] shape = tensors.get(name).shape().toArray();
    float[] values = tensors.get(name).toFloats();
    values[values.length - 1] = value;
    tensors.put(name, shape.length == 0 ? Tensor.scalar(DType.F32, value) : Tensor.of(values, shape));
    if (torch) {
      TorchFileWriter.write(file, tensors);
    } else {
      SafetensorsWriter.write(file, tensors, Map.of());
    }
    return name;
  }

  @TestFactory
  Stream<DynamicTest> read() {
    return formats().flatMap(format -> Stream.of(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY)
        .map(value -> DynamicTest.dynamicTest(format.label() + " " + value, () -> {
          for (int which = 0; which < 3; which++) {
            try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(6, 5, DType.F32, 1)) {
              Path out = write(format, model);
              Map<String, Module> models = Map.of("unet", model);
              AdapterFiles.read(out, models, ReadOptions.STRICT).close();
              String name = spoil(tensors(format, out), which, value);
              InputException error = assertThrows(InputException.class, () -> AdapterFiles.read(out, models, ReadOptions.STRICT), name);
              assertTrue(error.getMessage().contains(name + " has a value that is not finite"), error.getMessage());
              assertEquals(List.of(), error.problems().stream().filter(problem -> problem.contains("NumericException")).toList());
            }
          }
        })));
  }

  /** A number that the type of the file has not, which would be an infinity there. */
  @TestFactory
  Stream<DynamicTest> written() {
    return formats().map(format -> DynamicTest.dynamicTest(format.label(), () -> {
      try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(6, 5, DType.F32, 1); PipelineAdapter adapter = large(model, format)) {
        Path folder = Files.createTempDirectory(temporary, format.label());
        Path out = format.isFolder() ? folder : folder.resolve("adapter" + format.ending());
        InputException error = assertThrows(InputException.class,
            () -> format.write(out, adapter, Map.of("unet", model), DType.F16, "title", "base"));
        assertTrue(error.getMessage().contains("beyond those of F16") && error.getMessage().contains("bf16 or f32"), error.getMessage());
        format.write(out, adapter, Map.of("unet", model), DType.BF16, "title", "base");
      }
    }));
  }

  /** With a P or A of 1e5. */
  private static PipelineAdapter large(TwoLayers model, AdapterFormat format) {
    Tensor wide = Dense.normal(1, 2, 6).map(x -> 1e5).tensor(DType.F32);
    Tensor tall = Dense.normal(1, 5, 2).map(x -> 1e5).tensor(DType.F32);
    LayerAdapter adapter = format.isLora() ? new LoraAdapter("attn.to_q", model.query, wide, tall, 1)
        : new DeftAdapter("attn.to_q", model.query, new Projection(tall, new RelaxedDecomposition()), wide, null, 1);
    return new PipelineAdapter(Map.of("unet", new AdapterSet(model, config(format), Map.of("attn.to_q", adapter), Map.of())), Map.of(),
        List.of());
  }

  /** The call of the README writes nothing that it could not read. */
  @Test
  void aFolderOfWhatWasTrained() {
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(6, 5, DType.F32, 1);
        AdapterSet set = AdapterSet.create(model, config(AdapterFormat.PEFT), new TorchRandom(0))) {
      set.trainable().getFirst().memory().set(ValueLayout.JAVA_FLOAT, 0, Float.NaN);
      assertThrows(InputException.class, () -> PeftFolder.write(temporary, set, "base"));
    }
  }

  /** An alpha that the type of the matrices does not hold is written as F32, so that the strength stays. */
  @Test
  void alphasKeepTheirValue() {
    try (Scope _ = Scope.open()) {
      assertEquals(DType.BF16, LoraAdapter.alphaTensor(4, DType.BF16).dtype());
      assertEquals(DType.F32, LoraAdapter.alphaTensor(1.2274, DType.BF16).dtype());
      assertEquals(DType.F32, LoraAdapter.alphaTensor(1e5, DType.F16).dtype());
      assertEquals(1e5, LoraAdapter.alphaTensor(1e5, DType.F16).item());
    }
  }

  @Test
  void whatIsFinite() {
    try (Scope _ = Scope.open()) {
      assertTrue(Finite.holds(Tensor.of(new float[] {0, -0f, Float.MAX_VALUE, Float.MIN_VALUE})));
      for (DType type : List.of(DType.F32, DType.F64, DType.F16, DType.BF16)) {
        assertTrue(!Finite.holds(Tensor.of(new float[] {1, Float.NaN}).cast(type)), type.toString());
        assertTrue(!Finite.holds(Tensor.of(new float[] {Float.NEGATIVE_INFINITY, 1}).cast(type)), type.toString());
      }
    }
  }
}
