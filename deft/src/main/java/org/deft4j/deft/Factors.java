package org.deft4j.deft;

import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Decompose;

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
  /** How much of L, relative to it, may lie outside the span of E: what rounding the factors to float32 leaves, and no more. */
  private static final double MISSED = 1e-5;

  /** {@code M = q q^T}, injected through q. */
  public static Factors symmetric(Tensor q) {
    return new Factors(q, q, q);
  }

  /** With handles of its own on the same values, owned by no scope and added to {@code handles}; equal factors stay one object. */
  Factors shared(List<Tensor> handles) {
    IdentityHashMap<Tensor, Tensor> shared = new IdentityHashMap<>();
    for (Tensor factor : List.of(left, right, injection)) {
      shared.computeIfAbsent(factor, Tensor::share);
    }
    handles.addAll(shared.values());
    return new Factors(shared.get(left), shared.get(right), shared.get(injection));
  }

  /**
   * C [r, k] in float64 with {@code E C = L}, by least squares; empty where L does not lie in the span of E. With it
   * {@code R = C S^T W} puts back what is removed, {@code E R = L S^T W}, so that an adapter can start as the identity.
   */
  Optional<Tensor> leftThroughInjection() {
    Tensor e = injection.cast(DType.F64);
    Tensor l = left.cast(DType.F64);
    Tensor[] qt = Dispatch.run(new Decompose.Qr(), e);
    Tensor projected = qt[0].t().matmul(l);
    if (left.device() == Device.META) {
      return Optional.of(projected);
    }
    Tensor c = Tensor.of(solved(qt[1].toDoubles(), projected), projected.shape().toArray());
    double missed = norm(e.matmul(c).sub(l));
    return missed <= MISSED * norm(l) ? Optional.of(c) : Optional.empty();
  }

  /** {@code T^-1 B}, T [r, r] upper triangular, B [r, k], from the last row back. */
  private static double[] solved(double[] t, Tensor b) {
    int r = Math.toIntExact(b.size(0));
    int k = Math.toIntExact(b.size(1));
    double[] x = b.toDoubles();
    for (int i = r - 1; i >= 0; i--) {
      for (int j = 0; j < k; j++) {
        double sum = x[i * k + j];
        for (int s = i + 1; s < r; s++) {
          sum -= t[i * r + s] * x[s * k + j];
        }
        x[i * k + j] = sum / t[i * r + i];
      }
    }
    return x;
  }

  private static double norm(Tensor x) {
    return Math.sqrt(x.mul(x).sum().item());
  }
}
