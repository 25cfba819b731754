package org.deft4j.deft;

import java.util.List;
import org.deft4j.tensor.DTypeException;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;

/**
 * The matrix {@code M = u v} [out, in] as its thin factors, never formed: what an adapter adds to a weight, or a sum of such
 * changes. Results belong to the innermost {@link Scope}; {@link #truncated} and {@link #plus} may hand on the factors they were given.
 *
 * @param u [out, k], F32 or F64
 * @param v [k, in], of the type of u; k may exceed out and in, and the factors may have dependent columns or be zero
 */
public record LowRank(Tensor u, Tensor v) {
  /**
   * Checks the factors.
   *
   * @throws ShapeException if they are not matrices with a common k, or have no elements
   * @throws DTypeException if their types differ, or are neither F32 nor F64
   */
  public LowRank {
    if (u.rank() != 2 || v.rank() != 2 || u.size(1) != v.size(0) || u.elementCount() == 0 || v.elementCount() == 0) {
      throw new ShapeException("low rank: expected factors u [out, k] and v [k, in], each size at least 1; found " + u + " and " + v);
    }
    if (!u.dtype().isComputable() || v.dtype() != u.dtype()) {
      throw new DTypeException("low rank: expected factors that are both F32 or both F64, found " + u + " and " + v
          + "; cast them first");
    }
  }

  /** M [out, in]. */
  public Tensor matrix() {
    return u.matmul(v);
  }

  /** The rows of M. */
  public long out() {
    return u.size(0);
  }

  /** The columns of M. */
  public long in() {
    return v.size(1);
  }

  /** k, the width of the factors: the rank of M is at most that. */
  public long width() {
    return u.size(1);
  }

  /** {@code M + N}: the factors side by side, {@code [u_M u_N] [v_M; v_N]}. */
  public LowRank plus(LowRank other) {
    return sum(List.of(this, other));
  }

  /**
   * {@code M_1 + M_2 + ...}: the factors side by side, the widths added up.
   *
   * @throws IllegalArgumentException if there is no summand
   * @throws ShapeException if their sizes differ
   * @throws DTypeException if their types differ
   */
  public static LowRank sum(List<LowRank> summands) {
    if (summands.isEmpty()) {
      throw new IllegalArgumentException("low rank: a sum needs at least one summand");
    }
    LowRank first = summands.getFirst();
    for (LowRank other : summands) {
      if (other.out() != first.out() || other.in() != first.in()) {
        throw new ShapeException("low rank: summands must have one size, found [" + first.out() + ", " + first.in() + "] and ["
            + other.out() + ", " + other.in() + "]");
      }
      if (other.u.dtype() != first.u.dtype()) {
        throw new DTypeException("low rank: summands must have one type, found " + first.u.dtype() + " and " + other.u.dtype()
            + "; cast their factors first");
      }
    }
    return summands.size() == 1 ? first : new LowRank(Tensor.concat(1, summands.stream().map(LowRank::u).toList()),
        Tensor.concat(0, summands.stream().map(LowRank::v).toList()));
  }

  /** {@code factor M}; the factor goes into u. */
  public LowRank scaled(double factor) {
    return factor == 1 ? this : new LowRank(u.mul(factor), v);
  }

  /** {@code M^T = v^T u^T}. */
  public LowRank transposed() {
    return new LowRank(v.t().contiguous(), u.t().contiguous());
  }

  /**
   * The singular values and vectors of M, in float64.
   *
   * @throws NumericException if a factor has a value that is not finite
   */
  public ThinSvd svd() {
    requireFinite();
    return ThinSvd.of(this);
  }

  /**
   * The best approximation of M of at most {@code rank} in the Frobenius norm (Eckart and Young 1936): the largest singular values
   * and their vectors, worked out in float64, split evenly between the factors and rounded once to their type. Factors that are no
   * wider than {@code rank} are returned as they are.
   *
   * @throws ShapeException if {@code rank} is below 1
   * @throws NumericException if a factor has a value that is not finite
   */
  public LowRank truncated(long rank) {
    requireRank(rank);
    requireFinite();
    if (width() <= rank) {
      return this;
    }
    try (Scope scope = Scope.open()) {
      return ThinSvd.of(this).truncated(rank, u.dtype()).kept(scope);
    }
  }

  /**
   * The singular values of M, largest first: min(out, in, k) of them; the others are zero.
   *
   * @throws NumericException if a factor has a value that is not finite
   */
  public double[] singularValues() {
    try (Scope _ = Scope.open()) {
      return svd().values().toDoubles();
    }
  }

  /** {@link ThinSvd#relativeError} of M; who wants it for several ranks, or also the truncated matrix, asks {@link #svd} once. */
  public double relativeError(long rank) {
    try (Scope _ = Scope.open()) {
      return svd().relativeError(rank);
    }
  }

  /** Hands the factors from {@code scope} to the one around it. */
  LowRank kept(Scope scope) {
    scope.keep(u);
    scope.keep(v);
    return this;
  }

  static void requireRank(long rank) {
    if (rank < 1) {
      throw new ShapeException("low rank: rank: expected at least 1, found " + rank);
    }
  }

  private void requireFinite() {
    requireFinite(u, "u");
    requireFinite(v, "v");
  }

  private static void requireFinite(Tensor factor, String name) {
    if (!Finite.holds(factor)) {
      throw new NumericException("low rank: factor " + name + ", " + factor + ", has a value that is not finite");
    }
  }
}
