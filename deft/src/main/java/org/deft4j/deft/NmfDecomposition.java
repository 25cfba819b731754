package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * Two trainable matrices without negative entries, {@code W = relu(P[:, :r])} and {@code H = relu(P[:, r:])^T}, P [out, 2 r]:
 * the paper's non-negative
 * factorisation {@code M = W H}, injected through W; or its transpose {@code M = H^T W^T}, which is what official PaRa's {@code
 * nmf} computes. Neither is symmetric, nor a
 * projector.
 *
 * @param official the transpose
 */
public record NmfDecomposition(boolean official) implements Decomposition {
  @Override
  public String method() {
    return official ? "nmf" : "nmf-paper";
  }

  @Override
  public long columns(long rank) {
    return 2 * rank;
  }

  /** {@code |N(0, 1/(out r))|}: M then has eigenvalues below 1. */
  @Override
  public Tensor start(RandomSource random, DType type, long out, long rank) {
    return random.normal(type, out, columns(rank)).abs().mul(1 / Math.sqrt((double) out * rank));
  }

  /** {@code |N(0, 1)|}. */
  @Override
  public Tensor officialStart(RandomSource random, DType type, long out, long rank) {
    return random.normal(type, out, columns(rank)).abs();
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    long r = p.size(1) / 2;
    Tensor w = p.slice(1, 0, r).relu();
    Tensor h = p.slice(1, r, 2 * r).relu();
    return official ? new Factors(h, w, w) : new Factors(w, h, w);
  }
}
