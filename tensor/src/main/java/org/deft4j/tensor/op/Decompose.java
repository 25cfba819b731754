package org.deft4j.tensor.op;

/** Matrix decompositions, in float64 whatever the type of the input [..., M, N], the result rounded to that type. */
public sealed interface Decompose extends Op {
  /**
   * Thin: {@code Q [..., M, K], R [..., K, N]}, K = min(M, N), with LAPACK's signs: {@code R_jj = -sign(pivot) * norm}. Of an F32 input two
   * more outputs, Q and R in F64, before they are rounded.
   */
  record Qr() implements Decompose {}

  /**
   * The gradient by x of a {@link Qr} with M at least N (Walter and Lehmann 2010), {@code dx = (dQ + Q sym(R dR^T - dQ^T Q)) R^-T}, sym
   * taking the lower triangle and mirroring it. Inputs: Q and R in F64, dQ in the type of x, and dR if it is not zero.
   */
  record QrGrad() implements Decompose {}

  /** Three outputs, thin: {@code U [..., M, K], S [..., K], V [..., N, K]}, {@code x = U diag(S) V^T}, S descending. */
  record Svd() implements Decompose {}

  /** The lower triangle L with {@code x = L L^T}, x symmetric positive definite. */
  record Cholesky() implements Decompose {}

  /** The inverse of a square matrix. */
  record Inverse() implements Decompose {}
}
