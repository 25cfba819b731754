package org.deft4j.deft;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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
    return Factors.symmetric(q(p, List.of(layer)));
  }

  /**
   * {@inheritDoc}
   *
   * @throws NumericException as for a single one
   */
  @Override
  public Map<String, Factors> factors(Map<String, Tensor> ps) {
    Map<List<Object>, List<String>> alike = new LinkedHashMap<>();
    ps.forEach((layer, p) -> alike.computeIfAbsent(List.of(p.dtype(), p.shape()), _ -> new ArrayList<>()).add(layer));
    Map<String, Factors> factors = new LinkedHashMap<>();
    for (List<String> layers : alike.values()) {
      List<Tensor> same = layers.stream().map(ps::get).toList();
      long rows = same.getFirst().size(0);
      long r = same.getFirst().size(1);
      Tensor q = q(Tensor.concat(0, same).reshape(layers.size(), rows, r), layers).reshape(-1, r);
      for (int i = 0; i < layers.size(); i++) {
        factors.put(layers.get(i), Factors.symmetric(q.slice(0, i * rows, (i + 1) * rows)));
      }
    }
    return factors;
  }

  /** Q of P [..., out, r], those of {@code layers}. */
  private static Tensor q(Tensor p, List<String> layers) {
    Tensor[] qt = Dispatch.run(new Decompose.Qr(), p);
    if (p.device() != Device.META) {
      // The last output is T as it was before it was rounded.
      requireFullRank(qt[qt.length - 1], p.size(-2), layers);
    }
    return qt[0];
  }

  private static void requireFullRank(Tensor ts, long rows, List<String> layers) {
    int r = Math.toIntExact(ts.size(-1));
    double[] values = ts.toDoubles();
    for (int i = 0; i < layers.size(); i++) {
      requireFullRank(Arrays.copyOfRange(values, i * r * r, (i + 1) * r * r), r, rows, layers.get(i));
    }
  }

  private static void requireFullRank(double[] t, int r, long rows, String layer) {
    double largest = 0;
    for (double value : t) {
      largest = Math.max(largest, Math.abs(value));
    }
    for (int j = 0; j < r; j++) {
      double pivot = Math.abs(t[j * r + j]);
      if (!(pivot > rows * ROUNDING * largest)) {
        throw new NumericException("qr: P of " + layer + " [" + rows + ", " + r + "] has lost rank at column " + j
            + " (|T_jj| = " + pivot + ", largest " + largest
            + "), so its orthonormal basis is undefined; lower the learning rate of P, or start from another seed");
      }
    }
  }
}
