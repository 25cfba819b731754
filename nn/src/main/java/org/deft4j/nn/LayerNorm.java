package org.deft4j.nn;

import org.deft4j.tensor.Tensor;

/**
 * Layer normalisation (Ba, Kiros and Hinton 2016) over the last dimension: {@code y = (x - mean) / sqrt(var + eps) * w + b};
 * x [..., D], w and b [D].
 */
public final class LayerNorm extends Module {
  private final double eps;
  private final Parameter weight;
  private final Parameter bias;

  /** Over a last dimension of size {@code dim}. */
  public LayerNorm(long dim, double eps) {
    this.eps = eps;
    weight = parameter("weight", dim);
    bias = parameter("bias", dim);
  }

  /** x [..., D], result of the same shape. */
  public Tensor forward(Tensor x) {
    return observed(x.layerNorm(1, eps, weight.value(), bias.value()));
  }
}
