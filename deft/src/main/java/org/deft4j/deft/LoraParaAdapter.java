package org.deft4j.deft;

import org.deft4j.nn.AdaptedLayer;
import org.deft4j.tensor.Tensor;

/**
 * LoRA and PaRa together: {@code W' = W - L S^T W + s g B A}, P, A and B independent of each other (the authors' {@code lorapara}). It has
 * {@code r (2 out + in)} trained numbers.
 */
public final class LoraParaAdapter extends LayerAdapter {
  private final Projection projection;
  private final Tensor a;
  private final Tensor b;
  private final Tensor gate;
  private final double scale;

  /**
   * Takes ownership of the matrices.
   *
   * @param gate G [1] of what is added, or null
   * @param scale s
   */
  public LoraParaAdapter(String path, AdaptedLayer layer, Projection projection, Tensor a, Tensor b, Tensor gate, double scale) {
    super(path, layer);
    this.projection = projection.ownedBy(this);
    this.a = own(LoraAdapter.A, a);
    this.b = own(LoraAdapter.B, b);
    this.gate = gate == null ? null : own(DeftAdapter.GATE, gate);
    this.scale = scale;
  }

  @Override
  Projection projection() {
    return projection;
  }

  @Override
  public long rank() {
    return projection.rank();
  }

  @Override
  public LowRankUpdate update() {
    Factors removed = factors();
    return new LowRankUpdate(removed.left(), removed.right(), b, gated(a, gate), scale);
  }
}
