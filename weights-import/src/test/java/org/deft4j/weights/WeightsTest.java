package org.deft4j.weights;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

/** Every difference between a model and a file is told at once, before anything is read. */
class WeightsTest {
  @TempDir private Path temp;

  private SafetensorsFile file(Map<String, Tensor> tensors) {
    Path path = temp.resolve("model.safetensors");
    SafetensorsWriter.write(path, tensors, Map.of());
    return SafetensorsFile.open(path);
  }

  @Test
  void eachTargetGetsItsTensor() {
    try (Scope _ = Scope.open(); SafetensorsFile file = file(Map.of("a", Tensor.of(new float[] {1}), "b",
        Tensor.of(new double[] {2, 3}), "text_model.embeddings.position_ids", Tensor.of(new long[] {0, 1})))) {
      Map<String, Tensor> taken = new HashMap<>();
      Weights.load("model", Map.of("a", new Target(Shape.of(1), t -> taken.put("a", t)),
          "b", new Target(Shape.of(2), t -> taken.put("b", t))), file, null);
      assertEquals(1, taken.get("a").item());
      assertEquals(DType.F64, taken.get("b").dtype());
      assertEquals(2, taken.size());
    }
  }

  @Test
  void allDifferencesAreListedWithTheNearestNames() {
    Consumer<Tensor> never = tensor -> fail("loaded " + tensor);
    Map<String, Target> expected = new LinkedHashMap<>();
    expected.put("conv.weight", new Target(Shape.of(2), never));
    expected.put("norm.weight", new Target(Shape.of(3), never));
    expected.put("same", new Target(Shape.of(1), never));
    expected.put("attn.to_q.weight", new Target(Shape.of(1), never));
    try (Scope _ = Scope.open(); SafetensorsFile file = file(Map.of("conv.weight", Tensor.zeros(DType.F32, 4), "same",
        Tensor.zeros(DType.F32, 1), "norms.weight", Tensor.zeros(DType.F32, 3), "attn.query.weight", Tensor.zeros(DType.F32, 1)))) {
      FormatException error = assertThrows(FormatException.class, () -> Weights.load("unet", expected, file, null));
      assertEquals(file.source() + """
          : does not fit the model unet of 4 tensors: 2 missing, 1 of another shape, 2 left over; check that config.json \
          belongs to it
            missing: 'norm.weight' [3]; nearest: the file has 'norms.weight'
            missing: 'attn.to_q.weight' [1]; nearest: the file has 'attn.query.weight'
            shape: 'conv.weight' is [4], the model needs [2]
            left over: 'attn.query.weight' [1]; nearest: the model has 'attn.to_q.weight'
            left over: 'norms.weight' [3]; nearest: the model has 'norm.weight'""", error.getMessage());
    }
  }

  @Test
  void longListsAreCutAfterTwenty() {
    Map<String, Target> expected = new LinkedHashMap<>();
    for (int i = 0; i < 1000; i++) {
      expected.put("layer." + i, new Target(Shape.of(1), _ -> fail("loaded")));
    }
    try (Scope _ = Scope.open(); SafetensorsFile file = file(Map.of())) {
      String message = assertThrows(FormatException.class, () -> Weights.load("unet", expected, file, null)).getMessage();
      assertTrue(message.contains("1000 missing, 0 of another shape, 0 left over"), message);
      assertTrue(message.endsWith("\n  and 980 more"), message);
      assertEquals(22, message.lines().count());
    }
  }
}
