package org.deft4j.deft;

import org.deft4j.tensor.Tensor;

/**
 * The P of an adapter, and how it becomes thin factors.
 *
 * @param p P [out, columns(r)]
 * @param mask of zeros and ones in the shape of P, which holds elements of P at 0; or null
 */
public record Projection(Tensor p, Tensor mask, Decomposition decomposition) {
  /** Without a mask. */
  public Projection(Tensor p, Decomposition decomposition) {
    this(p, null, decomposition);
  }

  /** What the decomposition decomposes: P where the mask lets it be. */
  Tensor masked() {
    return mask == null ? p : p.mul(mask);
  }

  /** L, S and E. */
  Factors factors(String path) {
    return decomposition.factors(masked(), path);
  }

  /** r. */
  long rank() {
    return p.size(1) / decomposition.columns(1);
  }

  /** Gives the matrices to {@code adapter}. */
  Projection ownedBy(LayerAdapter adapter) {
    Tensor mine = decomposition.trainsProjection() ? adapter.own(DeftAdapter.P, p) : adapter.keep(DeftAdapter.P, p);
    return new Projection(mine, mask == null ? null : adapter.keep(DeftAdapter.MASK, mask), decomposition);
  }
}
