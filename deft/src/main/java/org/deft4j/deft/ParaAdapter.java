package org.deft4j.deft;

import org.deft4j.nn.AdaptedLayer;

/**
 * PaRa: {@code W' = W - L S^T W}, a part of the output space removed and nothing put in its place (ICLR 2025; PEFT's
 * {@code para}). With QR it is {@code (I - Q Q^T) W}. It cannot start as the identity.
 *
 * <p>Dropout that spares the frozen weight drops what is removed, as in the authors' code: {@code y = x W^T - (x~ W^T S) L^T}.
 */
public final class ParaAdapter extends LayerAdapter {
  private final Projection projection;

  /** Takes ownership of the matrices. */
  public ParaAdapter(String path, AdaptedLayer layer, Projection projection) {
    super(path, layer);
    this.projection = projection.ownedBy(this);
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
    return LowRankUpdate.remove(factors());
  }

  @Override
  boolean dropsProduct() {
    return true;
  }
}
