package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Decompose;

/**
 * {@code P = U diag(s) V^T} [out, r], factored and differentiated in float64. The columns of U have the sign that makes their
 * entry of largest
 * magnitude positive, the first of several: a decomposition leaves them free, but R is trained against them.
 *
 * @param u U [out, r], float64
 * @param s the singular values [r], descending, float64
 * @param kept how many take part
 */
record Spectrum(Tensor u, Tensor s, long kept) {
  static Spectrum of(Tensor p, Truncation truncation) {
    return of(p, truncation, 0);
  }

  /** Kept by the eigenvalues of {@code P P^T + jitter 1}, where every direction has its jitter. */
  static Spectrum of(Tensor p, Truncation truncation, double jitter) {
    Tensor[] usv = Dispatch.run(new Decompose.Svd(), p.cast(DType.F64));
    Tensor u = usv[0];
    Tensor s = usv[1];
    if (p.device() == Device.META) {
      return new Spectrum(u.mul(s.sign().add(1)), s, s.size(0));
    }
    return new Spectrum(u.mul(signs(u)), s, truncation.kept(s.square().add(jitter).toDoubles(), jitter * (p.size(0) - p.size(1))));
  }

  /** A P whose singular values are near 1: {@code N(0, 1/out)}. */
  static Tensor nearOne(RandomSource random, DType type, long out, long rank) {
    return random.normal(type, out, rank).mul(1 / Math.sqrt((double) out));
  }

  private static Tensor signs(Tensor u) {
    double[] values = u.toDoubles();
    int r = Math.toIntExact(u.size(1));
    double[] signs = new double[r];
    for (int j = 0; j < r; j++) {
      double largest = 0;
      for (int i = j; i < values.length; i += r) {
        if (Math.abs(values[i]) > Math.abs(largest)) {
          largest = values[i];
        }
      }
      signs[j] = largest < 0 ? -1 : 1;
    }
    return Tensor.of(signs, r);
  }

  /** The columns of U that take part. */
  Tensor basis() {
    return kept == u.size(1) ? u : u.slice(1, 0, kept);
  }

  /** Their singular values. */
  Tensor values() {
    return kept == s.size(0) ? s : s.slice(0, 0, kept);
  }

  /** U in the type of P, or {@code left} where nothing is left out: what R is injected through. */
  Tensor injection(Tensor left, Tensor p) {
    return kept == u.size(1) ? left : u.cast(p.dtype());
  }
}
