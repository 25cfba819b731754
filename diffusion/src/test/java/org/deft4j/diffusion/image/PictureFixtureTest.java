package org.deft4j.diffusion.image;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Decoding and resizing against PIL's results. */
class PictureFixtureTest {
  private static final double JPEG_MEAN = 1.5;
  private static final int JPEG_MOST = 24;

  /** U8 [H, W, 3]. */
  private static byte[] bytes(Tensor golden) {
    long[] values = golden.toLongs();
    byte[] result = new byte[values.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = (byte) values[i];
    }
    return result;
  }

  @TestFactory
  Stream<DynamicTest> files() {
    List<DynamicTest> tests = new ArrayList<>();
    for (Path folder : Fixtures.folders("images")) {
      for (JsonObject entry : Json.read(folder.resolve("cases.json")).requireObjects("files")) {
        tests.add(DynamicTest.dynamicTest(entry.requireString("file"), () -> checkFile(folder, entry)));
      }
    }
    return tests.stream();
  }

  private static void checkFile(Path folder, JsonObject entry) {
    String name = entry.requireString("file");
    Picture picture = Pictures.read(folder.resolve(name));
    assertEquals(entry.requireInteger("width"), picture.width());
    assertEquals(entry.requireInteger("height"), picture.height());
    try (Scope _ = Scope.open()) {
      byte[] expected = bytes(Fixtures.golden(folder.resolve("decoded.safetensors")).get(name));
      if (entry.requireBool("exact")) {
        assertArrayEquals(expected, picture.rgb());
        return;
      }
      long sum = 0;
      for (int i = 0; i < expected.length; i++) {
        int difference = Math.abs((expected[i] & 0xff) - (picture.rgb()[i] & 0xff));
        assertTrue(difference < JPEG_MOST, "byte " + i + " differs by " + difference);
        sum += difference;
      }
      assertTrue((double) sum / expected.length < JPEG_MEAN, "mean difference " + (double) sum / expected.length);
    }
  }

  @Test
  void resizing() {
    for (Path folder : Fixtures.folders("images")) {
      try (Scope _ = Scope.open()) {
        Map<String, Tensor> golden = Fixtures.golden(folder.resolve("resize.safetensors"));
        List<JsonObject> cases = Json.read(folder.resolve("cases.json")).requireObjects("resize");
        assertTrue(!cases.isEmpty());
        for (JsonObject entry : cases) {
          Tensor in = golden.get("in." + entry.requireString("in"));
          Picture picture = new Picture((int) in.size(1), (int) in.size(0), bytes(in));
          Filter filter = Filter.valueOf(entry.requireString("filter").toUpperCase(Locale.ROOT));
          Picture actual = Resize.resize(picture, entry.requireInteger("width"), entry.requireInteger("height"), filter);
          assertArrayEquals(bytes(golden.get(entry.requireString("out"))), actual.rgb(), entry.requireString("out"));
        }
      }
    }
  }
}
