package org.deft4j.nn;

import java.util.Collection;
import java.util.stream.Stream;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;

/** Limits gradients before an optimizer's step. */
public final class GradientClip {
  private GradientClip() {}

  /**
   * Multiplies all gradients, in place, by {@code min(1, maxNorm / (norm + 1e-6))}, where norm is the Euclidean norm of all of
   * them together (torch's {@code clip_grad_norm_}). A card goes on with it while the program does: read the norm when the step is over.
   *
   * @param gradients at least one, of one type; contiguous, unless nothing is to be limited
   * @param maxNorm positive infinity only measures
   * @return norm [], F64, from before, of the innermost scope; if it is not finite the gradients are left as they are, and what was learned
   *     by them is worth nothing
   */
  public static Tensor globalNorm(Collection<Tensor> gradients, double maxNorm) {
    Tensor norm = Dispatch.run(new Fused.GlobalNorm(), gradients.toArray(Tensor[]::new))[0];
    if (maxNorm < Double.POSITIVE_INFINITY) {
      Dispatch.run(new InPlace.ClipInto(maxNorm), Stream.concat(Stream.of(norm), gradients.stream()).toArray(Tensor[]::new));
    }
    return norm;
  }
}
