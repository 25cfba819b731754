package org.deft4j.nn;

import org.deft4j.tensor.Tensor;

/**
 * Group normalisation (Wu and He 2018): {@code y = (x - mean) / sqrt(var + eps) * w + b}, mean and biased variance over the
 * channels of a group and all positions; x [N,C,...], w and b [C].
 */
public final class GroupNorm extends Module {
  private final int groups;
  private final double eps;
  private final Parameter weight;
  private final Parameter bias;

  /** {@code groups} must divide {@code channels}. */
  public GroupNorm(int groups, long channels, double eps) {
    if (groups < 1 || channels % groups != 0) {
      throw new IllegalArgumentException("group_norm: " + channels + " channels are not a multiple of " + groups + " groups");
    }
    this.groups = groups;
    this.eps = eps;
    weight = parameter("weight", channels);
    bias = parameter("bias", channels);
  }

  /** x [N,C,...], result of the same shape. */
  public Tensor forward(Tensor x) {
    return observed(x.groupNorm(groups, eps, weight.value(), bias.value()));
  }

  /** {@code silu(forward(x))}, in one pass over memory where nobody is told of the norm's own output; the bits are the same. */
  public Tensor forwardSilu(Tensor x) {
    return isObserved() ? forward(x).silu() : x.groupNormSilu(groups, eps, weight.value(), bias.value());
  }
}
