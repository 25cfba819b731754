package org.deft4j.deft;

import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Conv2d;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/**
 * LoRA: {@code W' = W + s g B A}, A [r, in] or [r, in, kh, kw], B [out, r], {@code s = alpha / r} (arXiv 2106.09685; PEFT's
 * {@code LoraLayer}). The gate {@code g = sigmoid(G)} of the DEFT authors' code is 1 where there is none.
 */
public sealed class LoraAdapter extends LayerAdapter permits DoraAdapter {
  /** The key of A in a PEFT file. */
  public static final String A = "lora_A.weight";
  /** The key of B in a PEFT file. */
  public static final String B = "lora_B.weight";

  private final Tensor a;
  private final Tensor b;
  private final Tensor gate;
  private final double scale;
  private boolean keepsAlpha;

  /** One without a gate; takes ownership of {@code a} and {@code b}; {@code scale} is s. */
  public LoraAdapter(String path, AdaptedLayer layer, Tensor a, Tensor b, double scale) {
    this(path, layer, a, b, null, scale);
  }

  /**
   * Takes ownership of the matrices.
   *
   * @param gate G [1], or null
   * @param scale s
   */
  public LoraAdapter(String path, AdaptedLayer layer, Tensor a, Tensor b, Tensor gate, double scale) {
    super(path, layer);
    this.a = own(A, a);
    this.b = own(B, b);
    this.gate = gate == null ? null : own(DeftAdapter.GATE, gate);
    this.scale = scale;
  }

  /**
   * {@code adapter} as what it is.
   *
   * @throws InputException if it is no LoRA
   */
  static LoraAdapter of(LayerAdapter adapter) {
    if (adapter instanceof LoraAdapter lora) {
      return lora;
    }
    throw new InputException("layer " + adapter.path() + " is adapted by " + adapter.getClass().getSimpleName()
        + ", which this format cannot hold; convert it to a LoRA first, which needs the model's weights");
  }

  /** B [out, r] of {@code layer} in the shape that files have: [out, r, 1, 1] for a convolution. */
  static Tensor stored(AdaptedLayer layer, Tensor b) {
    return layer instanceof Conv2d ? b.reshape(b.size(0), b.size(1), 1, 1) : b;
  }

  @Override
  public final long rank() {
    return a.size(0);
  }

  /** s. */
  public final double scale() {
    return scale;
  }

  /** An alpha as the tensor [] that files have it in: of {@code type} where that holds the number, else F32. */
  static Tensor alphaTensor(double alpha, DType type) {
    Tensor exact = Tensor.of(new double[] {alpha}, 1).reshape().cast(DType.F32);
    Tensor cast = exact.cast(type);
    return cast.item() == exact.item() ? cast : exact;
  }

  /** Has a file of diffusers tell s by an alpha beside the matrices, as the one did that was read. */
  final void keepAlpha() {
    keepsAlpha = true;
  }

  /** Whether {@link #keepAlpha} was called. */
  final boolean keepsAlpha() {
    return keepsAlpha;
  }

  /** {@code s g}, for files that have no gate. */
  final double openScale() {
    return gate == null ? scale : scale / (1 + Math.exp(-gate.item()));
  }

  /** {@code s r}. */
  final double alpha() {
    return scale * rank();
  }

  @Override
  public LowRankUpdate update() {
    return LowRankUpdate.add(b, gated(a, gate), scale);
  }
}
