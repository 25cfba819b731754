package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
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

  /**
   * {@code N(0, min(0.02, 2 / sqrt(out r))^2)}. All of relu(P) points the same way, so that with the deviation of others M would grow with out r,
   * to 39 times the weight on a layer of 9216 outputs at rank 64; nothing can put that back at the start, since what M removes is not
   * in the span of P.
   */
  @Override
  public Tensor start(RandomSource random, DType type, long out, long rank) {
    return random.normal(type, out, rank).mul(Math.min(0.02, 2 / Math.sqrt((double) out * rank)));
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    Tensor rectified = p.relu();
    return new Factors(rectified, rectified, p);
  }
}
