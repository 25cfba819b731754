package org.deft4j.deft.testing;

import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * The thin singular value decomposition {@code A = U diag(s) V^T}, A [m, n], by one-sided Jacobi rotations (Hestenes, 1958):
 * pairs of columns of A are turned until all are at right angles; their lengths are the singular values. Slow, and accurate for
 * small singular values too.
 *
 * @param u U [m, min(m, n)]; a column of a singular value that is 0 is 0
 * @param s descending
 * @param v V [n, min(m, n)]
 */
public record JacobiSvd(Dense u, double[] s, Dense v) {
  private static final int SWEEPS = 60;
  private static final double EPSILON = Math.ulp(1.0);

  /** The decomposition of {@code a}. */
  public static JacobiSvd of(Dense a) {
    if (a.height() < a.width()) {
      JacobiSvd transposed = of(a.t());
      return new JacobiSvd(transposed.v, transposed.s, transposed.u);
    }
    // Rows are what Java keeps together: work on the transposes.
    double[][] columns = a.t().rows();
    double[][] v = Dense.identity(a.width()).rows();
    // A column this short is rounding alone: it has no direction to turn to.
    double nothing = a.height() * EPSILON * a.frobenius();
    int sweep = 0;
    while (sweep(columns, v, nothing)) {
      if (++sweep == SWEEPS) {
        throw new AssertionError("the oracle's singular values of a " + a.height() + " x " + a.width() + " matrix did not converge");
      }
    }
    return sorted(columns, v);
  }

  private static boolean sweep(double[][] columns, double[][] v, double nothing) {
    boolean turned = false;
    for (int p = 0; p < columns.length; p++) {
      for (int q = p + 1; q < columns.length; q++) {
        double pp = dot(columns[p], columns[p]);
        double qq = dot(columns[q], columns[q]);
        double pq = dot(columns[p], columns[q]);
        double limit = columns[p].length * EPSILON * Math.sqrt(pp) * Math.sqrt(qq);
        if (Math.sqrt(Math.min(pp, qq)) > nothing && Math.abs(pq) > limit) {
          turned = true;
          double zeta = (qq - pp) / (2 * pq);
          double tangent = Math.copySign(1, zeta) / (Math.abs(zeta) + Math.hypot(1, zeta));
          double cosine = 1 / Math.hypot(1, tangent);
          turn(columns[p], columns[q], cosine, cosine * tangent);
          turn(v[p], v[q], cosine, cosine * tangent);
        }
      }
    }
    return turned;
  }

  private static void turn(double[] p, double[] q, double cosine, double sine) {
    for (int i = 0; i < p.length; i++) {
      double old = p[i];
      p[i] = cosine * old - sine * q[i];
      q[i] = sine * old + cosine * q[i];
    }
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static JacobiSvd sorted(double[][] columns, double[][] v) {
    double[] lengths = IntStream.range(0, columns.length).mapToDouble(j -> Math.sqrt(dot(columns[j], columns[j]))).toArray();
    int[] order = IntStream.range(0, lengths.length).boxed().sorted(Comparator.comparingDouble(j -> -lengths[j])).mapToInt(j -> j)
        .toArray();
    double[] s = IntStream.of(order).mapToDouble(j -> lengths[j]).toArray();
    double[][] left = IntStream.of(order).mapToObj(j -> columns[j]).toArray(double[][]::new);
    double[][] right = IntStream.of(order).mapToObj(j -> v[j]).toArray(double[][]::new);
    double[] inverse = IntStream.range(0, s.length).mapToDouble(j -> s[j] == 0 ? 0 : 1 / s[j]).toArray();
    return new JacobiSvd(new Dense(left).t().timesColumns(inverse), s, new Dense(right).t());
  }

  /** U with the signs that make the entry of largest magnitude of every column positive, the first of several. */
  public Dense signedU() {
    double[] signs = new double[s.length];
    for (int j = 0; j < signs.length; j++) {
      double largest = 0;
      for (double[] row : u.rows()) {
        if (Math.abs(row[j]) > Math.abs(largest)) {
          largest = row[j];
        }
      }
      signs[j] = largest < 0 ? -1 : 1;
    }
    return u.timesColumns(signs);
  }

  /**
   * The largest singular value over the smallest distance between two of them, or of one from 0: how much more an error of A
   * shows in U.
   */
  public double amplification() {
    double smallest = s[s.length - 1];
    for (int j = 0; j + 1 < s.length; j++) {
      smallest = Math.min(smallest, s[j] - s[j + 1]);
    }
    return s[0] / smallest;
  }
}
