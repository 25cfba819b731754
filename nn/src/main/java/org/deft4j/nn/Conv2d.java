package org.deft4j.nn;

import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/** {@code y = W * x + b}, a cross-correlation; x [N,C,H,W], W [O,C/groups,K,K], b [O], y [N,O,H',W']. */
public final class Conv2d extends AdaptedLayer {
  private final ConvSpec spec;
  private final Parameter weight;
  private final Parameter bias;

  /** A square kernel, the same stride in both directions, padding on all four sides; with bias. */
  public Conv2d(long in, long out, int kernel, int stride, int padding) {
    this(in, out, kernel, ConvSpec.of(stride, padding));
  }

  /** A square kernel that walks as {@code spec} says; with bias. */
  public Conv2d(long in, long out, int kernel, ConvSpec spec) {
    this(in, out, kernel, spec, true);
  }

  /** A square kernel that walks as {@code spec} says. */
  public Conv2d(long in, long out, int kernel, ConvSpec spec, boolean hasBias) {
    if (in % spec.groups() != 0 || out % spec.groups() != 0) {
      throw new IllegalArgumentException("conv2d: " + in + " input and " + out + " output channels must be multiples of "
          + spec.groups() + " groups");
    }
    this.spec = spec;
    weight = parameter("weight", out, in / spec.groups(), kernel, kernel);
    bias = hasBias ? parameter("bias", out) : null;
  }

  @Override
  public Tensor product(Tensor x, Tensor weight) {
    return x.conv2d(spec, weight);
  }

  @Override
  public Tensor mixOutputs(Tensor y, Tensor matrix) {
    return y.conv2d(ConvSpec.of(1, 0), matrix.reshape(matrix.size(0), matrix.size(1), 1, 1));
  }

  @Override
  public Tensor scaleOutputs(Tensor y, Tensor factors) {
    return y.mul(factors.reshape(-1, 1, 1).cast(y.dtype()));
  }

  @Override
  Tensor productAndBias(Tensor x) {
    return x.conv2d(spec, weight.value(), bias.value());
  }

  @Override
  Tensor addBias(Tensor y) {
    return y.add(bias.value().reshape(-1, 1, 1).cast(y.dtype()));
  }

  @Override
  public Parameter weight() {
    return weight;
  }

  @Override
  public Parameter bias() {
    return bias;
  }

  /** How the kernel walks. */
  public ConvSpec spec() {
    return spec;
  }

  /** Input channels. */
  public long inChannels() {
    return weight.shape().size(1) * spec.groups();
  }

  /** Output channels. */
  public long outChannels() {
    return weight.shape().size(0);
  }
}
