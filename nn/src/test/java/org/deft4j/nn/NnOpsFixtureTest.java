package org.deft4j.nn;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import org.deft4j.autograd.GradCheck;
import org.deft4j.autograd.testing.OpCase;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.JsonObject;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Losses and the timestep embedding: the golden operations that module nn has. */
class NnOpsFixtureTest {
  private static final Map<String, Function<OpCase, Tensor>> OPERATIONS = Map.of(
      "mse_loss", c -> Losses.mse(c.in("a"), c.in("b"),
          Losses.Reduction.valueOf(c.attributes().requireString("reduction").toUpperCase(Locale.ROOT))),
      "l1_loss", c -> Losses.l1(c.in("a"), c.in("b")),
      "smooth_l1_loss", c -> Losses.smoothL1(c.in("a"), c.in("b"), c.attributes().requireNumber("beta")),
      "huber_loss", c -> Losses.huber(c.in("a"), c.in("b"), c.attributes().requireNumber("delta")),
      "cross_entropy", c -> Losses.crossEntropy(c.in("x"), c.in("y"),
          c.attributes().longInteger("ignore_index", Losses.IGNORE), c.attributes().number("label_smoothing", 0)),
      "bce_with_logits", c -> Losses.bceWithLogits(c.in("x"), c.in("y")),
      "cosine_similarity", c -> Losses.cosineSimilarity(c.in("a"), c.in("b")),
      "timestep_embedding", NnOpsFixtureTest::timestep);

  private static Tensor timestep(OpCase c) {
    JsonObject a = c.attributes();
    return TimestepEmbedding.sinusoidal(c.in("t"), a.requireInteger("dim"), a.requireBool("flip_sin_to_cos"),
        a.requireNumber("downscale_freq_shift"));
  }

  static List<OpCase> cases() {
    return OpCase.all().stream().filter(c -> OpCase.OF_NN.contains(c.op())).toList();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void matchesPyTorch(OpCase c) {
    c.check(one -> new Tensor[] {OPERATIONS.get(one.op()).apply(one)});
  }

  @Test
  void takesWhatAutogradLeavesToIt() {
    assertEquals(OpCase.OF_NN, OPERATIONS.keySet());
    assertFalse(cases().isEmpty());
  }

  @Test
  void gradientsAreCentralDifferences() {
    try (Scope _ = Scope.open()) {
      Tensor a = Tensor.of(new double[] {0.3, -1.2, 2.1, 0.7, -0.4, 1.6}, 3, 2);
      Tensor b = Tensor.of(new double[] {0.1, 0.4, -0.8, 0.9, 1.3, -0.5}, 3, 2);
      Tensor targets = Tensor.of(new long[] {1, Losses.IGNORE, 0}, 3);
      GradCheck.check(in -> Losses.mse(in[0], in[1]), a, b);
      GradCheck.check(in -> Losses.mse(in[0], in[1], Losses.Reduction.NONE), a, b);
      GradCheck.check(in -> Losses.l1(in[0], in[1]), a, b);
      GradCheck.check(in -> Losses.smoothL1(in[0], in[1], 0.7), a, b);
      GradCheck.check(in -> Losses.huber(in[0], in[1], 1.5), a, b);
      GradCheck.check(in -> Losses.crossEntropy(in[0], in[1], Losses.IGNORE, 0.2), a, targets);
      GradCheck.check(in -> Losses.bceWithLogits(in[0], in[1]), a, b);
      GradCheck.check(in -> Losses.cosineSimilarity(in[0], in[1]), a, b);
    }
  }

  @Test
  void saysWhatDoesNotFit() {
    try (Scope _ = Scope.open()) {
      Tensor a = Tensor.of(new float[] {1, 2, 3, 4}, 2, 2);
      Tensor b = Tensor.of(new float[] {1, 2}, 2);
      assertTrue(assertThrows(ShapeException.class, () -> Losses.mse(a, b)).getMessage().startsWith("mse: "));
      assertTrue(assertThrows(ShapeException.class, () -> Losses.crossEntropy(a, a)).getMessage().contains("dimension 1"));
      assertTrue(assertThrows(IllegalArgumentException.class, () -> Losses.huber(a, a, 0)).getMessage().contains("delta"));
    }
  }
}
