package org.deft4j.weights;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The golden data is found, readable, and compared strictly. */
class FixturesTest {
  @Test
  void everyKindIsFound() {
    for (String kind : List.of("ops", "rng", "schedulers", "images", "tokenizer", "llama_tokenizer", "omnigen", "adapters", "manifests")) {
      assertFalse(Fixtures.folders(kind).isEmpty(), kind);
    }
    assertFalse(Fixtures.models().isEmpty());
    assertThrows(AssertionError.class, () -> Fixtures.folders("nothing"));
  }

  /** The copy that a clone carries around. */
  @Test
  void theRepositoryHasLessThanTenMegabytesOfGoldenData() throws IOException {
    Path copy = Fixtures.repository().resolve("weights-import/src/test/fixtures");
    try (Stream<Path> all = Files.walk(copy)) {
      long bytes = all.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
      assertTrue(bytes > 0 && bytes < 10_000_000, bytes + " bytes");
    }
  }

  @Test
  void aPackedFileReadsAsTheFileItself(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("some.json");
    Path packed = folder.resolve("some.json.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(packed))) {
      out.write("{\"a\": \"\u00e9\"}".getBytes(StandardCharsets.UTF_8));
    }
    assertEquals("\u00e9", Fixtures.json(file).get("a"));
    assertEquals(Fixtures.text(file), Fixtures.text(packed));
    assertTrue(Fixtures.exists(file));
    assertEquals("{\"a\": \"\u00e9\"}", Files.readString(Fixtures.unpacked(file)));
    assertEquals("some.json", Fixtures.unpacked(file).getFileName().toString());
    Files.move(packed, folder.resolve("other.gz"));
    assertFalse(Fixtures.exists(file));
    Files.writeString(file, "{}");
    assertEquals("{}", Fixtures.text(file));
    assertEquals(file, Fixtures.unpacked(file));
  }

  @Test
  void everySafetensorsFileOpensAndEveryTensorLoads() {
    assertFalse(Fixtures.safetensors().isEmpty());
    for (Path file : Fixtures.safetensors()) {
      try (Scope _ = Scope.open()) {
        Map<String, Tensor> tensors = Fixtures.golden(file);
        assertFalse(tensors.isEmpty(), file.toString());
      }
    }
  }

  @Test
  void everyJsonFileReads() throws IOException {
    try (Stream<Path> all = Files.walk(Fixtures.root())) {
      List<Path> files = all.filter(file -> file.toString().matches(".*\\.json(\\.gz)?")).toList();
      assertFalse(files.isEmpty());
      files.forEach(file -> Json.parseValue(Fixtures.text(file), file.toString()));
    }
  }

  @Test
  void comparisonNamesTheWorstElementAndIsNotFooledByNaNOrInfinity() {
    try (Scope _ = Scope.open()) {
      Tensor expected = Tensor.of(new double[] {1, -4, 2});
      Fixtures.closeTo("x", Tensor.of(new double[] {1.1, -4, 2}), expected, 0.11);
      Fixtures.relativelyCloseTo("x", Tensor.of(new double[] {1.1, -4, 2}), expected, 0.026);
      AssertionError error = assertThrows(AssertionError.class,
          () -> Fixtures.relativelyCloseTo("weight", Tensor.of(new double[] {1.1, -4, 2.5}), expected, 0.02));
      assertEquals("weight [3]: 2 of 3 elements differ by more than rel 0.0200; the worst, at 2, is 2.5, expected 2.0, rel 0.125",
          error.getMessage());
      for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
        Tensor wrong = Tensor.of(new double[] {1, bad, 2});
        assertThrows(AssertionError.class, () -> Fixtures.closeTo("x", wrong, expected, 1e30));
        assertThrows(AssertionError.class, () -> Fixtures.relativelyCloseTo("x", wrong, expected, 1e30));
        assertThrows(AssertionError.class, () -> Fixtures.relativelyCloseTo("x", expected, wrong, 1e30));
        Fixtures.equal("x", wrong, wrong);
      }
      assertTrue(assertThrows(AssertionError.class,
          () -> Fixtures.closeTo("x", Tensor.of(new double[] {1, 2}), expected, 1)).getMessage().contains("shape [2]"));
    }
  }
}
