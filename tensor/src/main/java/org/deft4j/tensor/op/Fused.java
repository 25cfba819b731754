package org.deft4j.tensor.op;

/** Composites that earn a kernel of their own by saving a pass over memory. */
public sealed interface Fused extends Op {
  /** {@code x [..., 2D] -> x[..., :D] * gelu(x[..., D:]) [..., D]}: the value is the first half, the gate the second. */
  record Geglu() implements Fused {}

  /** {@code dy, x -> dx} of {@link Geglu}. */
  record GegluGrad() implements Fused {}

  /** {@code dy, x -> dy * f'(x)}. */
  record ActivationGrad(Unary function) implements Fused {}

  /** {@code dy, y -> y * (dy - sum_dim(dy * y))}. */
  record SoftmaxGrad(int dim) implements Fused {}
}
