package org.deft4j.nn;

import java.util.Collection;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/** Limits gradients before an optimizer's step. */
public final class GradientClip {
  /** Keeps the factor finite; torch's {@code clip_grad_norm_} has the same. */
  private static final double EPS = 1e-6;

  private GradientClip() {}

  /**
   * Multiplies all gradients, in place, by {@code min(1, maxNorm / (norm + 1e-6))}, where norm is the Euclidean norm of all of
   * them together.
   *
   * @return norm, from before; if it is not finite the gradients are left as they are, and no step should be taken by them
   */
  public static double globalNorm(Collection<Tensor> gradients, double maxNorm) {
    double norm = Math.sqrt(squares(gradients));
    double factor = maxNorm / (norm + EPS);
    if (Double.isFinite(norm) && factor < 1) {
      for (Tensor gradient : gradients) {
        Dispatch.run(new InPlace.ScaleInto(factor), gradient);
      }
    }
    return norm;
  }

  /** The sum of all squares; the parts are read together, so that a card is waited for once. */
  private static double squares(Collection<Tensor> gradients) {
    if (gradients.isEmpty()) {
      return 0;
    }
    try (Scope _ = Scope.open()) {
      List<Tensor> parts = gradients.stream().map(gradient -> gradient.square().sum().cast(DType.F64).reshape(1)).toList();
      double squares = 0;
      for (double part : Tensor.concat(0, parts).toDoubles()) {
        squares += part;
      }
      return squares;
    }
  }
}
