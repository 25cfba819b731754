package org.deft4j.deft;

import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Decompose;

/**
 * {@code P = Q T}, Q [out, r] with orthonormal columns, {@code M = Q Q^T}, injected through Q: an orthogonal projector, and
 * PEFT's {@code qr}. Factored and differentiated in float64, with the column signs of LAPACK's Householder reflections
 * ({@code T_jj = -sign(pivot) * norm}), on which adapters trained elsewhere depend.
 */
public record QrDecomposition() implements Decomposition {
  /** For each row, above what Householder's reflections leave of a dependent column: 3 units at most for 2 rows, 6 for 64. */
  private static final double ROUNDING = 4 * Math.ulp(1.0);

  @Override
  public String method() {
    return "qr";
  }

  /**
   * {@inheritDoc}
   *
   * @throws NumericException if the columns of P are linearly dependent to the rounding of float64: Q and its gradient
   *     are undefined there
   */
  @Override
  public Factors factors(Tensor p, String layer) {
    Tensor[] qt = Dispatch.run(new Decompose.Qr(), p);
    if (p.device() != Device.META) {
      // The last output is T as it was before it was rounded.
      requireFullRank(qt[qt.length - 1], p.size(0), layer);
    }
    return Factors.symmetric(qt[0]);
  }

  private static void requireFullRank(Tensor t, long rows, String layer) {
    int r = Math.toIntExact(t.size(0));
    double[] values = t.toDoubles();
    double largest = 0;
    for (double value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    for (int j = 0; j < r; j++) {
      if (!(Math.abs(values[j * r + j]) > rows * ROUNDING * largest)) {
        throw new NumericException("qr: P of " + layer + " [" + rows + ", " + r + "] has lost rank at column " + j
            + " (|T_jj| = " + Math.abs(values[j * r + j]) + ", largest " + largest
            + "), so its orthonormal basis is undefined; lower the learning rate of P, or start from another seed");
      }
    }
  }
}
