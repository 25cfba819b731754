package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Decompose;

/**
 * The singular value decomposition {@code M = U diag(s) V^T} of a {@link LowRank} matrix M [out, in] of width k, in float64 throughout;
 * c = min(out, in, k). Whoever wants all of s in one factor finds both bases here: {@code U (diag(s) V^T)} is orthonormal on the left.
 *
 * @param left U [out, c], orthonormal columns
 * @param values s [c], not negative, largest first
 * @param right V [in, c], orthonormal columns
 */
public record ThinSvd(Tensor left, Tensor values, Tensor right) {
  /**
   * From thin QR decompositions of the factors, {@code u = Q_u T_u} and {@code v^T = Q_v T_v}, and the decomposition of the small core
   * {@code T_u T_v^T = X diag(s) Y^T}: then {@code U = Q_u X} and {@code V = Q_v Y}. Householder reflections make Q orthonormal
   * whatever the columns, dependent or zero. Some {@code 6 k^2 (out + in)} operations; nothing larger than the factors is
   * formed.
   *
   * @throws NumericException if a factor has a value that is not finite, or the core's iteration does not converge
   */
  static ThinSvd of(LowRank matrix) {
    try (Scope scope = Scope.open()) {
      Tensor[] u = qr(matrix.u());
      Tensor[] v = qr(matrix.v().t());
      Tensor[] core = Dispatch.run(new Decompose.Svd(), u[1].matmul(v[1].t()));
      return new ThinSvd(scope.keep(u[0].matmul(core[0])), scope.keep(core[1]), scope.keep(v[0].matmul(core[2])));
    }
  }

  private static Tensor[] qr(Tensor factor) {
    return Dispatch.run(new Decompose.Qr(), factor.cast(DType.F64));
  }

  /**
   * The {@code rank} largest singular values (all c, if there are fewer) and their vectors as factors of {@code type}:
   * {@code u = U_r diag(sqrt s_r)}, {@code v = diag(sqrt s_r) V_r^T}. Column j of u and row j of v have the same norm, so that types of
   * few bits lose as little as they can.
   *
   * @throws ShapeException if {@code rank} is below 1
   */
  public LowRank truncated(long rank, DType type) {
    LowRank.requireRank(rank);
    long r = Math.min(rank, values.size(0));
    try (Scope scope = Scope.open()) {
      Tensor root = values.slice(0, 0, r).sqrt();
      Tensor u = left.slice(1, 0, r).mul(root).cast(type);
      Tensor v = right.slice(1, 0, r).mul(root).cast(type).t().contiguous();
      return new LowRank(u, v).kept(scope);
    }
  }

  /**
   * What truncation to {@code rank} loses: {@code |M - M_r| / |M| = sqrt(sum_{j > r} s_j^2 / sum_j s_j^2)} in the Frobenius norm; 0 for
   * the zero matrix.
   *
   * @throws ShapeException if {@code rank} is below 1
   */
  public double relativeError(long rank) {
    LowRank.requireRank(rank);
    double[] s = values.toDoubles();
    double dropped = 0;
    double all = 0;
    for (int j = s.length - 1; j >= 0; j--) {
      // Over the largest, so that no square overflows; from the smallest on, so that none is lost.
      double ratio = s[0] == 0 ? 0 : s[j] / s[0];
      all += ratio * ratio;
      if (j >= rank) {
        dropped = all;
      }
    }
    return all == 0 ? 0 : Math.sqrt(dropped / all);
  }
}
