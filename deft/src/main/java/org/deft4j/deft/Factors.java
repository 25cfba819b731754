package org.deft4j.deft;

import org.deft4j.tensor.Tensor;

/**
 * What a {@link Decomposition} makes of P: thin factors, each [out, r], of the removed part {@code M = left right^T} of a
 * weight, and the basis {@code injection} into which R writes. In the notation of the kernel in {@link LowRankUpdate}: L, S
 * and E. Where two of them are the same matrix they are the same object, and the kernel saves a product.
 *
 * @param left L
 * @param right S
 * @param injection E
 */
public record Factors(Tensor left, Tensor right, Tensor injection) {
  /** {@code M = q q^T}, injected through q. */
  public static Factors symmetric(Tensor q) {
    return new Factors(q, q, q);
  }

  /**
   * Whether some R cancels the removal exactly: {@code E R = L S^T W} has the solution {@code R = S^T W} where E is L. Then
   * an adapter can start as the identity.
   */
  public boolean canStartAtIdentity() {
    return left == injection;
  }
}
