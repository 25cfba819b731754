package org.deft4j.deft;

import org.deft4j.tensor.Tensor;

/** LoRA: {@code W' = W + s B A}, A [r, in], B [out, r], {@code s = alpha / r} (arXiv 2106.09685; PEFT's {@code LoraLayer}). */
public final class LoraAdapter extends LayerAdapter {
  /** The key of A in a PEFT file. */
  public static final String A = "lora_A.weight";
  /** The key of B in a PEFT file. */
  public static final String B = "lora_B.weight";

  private final Tensor a;
  private final Tensor b;
  private final double scale;

  /** Takes ownership of {@code a} [r, in] and {@code b} [out, r]; {@code scale} is s. */
  public LoraAdapter(String layer, Tensor a, Tensor b, double scale) {
    super(layer);
    this.a = own(A, a);
    this.b = own(B, b);
    this.scale = scale;
  }

  @Override
  public long rank() {
    return a.size(0);
  }

  @Override
  public LowRankUpdate update() {
    return LowRankUpdate.add(b, a, scale);
  }
}
