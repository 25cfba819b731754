package org.deft4j.autograd;

import java.util.function.BiFunction;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.Op;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.input;
import static org.deft4j.autograd.Saves.output;

/**
 * Matrix decompositions, batched over leading dimensions. All is computed in float64: x is kept and decomposed again, for
 * the outputs were rounded to x's type, and where columns are nearly equal that rounding is amplified by the inverse of
 * the smallest pivot. A QR, which training goes through in every step, gives its factors in float64 for this.
 */
final class DecomposeRules {
  private static final double EPSILON = Math.ulp(1.0);

  private DecomposeRules() {}

  static Rule of(Decompose op) {
    return switch (op) {
      case Decompose.Qr() -> Rule.of(keeping(output(0).and(output(1)).and(output(2)).and(output(3)), DecomposeRules::qr));
      case Decompose.Svd() -> inDouble(DecomposeRules::svd);
      case Decompose.Cholesky() -> inDouble((b, x) -> cholesky(x, wide(b, 0)));
      case Decompose.Inverse() -> inDouble((b, x) -> inverse(x, wide(b, 0)));
      case Decompose.QrGrad() -> throw Rule.firstOrderOnly(op);
    };
  }

  private static Rule inDouble(BiFunction<Backward, Tensor, Tensor> gradient) {
    return Rule.of(keeping(input(0), b -> gradient.apply(b, b.input(0).cast(DType.F64)).cast(b.gradientType(0))));
  }

  private static Tensor wide(Backward b, int output) {
    return b.dy(output) == null ? null : b.dy(output).cast(DType.F64);
  }

  private static Tensor run(Decompose op, Tensor x) {
    return Dispatch.run(op, x)[0];
  }

  // ---------------------------------------------------------------------------------------------------------- QR

  private static Tensor qr(Backward b) {
    b.onlyThrough(2);
    Tensor q = b.output(b.outputs() - 2);
    Tensor r = b.output(b.outputs() - 1);
    long m = r.size(-2);
    long n = r.size(-1);
    if (m == n) {
      requirePivots(b, r);
      return tall(q, r, b.dy(0), b.dy(1), b.gradientType(0));
    }
    // x = [x1 x2], r = [t z] with x1 = q t square and x2 = q z, so z = q^T x2:
    // dq gains x2 dz^T = q z dz^T, and dx2 = q dz
    Tensor t = r.slice(-1, 0, m);
    requirePivots(b, t);
    Tensor dq = wide(b, 0);
    Tensor dr = wide(b, 1);
    if (dr == null) {
      Tensor dx2 = Backward.filled(q.device(), DType.F64, r.slice(-1, m, n).shape(), 0);
      return Tensor.concat(-1, tall(q, t, dq, null, DType.F64), dx2).cast(b.gradientType(0));
    }
    Tensor dz = dr.slice(-1, m, n);
    Tensor dqAll = sum(dq, q.matmul(r.slice(-1, m, n).matmul(dz.t())));
    return Tensor.concat(-1, tall(q, t, dqAll, dr.slice(-1, 0, m), DType.F64), q.matmul(dz)).cast(b.gradientType(0));
  }

  /** The gradient by {@code x = q r} of that many columns, in type {@code type}; dq or dr may be null. */
  private static Tensor tall(Tensor q, Tensor r, Tensor dq, Tensor dr, DType type) {
    Tensor left = dq != null ? dq : Backward.filled(q.device(), type, q.shape(), 0);
    Op gradient = new Decompose.QrGrad();
    return dr == null ? Dispatch.run(gradient, q, r, left)[0] : Dispatch.run(gradient, q, r, left, dr)[0];
  }

  private static Tensor sum(Tensor a, Tensor b) {
    return a == null ? b : a.add(b);
  }

  /** The smallest |r_jj| must stand out from rounding: otherwise q is arbitrary, and so would its gradient be. */
  private static void requirePivots(Backward b, Tensor r) {
    if (r.device() == Device.META) {
      return;
    }
    double[] values = r.toDoubles();
    int n = (int) r.size(-1);
    for (int at = 0; at < values.length; at += n * n) {
      double smallest = Double.POSITIVE_INFINITY;
      double largest = 0;
      for (int j = 0; j < n; j++) {
        double pivot = Math.abs(values[at + j * n + j]);
        smallest = Math.min(smallest, pivot);
        largest = Math.max(largest, pivot);
      }
      double limit = EPSILON * Math.max(b.shape(0).size(-1), b.shape(0).size(-2));
      if (!(smallest > limit * largest)) {
        throw new NumericException("qr: gradient: the columns of " + describe(b) + " are not independent: the smallest "
            + "pivot is " + (largest == 0 ? 0 : smallest / largest) + " of the largest, and must exceed " + limit
            + "; start from a matrix of full rank, or lower the learning rate");
      }
    }
  }

  private static String describe(Backward b) {
    return b.value(0).dtype() + b.shape(0).toString();
  }

  // --------------------------------------------------------------------------------------------------------- SVD

  /**
   * {@code x = u diag(s) v^T} (Townsend, "Differentiating the singular value decomposition", 2016). With
   * {@code E_ij = s_j^2 - s_i^2} off the diagonal and 1 on it, and {@code skew(A) = A - A^T}:
   *
   * <pre>
   *   dx = u (skew(u^T du)/E S + S skew(v^T dv)/E + diag(ds)) v^T
   *      + (1 - u u^T) du S^-1 v^T        where M &gt; K
   *      + u S^-1 dv^T (1 - v v^T)        where N &gt; K
   * </pre>
   */
  private static Tensor svd(Backward b, Tensor x) {
    Tensor[] usv = Dispatch.run(new Decompose.Svd(), x);
    Tensor u = usv[0];
    Tensor s = usv[1];
    Tensor v = usv[2];
    Tensor du = wide(b, 0);
    Tensor ds = wide(b, 1);
    Tensor dv = wide(b, 2);
    Tensor column = s.unsqueeze(-1);
    Tensor row = s.unsqueeze(-2);
    Tensor one = identity(s);
    boolean tall = x.size(-2) > s.size(-1);
    boolean wide = x.size(-1) > s.size(-1);
    if (du != null || dv != null) {
      requireGaps(b, s, (du != null && tall) || (dv != null && wide));
    }
    Tensor gaps = row.square().sub(column.square()).add(one);
    Tensor inner = ds == null ? null : one.mul(ds.unsqueeze(-1));
    Tensor outside = null;
    if (du != null) {
      Tensor mixing = u.t().matmul(du);
      inner = sum(inner, skew(mixing).div(gaps).mul(row));
      outside = tall ? du.sub(u.matmul(mixing)).div(row).matmul(v.t()) : null;
    }
    if (dv != null) {
      Tensor mixing = v.t().matmul(dv);
      inner = sum(inner, skew(mixing).div(gaps).mul(column));
      outside = wide ? sum(outside, u.matmul(dv.sub(v.matmul(mixing)).div(row).t())) : outside;
    }
    return sum(outside, u.matmul(inner).matmul(v.t()));
  }

  private static Tensor skew(Tensor a) {
    return a.sub(a.t());
  }

  /** The identity of the size of s. */
  private static Tensor identity(Tensor s) {
    return Backward.filled(s.device(), DType.F64, Shape.of(s.size(-1), s.size(-1)), 1).tril(0).triu(0);
  }

  /** Singular vectors of equal singular values can be rotated among themselves: they have no gradient. */
  private static void requireGaps(Backward b, Tensor s, boolean nonZero) {
    if (s.device() == Device.META) {
      return;
    }
    double[] values = s.toDoubles();
    int k = (int) s.size(-1);
    double limit = EPSILON * Math.max(b.shape(0).size(-1), b.shape(0).size(-2));
    for (int at = 0; at < values.length; at += k) {
      for (int i = 0; i < k; i++) {
        double next = i + 1 < k ? values[at + i + 1] : 0;
        boolean matters = i + 1 < k || nonZero;
        double gap = (values[at + i] - next) / values[at];
        if (matters && !(gap > limit)) {
          throw new NumericException("svd: gradient: singular values " + values[at + i] + " and " + next + " of "
              + describe(b) + " cannot be told apart (gap " + gap + " of the largest, must exceed " + limit
              + "), so their vectors have no gradient; use the singular values only, or a qr");
        }
      }
    }
  }

  // ------------------------------------------------------------------------------------------ Cholesky, inverse

  /**
   * {@code x = L L^T} (Murray, "Differentiation of the Cholesky decomposition", 2016): {@code dx = L^-T phi(L^T dL) L^-1},
   * made symmetric, where phi takes the lower triangle and half of the diagonal.
   */
  private static Tensor cholesky(Tensor x, Tensor dl) {
    Tensor l = run(new Decompose.Cholesky(), x);
    Tensor inverse = run(new Decompose.Inverse(), l);
    Tensor inner = l.t().matmul(dl);
    Tensor phi = inner.tril(0).add(inner.tril(-1)).mul(0.5);
    Tensor dx = inverse.t().matmul(phi).matmul(inverse);
    return dx.add(dx.t()).mul(0.5);
  }

  /** {@code y x = 1}, so {@code dy x + y dx = 0} for differentials, and for gradients {@code dx = -y^T dy y^T}. */
  private static Tensor inverse(Tensor x, Tensor dy) {
    Tensor y = run(new Decompose.Inverse(), x).t();
    return y.matmul(dy).matmul(y).neg();
  }
}
