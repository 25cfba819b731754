package org.deft4j.nn;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;

/** What is minimised. Compositions of operations, so their gradients are those of their parts; conventions are torch's. */
public final class Losses {
  /** The target that stands for "does not count" unless another is given. */
  public static final long IGNORE = -100;

  private static final double COSINE_EPS = 1e-8;

  private Losses() {}

  /** What is done with the losses of the elements. */
  public enum Reduction {
    /** Their mean, a scalar. */
    MEAN,
    /** Their sum, a scalar. */
    SUM,
    /** Nothing: a loss per element. */
    NONE;

    private Tensor of(Tensor losses) {
      return switch (this) {
        case MEAN -> losses.mean();
        case SUM -> losses.sum();
        case NONE -> losses;
      };
    }
  }

  /** {@code mean((a - b)^2)}; one shape. */
  public static Tensor mse(Tensor a, Tensor b) {
    return mse(a, b, Reduction.MEAN);
  }

  /** {@code (a - b)^2}, reduced; one shape. */
  public static Tensor mse(Tensor a, Tensor b, Reduction reduction) {
    return reduction.of(difference("mse", a, b).square());
  }

  /** {@code mean(|a - b|)}; one shape. */
  public static Tensor l1(Tensor a, Tensor b) {
    return difference("l1", a, b).abs().mean();
  }

  /** The mean of {@code d^2 / 2 beta} where {@code d = |a - b|} is below beta, else {@code d - beta/2}. */
  public static Tensor smoothL1(Tensor a, Tensor b, double beta) {
    positive("smoothL1", "beta", beta);
    return huber(a, b, beta).mul(1 / beta);
  }

  /**
   * The mean of {@code d^2 / 2} where {@code d = |a - b|} is below delta, else {@code delta (d - delta/2)} (Huber 1964). Both are
   * {@code c (d - c/2)} with {@code c = min(d, delta)}.
   */
  public static Tensor huber(Tensor a, Tensor b, double delta) {
    positive("huber", "delta", delta);
    Tensor d = difference("huber", a, b).abs();
    Tensor c = d.clamp(0, delta);
    return c.mul(d.sub(c.mul(0.5))).mean();
  }

  /** {@link #crossEntropy(Tensor, Tensor, long, double)} without smoothing, in which {@link #IGNORE} does not count. */
  public static Tensor crossEntropy(Tensor logits, Tensor targets) {
    return crossEntropy(logits, targets, IGNORE, 0);
  }

  /**
   * The mean over all targets but {@code ignored} ones of
   * {@code -(1 - smoothing) log p[target] - smoothing * mean_c(log p[c])} with {@code p = softmax(logits)} over the classes. If
   * none counts it is NaN.
   *
   * @param logits [N, C, ...]: classes are dimension 1
   * @param targets [N, ...], I32 or I64: 0 .. C-1 or {@code ignored}
   */
  public static Tensor crossEntropy(Tensor logits, Tensor targets, long ignored, double smoothing) {
    Tensor chosen = targets.cast(DType.I64).unsqueeze(1);
    if (logits.rank() < 2 || !chosen.shape().equals(logits.shape().with(1, 1))) {
      throw new ShapeException("crossEntropy: targets: expected " + logits.shape() + " without dimension 1, found " + targets);
    }
    Tensor skipped = chosen.equal(Tensor.of(new long[] {ignored}));
    Tensor counts = skipped.cast(logits.dtype()).affine(-1, 1);
    Tensor logP = logits.logSoftmax(1);
    Tensor loss = logP.gather(1, skipped.where(Tensor.of(new long[] {0}), chosen)).mul(-(1 - smoothing));
    if (smoothing != 0) {
      loss = loss.sub(logP.meanKeep(1).mul(smoothing));
    }
    return loss.mul(counts).sum().div(counts.sum());
  }

  /** The mean of {@code -y log p - (1 - y) log(1 - p)} with {@code p = sigmoid(x)}, which is {@code log(1 + e^x) - x y}. */
  public static Tensor bceWithLogits(Tensor x, Tensor y) {
    sameShape("bceWithLogits", x, y);
    return x.softplus().sub(x.mul(y)).mean();
  }

  /** {@code a . b / (|a| |b|)} along the last dimension; the denominator is at least 1e-8. */
  public static Tensor cosineSimilarity(Tensor a, Tensor b) {
    Tensor squares = a.square().sum(-1).mul(b.square().sum(-1));
    return a.mul(b).sum(-1).div(squares.clamp(COSINE_EPS * COSINE_EPS, Double.POSITIVE_INFINITY).sqrt());
  }

  private static Tensor difference(String loss, Tensor a, Tensor b) {
    sameShape(loss, a, b);
    return a.sub(b);
  }

  private static void sameShape(String loss, Tensor a, Tensor b) {
    if (!a.shape().equals(b.shape())) {
      throw new ShapeException(loss + ": both must have one shape, found " + a + " and " + b);
    }
  }

  private static void positive(String loss, String name, double value) {
    if (!(value > 0)) {
      throw new IllegalArgumentException(loss + ": " + name + " must be positive, found " + value);
    }
  }
}
