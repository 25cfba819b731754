package org.deft4j.deft;

import org.deft4j.tensor.Tensor;

/**
 * {@code M = P relu(P)^T}, injected through P: what the authors' released code runs, and PEFT's {@code relu}. M is not
 * symmetric.
 */
public record ReluDecomposition() implements Decomposition {
  @Override
  public String method() {
    return "relu";
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    return new Factors(p, p.relu(), p);
  }
}
