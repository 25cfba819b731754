package org.deft4j.deft;

import org.deft4j.tensor.Tensor;

/**
 * {@code M = P P^T}, injected through P: the paper's default, its equation 2 without the orthogonality (DEFT, arXiv
 * 2509.22793). M is symmetric, a projector only where the columns of P are orthonormal.
 */
public record RelaxedDecomposition() implements Decomposition {
  @Override
  public String method() {
    return "relaxed";
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    return Factors.symmetric(p);
  }
}
