package org.deft4j.deft;

import org.deft4j.tensor.Tensor;

/**
 * PaRa: {@code W' = W - L S^T W}, a part of the output space removed and nothing put in its place (ICLR 2025; PEFT's
 * {@code para}). With QR it is {@code (I - Q Q^T) W}. It cannot start as the identity.
 */
public final class ParaAdapter extends LayerAdapter {
  private final Tensor p;
  private final Decomposition decomposition;

  /** Takes ownership of {@code p} [out, r]. */
  public ParaAdapter(String layer, Tensor p, Decomposition decomposition) {
    super(layer);
    this.p = own(DeftAdapter.P, p);
    this.decomposition = decomposition;
  }

  @Override
  public long rank() {
    return p.size(1);
  }

  @Override
  public LowRankUpdate update() {
    return LowRankUpdate.remove(decomposition.factors(p, layer()));
  }
}
