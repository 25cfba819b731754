package org.deft4j.deft;

import org.deft4j.tensor.Tensor;

/**
 * {@code M = relu(P) relu(P)^T}, injected through P: the paper's rectified projection (P_nmf in its figure 3 and table 4). M is
 * symmetric with no negative
 * entry, and no projector.
 */
public record RectifiedDecomposition() implements Decomposition {
  @Override
  public String method() {
    return "relu-relu";
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    Tensor rectified = p.relu();
    return new Factors(rectified, rectified, p);
  }
}
