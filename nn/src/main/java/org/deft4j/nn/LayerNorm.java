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

  /** A sum, and its norm. */
  public record OfSum(Tensor sum, Tensor norm) {}

  /** {@code x + y} and {@code forward(x + y)} in one pass over memory; the bits are those of the two. */
  public OfSum forwardSum(Tensor x, Tensor y) {
    Tensor[] out = x.addThenLayerNorm(y, eps, weight.value(), bias.value());
    return new OfSum(out[1], observed(out[0]));
  }
}
