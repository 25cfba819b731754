package org.deft4j.tensor.op;

/** Matrix decompositions, in float64 whatever the type of the input [..., M, N], the result rounded to that type. */
public sealed interface Decompose extends Op {
  /**
   * Two outputs, thin: {@code Q [..., M, K], R [..., K, N]}, K = min(M, N), with LAPACK's signs: {@code R_jj = -sign(pivot) * norm}.
   */
  record Qr() implements Decompose {}

  /** Three outputs, thin: {@code U [..., M, K], S [..., K], V [..., N, K]}, {@code x = U diag(S) V^T}, S descending. */
  record Svd() implements Decompose {}

  /** The lower triangle L with {@code x = L L^T}, x symmetric positive definite. */
  record Cholesky() implements Decompose {}

  /** The inverse of a square matrix. */
  record Inverse() implements Decompose {}
}
