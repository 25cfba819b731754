package org.deft4j.deft;

import java.util.Map;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertTrue;

/** How much of a weight is removed before anything is learned, at real sizes: the largest factor by which {@code M W} exceeds W. */
class StartNormsTest {
  private static final long[][] SIZES = {{1280, 4}, {1280, 64}, {4096, 64}};
  private static final int STEPS = 12;

  /** The largest singular value of {@code L S^T}, by power iteration. */
  private static double norm(Factors factors) {
    Tensor l = factors.left();
    Tensor s = factors.right();
    Tensor v = new TorchRandom(3).normal(l.dtype(), l.size(0), 1);
    double norm = 0;
    for (int i = 0; i < STEPS; i++) {
      Tensor image = l.matmul(s.t().matmul(v));
      norm = length(image) / length(v);
      Tensor back = s.matmul(l.t().matmul(image));
      v = back.mul(1 / length(back));
    }
    return norm;
  }

  private static double length(Tensor x) {
    return Math.sqrt(x.mul(x).sum().item());
  }

  private static double norm(Decomposition decomposition, long[] size, boolean official) {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(0);
      Tensor p = official ? decomposition.officialStart(random, DType.F32, size[0], size[1])
          : decomposition.start(random, DType.F32, size[0], size[1]);
      return norm(decomposition.factors(p, "layer"));
    }
  }

  /** Where R cannot put everything back at the start, or PaRa's start is scaled, about the weight is removed, not many times it or nothing. */
  @Test
  void aboutTheWeightIsRemoved() {
    for (Decomposition decomposition : Decomposition.known()) {
      if (decomposition.method().equals("relaxed") || decomposition.method().equals("relu")) {
        continue; // DEFT puts all back; P is PEFT's.
      }
      for (long[] size : SIZES) {
        double norm = norm(decomposition, size, false);
        assertTrue(norm > 0.1 && norm < 2.5, decomposition.method() + " " + size[0] + " x " + size[1] + ": " + norm);
      }
    }
  }

  /** What the official starts of PaRa do to a weight. */
  @Test
  void officialStartsRemoveManyTimesTheWeight() {
    Map<String, Double> least = Map.of("tsvd", 10.0, "eigen", 100.0, "nmf", 3000.0);
    least.forEach((method, many) -> {
      double norm = norm(Decomposition.named(method), new long[] {1280, 4}, true);
      assertTrue(norm > many && norm < 4 * many, method + ": " + norm);
    });
  }
}
