package org.deft4j.tensor.op;

/** Operations that change their first input (or those that {@link #changes} names) and yield nothing. Not recorded by a tape. */
public sealed interface InPlace extends Op {
  /** Whether input {@code index} is changed: the target, and an optimizer's states; all that is clipped. */
  default boolean changes(int index) {
    return switch (this) {
      case CopyInto _, Fill _, AddScaledInto _, ScaleInto _ -> index == 0;
      case AdamUpdate _, SgdUpdate _ -> index != 1;
      case ClipInto _ -> index != 0;
    };
  }

  /** {@code target, source}: {@code target = source}, broadcast, converted to the target's type. */
  record CopyInto() implements InPlace {}

  /** {@code target = value}. */
  record Fill(double value) implements InPlace {}

  /** {@code target, x}: {@code target = fma(alpha, x, target)}; one shape, any strides. */
  record AddScaledInto(double alpha) implements InPlace {}

  /** {@code target *= factor}. */
  record ScaleInto(double factor) implements InPlace {}

  /**
   * {@code norm, x_1, x_2, ...}: {@code x_i *= min(1, most / (norm + 1e-6))}, norm being F64 []; if it is not finite they are left as they are.
   * As torch's {@code clip_grad_norm_}.
   */
  record ClipInto(double most) implements InPlace {
    private static final double EPS = 1e-6;

    /** What all are multiplied by. */
    public double factor(double norm) {
      return Double.isFinite(norm) ? Math.min(1, most / (norm + EPS)) : 1;
    }
  }

  /**
   * {@code p, g, m, v}: Adam (Kingma and Ba, algorithm 1) at {@code step} = 1, 2, ... with {@code p *= 1 - lr * weightDecay}
   * first where {@code decoupled} (AdamW, Loshchilov and Hutter), else {@code g += weightDecay * p}:
   * {@code m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps)}.
   */
  record AdamUpdate(double lr, double beta1, double beta2, double eps, double weightDecay, boolean decoupled, long step)
      implements InPlace {
    /** What p is multiplied by first. */
    public double keep() {
      return decoupled ? 1 - lr * weightDecay : 1;
    }

    /** What of p is added to the gradient. */
    public double gradientDecay() {
      return decoupled ? 0 : weightDecay;
    }

    /** {@code lr / (1 - b1^t)}. */
    public double stepSize() {
      return lr / (1 - StrictMath.pow(beta1, (double) step));
    }

    /** {@code sqrt(1 - b2^t)}. */
    public double rootCorrection() {
      return Math.sqrt(1 - StrictMath.pow(beta2, (double) step));
    }
  }

  /**
   * {@code p, g, (buffer)}: {@code g += weightDecay * p}; with momentum {@code buffer = momentum * buffer + g} (= g at the
   * first step), {@code g = nesterov ? g + momentum * buffer : buffer}; {@code p -= lr * g}.
   */
  record SgdUpdate(double lr, double momentum, double weightDecay, boolean nesterov, boolean first) implements InPlace {}
}
