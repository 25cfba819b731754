package org.deft4j.deft.testing;

import org.deft4j.deft.Factors;

/**
 * What a decomposition makes of P, without thinness: {@code W' = W - M W + s E R}.
 *
 * @param removal M [out, out]
 * @param injection E [out, r]
 */
public record DenseFactors(Dense removal, Dense injection) {
  /** {@code M = L S^T}. */
  public static DenseFactors of(Factors factors) {
    return new DenseFactors(Dense.of(factors.left()).times(Dense.of(factors.right()).t()), Dense.of(factors.injection()));
  }

  /** {@code M = L S^T}. */
  public static DenseFactors of(Dense left, Dense right, Dense injection) {
    return new DenseFactors(left.times(right.t()), injection);
  }
}
