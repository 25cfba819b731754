package org.deft4j.deft;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** What other tools, or later versions of PEFT, say in {@code adapter_config.json} is still there when a folder is written again. */
class UnknownFieldsTest {
  private static final Targets LAYERS = Targets.suffixes(List.of("to_q", "ff"));
  private static final BigInteger BEYOND_64_BITS = BigInteger.ONE.shiftLeft(64);

  private Path folder;
  private Path again;

  @BeforeProperty
  void makeFolders() throws IOException {
    folder = Files.createTempDirectory("fields");
    again = Files.createTempDirectory("again");
  }

  @AfterProperty
  void removeFolders() throws IOException {
    for (Path made : List.of(folder, again)) {
      Files.delete(made.resolve(PeftFolder.CONFIG));
      Files.delete(made.resolve(PeftFolder.WEIGHTS));
      Files.delete(made);
    }
  }

  /** Those of PEFT's type and, with what it has no field for, those of ours. */
  @Provide
  Arbitrary<AdapterConfig> configs() {
    AdapterExtras own = new AdapterExtras(new Dropout(0.25, true), true, 0.5);
    return Arbitraries.of(AdapterConfig.deft(2), AdapterConfig.deft(2).with(new ReluDecomposition()).withAlpha(3.0),
        AdapterConfig.deft(2).with(own), AdapterConfig.para(2), AdapterConfig.para(2).with(new SvdDecomposition(Truncation.variance(0.7))),
        AdapterConfig.of(Method.LORA_PARA, 2), AdapterConfig.lora(2), AdapterConfig.dora(2));
  }

  @Provide
  Arbitrary<Map<String, Object>> fields() {
    return objects(values(3));
  }

  private static Arbitrary<Map<String, Object>> objects(Arbitrary<Object> values) {
    // No name of a field that has a meaning.
    return Arbitraries.maps(texts().map(text -> "invented " + text), values).ofMaxSize(5);
  }

  /** Whatever JSON holds, in objects and lists this deep. */
  private static Arbitrary<Object> values(int depth) {
    Arbitrary<Object> plain = Arbitraries.oneOf(texts(), Arbitraries.longs(), Arbitraries.of(true, false), reals(),
        Arbitraries.bigIntegers().map(x -> x.signum() < 0 ? x.subtract(BEYOND_64_BITS) : x.add(BEYOND_64_BITS))).asGeneric()
        .injectNull(0.1);
    return depth == 0 ? plain : Arbitraries.oneOf(plain, values(depth - 1).list().ofMaxSize(4), objects(values(depth - 1))).asGeneric();
  }

  private static Arbitrary<Double> reals() {
    return Arbitraries.oneOf(Arbitraries.of(1e-7, -0.0, 0.0, 0.1, 1.0, 1e21, Double.MIN_VALUE, Double.MAX_VALUE),
        Arbitraries.longs().map(Double::longBitsToDouble).filter(Double::isFinite));
  }

  /** Any characters but halves of pairs, which are in no text. */
  private static Arbitrary<String> texts() {
    return Arbitraries.oneOf(Arbitraries.strings().withCharRange('\0', '\uD7FF').withCharRange('\uE000', '\uFFFF').ofMaxLength(6),
        Arbitraries.of("", "\"\\/\b\f\n\r\t", "\u2603 \uD83D\uDE00 na\u00EFve", "\u2028\u2029\u0000\u007F", "null", "1e-7"));
  }

  @Property(tries = 150)
  void aFolderWrittenAgainIsTheSame(@ForAll("configs") AdapterConfig config, @ForAll("fields") Map<String, Object> fields)
      throws IOException {
    try (Scope _ = Scope.open()) {
      TwoLayers model = new TwoLayers(5, 6, DType.F32, 3);
      try (AdapterSet made = AdapterSet.create(model, config.with(LAYERS), new TorchRandom(4))) {
        PeftFolder.write(folder, made, "base");
      }
      Map<String, Object> expected = new LinkedHashMap<>(fields);
      expected.putAll(Json.read(folder.resolve(PeftFolder.CONFIG)).asMap());
      Json.write(folder.resolve(PeftFolder.CONFIG), expected);
      try (AdapterSet read = PeftFolder.read(folder, model)) {
        PeftFolder.write(again, read, "another");
      }
      Map<String, Object> written = Json.read(again.resolve(PeftFolder.CONFIG)).asMap();
      assertEquals(expected, written);
      assertEquals(List.copyOf(expected.keySet()), List.copyOf(written.keySet()), "their order");
      assertEquals(-1, Files.mismatch(folder.resolve(PeftFolder.WEIGHTS), again.resolve(PeftFolder.WEIGHTS)), "tensors");
    }
  }
}
