package org.deft4j.nn;

import org.deft4j.tensor.Tensor;

/** {@code y = x W^T + b}; x [..., in], W [out, in], b [out], y [..., out]. */
public final class Linear extends AdaptedLayer {
  private final long in;
  private final long out;
  private final Parameter weight;
  private final Parameter bias;

  /** With bias. */
  public Linear(long in, long out) {
    this(in, out, true);
  }

  /** From {@code in} to {@code out} features. */
  public Linear(long in, long out, boolean hasBias) {
    this.in = in;
    this.out = out;
    weight = parameter("weight", out, in);
    bias = hasBias ? parameter("bias", out) : null;
  }

  @Override
  public Tensor product(Tensor x, Tensor weight) {
    return x.linear(weight);
  }

  @Override
  public Tensor mixOutputs(Tensor y, Tensor matrix) {
    return y.linear(matrix);
  }

  @Override
  public Tensor scaleOutputs(Tensor y, Tensor factors) {
    return y.mul(factors.cast(y.dtype()));
  }

  @Override
  Tensor productAndBias(Tensor x) {
    return x.linear(weight.value(), bias.value());
  }

  @Override
  Tensor addBias(Tensor y) {
    return y.add(bias.value().cast(y.dtype()));
  }

  @Override
  public Parameter weight() {
    return weight;
  }

  @Override
  public Parameter bias() {
    return bias;
  }

  /** The size of the input's last dimension. */
  public long inFeatures() {
    return in;
  }

  /** The size of the output's last dimension. */
  public long outFeatures() {
    return out;
  }
}
