package org.deft4j.deft;

import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.autograd.GradCheck;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.deft.testing.Dense;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/** The kernel's gradients by P, R, A, B and the layer's input, against central differences in float64. */
class KernelGradientTest {
  /** Its own weight takes no part in what an adapter adds. */
  private static final Linear LAYER = new Linear(1, 1, false);

  @Provide
  Arbitrary<Decomposition> decompositions() {
    return Arbitraries.of(Decomposition.known());
  }

  /** Away from 0, where relu has no derivative. */
  private static Tensor values(long seed, int height, int width) {
    return Dense.normal(seed, height, width).map(x -> x + Math.copySign(0.1, x)).tensor(DType.F64);
  }

  @Property(tries = 30)
  void deft(@ForAll("decompositions") Decomposition decomposition, @ForAll @IntRange(min = 2, max = 6) int out,
      @ForAll @IntRange(min = 1, max = 5) int in, @ForAll @IntRange(min = 1, max = 3) int rank, @ForAll long seed) {
    try (Scope _ = Scope.open()) {
      int r = Math.min(rank, out);
      GradCheck.check(t -> LowRankUpdate.replace(decomposition.factors(t[0], "layer"), t[1], 1.5)
          .delta(LAYER, t[2], t[2].linear(t[3]), 0.6), values(seed, out, (int) decomposition.columns(r)),
          values(seed + 1, r, in), values(seed + 2, 3, in),
          values(seed + 3, out, in));
    }
  }

  @Property(tries = 20)
  void para(@ForAll("decompositions") Decomposition decomposition, @ForAll @IntRange(min = 2, max = 6) int out,
      @ForAll @IntRange(min = 1, max = 3) int rank, @ForAll long seed) {
    try (Scope _ = Scope.open()) {
      GradCheck.check(t -> LowRankUpdate.remove(decomposition.factors(t[0], "layer")).delta(LAYER, null, t[1], 0.6),
          values(seed, out, (int) decomposition.columns(Math.min(rank, out))), values(seed + 1, 3, out));
    }
  }

  @Property(tries = 10)
  void lora(@ForAll @IntRange(min = 1, max = 6) int out, @ForAll @IntRange(min = 1, max = 5) int in, @ForAll long seed) {
    try (Scope _ = Scope.open()) {
      GradCheck.check(t -> LowRankUpdate.add(t[0], t[1], 0.5).delta(LAYER, t[2], null, 0.6), values(seed, out, 2),
          values(seed + 1, 2, in), values(seed + 2, 3, in));
    }
  }

  /** PaRa's projector depends on the span of P alone, so its gradient has no part inside the span: {@code P^T dP = 0}. */
  @Property(tries = 20)
  void theGradientOfParaIsAtRightAnglesToItsSpan(@ForAll @IntRange(min = 2, max = 12) int out, @ForAll long seed) {
    int r = Math.min(3, out - 1);
    try (Scope _ = Scope.open()) {
      Tensor p = Dense.normal(seed, out, r).tensor(DType.F64);
      Tensor y0 = Dense.normal(seed + 1, 4, out).tensor(DType.F64);
      Tensor weight = Dense.normal(seed + 2, 4, out).tensor(DType.F64);
      Dense gradient;
      try (Tape tape = Tape.watch(p)) {
        Tensor delta = LowRankUpdate.remove(new QrDecomposition().factors(p, "layer")).delta(LAYER, null, y0, 1);
        Gradients gradients = tape.gradients(delta.mul(weight).sum());
        gradient = Dense.of(gradients.of(p));
      }
      Dense.zeros(r, r).assertNear(Dense.of(p).t().times(gradient), 1e-9 * Math.max(1, gradient.largest()), "P^T dP = 0");
    }
  }
}
