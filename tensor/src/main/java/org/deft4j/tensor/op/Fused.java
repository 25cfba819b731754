package org.deft4j.tensor.op;

/** Composites that earn a kernel of their own by saving a pass over memory. */
public sealed interface Fused extends Op {
  /** {@code x [..., 2D] -> value * f(gate) [..., D]}: one is the first half of the last dimension, the other the second. */
  record Gated(Unary activation, boolean gateFirst) implements Fused {
    /** {@code x[..., :D] * gelu(x[..., D:])}, as in the feed-forward layers of Stable Diffusion. */
    public static final Gated GEGLU = new Gated(new Unary.Gelu(), false);

    /** {@code silu(x[..., :D]) * x[..., D:]}, as in those of Phi-3. */
    public static final Gated SWIGLU = new Gated(new Unary.Silu(), true);

    /** Where the value starts in a row of twice {@code width} numbers. */
    public long value(long width) {
      return gateFirst ? width : 0;
    }

    /** Where the gate starts in a row of twice {@code width} numbers. */
    public long gate(long width) {
      return gateFirst ? 0 : width;
    }
  }

  /** {@code dy, x -> dx} of {@link Gated}. */
  record GatedGrad(Gated of) implements Fused {}

  /**
   * {@code x [..., S, 2D], cos, sin [..., S, D] -> [a cos - b sin, b cos + a sin]}, x being {@code [a, b]} along its last dimension:
   * the rotary position embedding (Su et al. 2021) in halves, as Llama and Phi-3 pair the numbers. cos and sin have one shape, which
   * broadcasts to x's; products are rounded before they are added. {@code inverse} turns back: by the negative angles.
   */
  record Rotary(boolean inverse) implements Fused {}

  /** {@code dy, x -> dy * f'(x)}. */
  record ActivationGrad(Unary function) implements Fused {}

  /** {@code x_1, x_2, ... -> sqrt(sum of the squares of all their elements) []}, F64; of any shapes, and one type, F32 or F64. */
  record GlobalNorm() implements Fused {}

  /** {@code dy, y -> y * (dy - sum_dim(dy * y))}. */
  record SoftmaxGrad(int dim) implements Fused {}
}
