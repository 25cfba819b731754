package org.deft4j.nn;

import org.deft4j.tensor.Tensor;

/**
 * Root mean square normalisation (Zhang and Sennrich 2019) over the last dimension: {@code y = x / sqrt(mean(x^2) + eps) * w};
 * x [..., D], w [D].
 */
public final class RmsNorm extends Module {
  private final double eps;
  private final Parameter weight;

  /** Over a last dimension of size {@code dim}. */
  public RmsNorm(long dim, double eps) {
    this.eps = eps;
    weight = parameter("weight", dim);
  }

  /** x [..., D], result of the same shape. */
  public Tensor forward(Tensor x) {
    return observed(x.rmsNorm(eps, weight.value()));
  }
}
