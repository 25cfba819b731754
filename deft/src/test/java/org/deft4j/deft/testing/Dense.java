package org.deft4j.deft.testing;

import java.util.SplittableRandom;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.random.RandomGenerator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/**
 * Matrices of doubles in plain Java: the oracle that owes nothing to the tensors under test.
 *
 * @param rows [height, width]
 */
public record Dense(double[][] rows) {
  /** Zeros. */
  public static Dense zeros(int rowCount, int columnCount) {
    return new Dense(new double[rowCount][columnCount]);
  }

  /** Draws from {@code N(0, 1)}, row by row. */
  public static Dense normal(RandomGenerator random, int height, int width) {
    return zeros(height, width).map(x -> random.nextGaussian());
  }

  /** Draws from {@code N(0, 1)} that the seed determines. */
  public static Dense normal(long seed, int height, int width) {
    return normal(new SplittableRandom(seed), height, width);
  }

  /** I. */
  public static Dense identity(int size) {
    Dense result = zeros(size, size);
    for (int i = 0; i < size; i++) {
      result.rows[i][i] = 1;
    }
    return result;
  }

  /** The values of a tensor as the matrix of its first dimension and all others: a convolution's weight as [out, in kh kw]. */
  public static Dense of(Tensor tensor) {
    int height = Math.toIntExact(tensor.size(0));
    int width = Math.toIntExact(tensor.elementCount() / height);
    double[] values = tensor.toDoubles();
    Dense result = zeros(height, width);
    for (int i = 0; i < height; i++) {
      System.arraycopy(values, i * width, result.rows[i], 0, width);
    }
    return result;
  }

  /** Q diag(s) Z^T with random Q [height, n] and Z [width, n] that have orthonormal columns, n the number of singular values s. */
  public static Dense withSingularValues(long seed, int height, int width, double... s) {
    Dense q = normal(seed, height, s.length).q();
    Dense z = normal(~seed, width, s.length).q();
    return q.timesColumns(s).times(z.t());
  }

  /** The same as a tensor [height, width]. */
  public Tensor tensor(DType type) {
    double[] values = new double[height() * width()];
    for (int i = 0; i < height(); i++) {
      System.arraycopy(rows[i], 0, values, i * width(), width());
    }
    return Tensor.of(values, height(), width()).cast(type);
  }

  /** How many rows. */
  public int height() {
    return rows.length;
  }

  /** How many columns. */
  public int width() {
    return rows[0].length;
  }

  /** {@code f} of every element. */
  public Dense map(DoubleUnaryOperator f) {
    return zip(this, (a, b) -> f.applyAsDouble(a));
  }

  /** {@code f} of every two elements at one place. */
  public Dense zip(Dense other, DoubleBinaryOperator f) {
    Dense result = zeros(height(), width());
    for (int i = 0; i < height(); i++) {
      for (int j = 0; j < width(); j++) {
        result.rows[i][j] = f.applyAsDouble(rows[i][j], other.rows[i][j]);
      }
    }
    return result;
  }

  /** The sum. */
  public Dense plus(Dense other) {
    return zip(other, Double::sum);
  }

  /** The difference. */
  public Dense minus(Dense other) {
    return zip(other, (a, b) -> a - b);
  }

  /** Every element times {@code factor}. */
  public Dense times(double factor) {
    return map(x -> x * factor);
  }

  /** Column j times {@code factors[j]}. */
  public Dense timesColumns(double... factors) {
    Dense result = zeros(height(), width());
    for (int i = 0; i < height(); i++) {
      for (int j = 0; j < width(); j++) {
        result.rows[i][j] = rows[i][j] * factors[j];
      }
    }
    return result;
  }

  /** The columns of this, then those of {@code other}. */
  public Dense beside(Dense other) {
    Dense result = zeros(height(), width() + other.width());
    for (int i = 0; i < height(); i++) {
      System.arraycopy(rows[i], 0, result.rows[i], 0, width());
      System.arraycopy(other.rows[i], 0, result.rows[i], width(), other.width());
    }
    return result;
  }

  /** Columns {@code from} to {@code to}, which is not included. */
  public Dense columns(int from, int to) {
    Dense result = zeros(height(), to - from);
    for (int i = 0; i < height(); i++) {
      System.arraycopy(rows[i], from, result.rows[i], 0, to - from);
    }
    return result;
  }

  /** The values as {@code type} holds them: what a tensor of that type is told. */
  public Dense rounded(DType type) {
    return type == DType.F64 ? this : map(x -> (float) x);
  }

  /** The matrix product. */
  public Dense times(Dense other) {
    Dense result = zeros(height(), other.width());
    for (int i = 0; i < height(); i++) {
      for (int j = 0; j < other.width(); j++) {
        for (int k = 0; k < width(); k++) {
          result.rows[i][j] += rows[i][k] * other.rows[k][j];
        }
      }
    }
    return result;
  }

  /** The transpose. */
  public Dense t() {
    Dense result = zeros(width(), height());
    for (int i = 0; i < height(); i++) {
      for (int j = 0; j < width(); j++) {
        result.rows[j][i] = rows[i][j];
      }
    }
    return result;
  }

  /** {@code max(x, 0)} of every element. */
  public Dense relu() {
    return map(x -> Math.max(x, 0));
  }

  /**
   * Q of the thin QR by Householder reflections as LAPACK's dgeqrf chooses them: {@code beta = -sign(alpha) |x|} becomes the
   * diagonal of T, sign(0) = +1; a column that is already zero below its pivot is left alone, beta = alpha.
   */
  public Dense q() {
    int m = height();
    int n = width();
    Dense a = map(x -> x);
    double[][] reflectors = new double[n][];
    for (int j = 0; j < n; j++) {
      double below = 0;
      for (int i = j + 1; i < m; i++) {
        below += a.rows[i][j] * a.rows[i][j];
      }
      if (below == 0) {
        continue;
      }
      double alpha = a.rows[j][j];
      double beta = -Math.copySign(Math.sqrt(alpha * alpha + below), alpha);
      double[] v = new double[m];
      v[j] = alpha - beta;
      for (int i = j + 1; i < m; i++) {
        v[i] = a.rows[i][j];
      }
      reflectors[j] = v;
      reflect(a, v);
    }
    Dense q = zeros(m, n);
    for (int j = 0; j < n; j++) {
      q.rows[j][j] = 1;
    }
    for (int j = n - 1; j >= 0; j--) {
      if (reflectors[j] != null) {
        reflect(q, reflectors[j]);
      }
    }
    return q;
  }

  private static void reflect(Dense a, double[] v) {
    double norm = 0;
    for (double x : v) {
      norm += x * x;
    }
    for (int j = 0; j < a.width(); j++) {
      double dot = 0;
      for (int i = 0; i < v.length; i++) {
        dot += v[i] * a.rows[i][j];
      }
      for (int i = 0; i < v.length; i++) {
        a.rows[i][j] -= 2 * dot / norm * v[i];
      }
    }
  }

  /** The largest magnitude of an element. */
  public double largest() {
    double result = 0;
    for (double[] row : rows) {
      for (double x : row) {
        result = Math.max(result, Math.abs(x));
      }
    }
    return result;
  }

  /** The singular values, descending. */
  public double[] singularValues() {
    return JacobiSvd.of(this).s();
  }

  /** The largest singular value. */
  public double norm() {
    return singularValues()[0];
  }

  /** The square root of the sum of squares. */
  public double frobenius() {
    return Math.sqrt(times(t()).trace());
  }

  private double trace() {
    double sum = 0;
    for (int i = 0; i < height(); i++) {
      sum += rows[i][i];
    }
    return sum;
  }

  /** How many singular values are above {@code 1e-10} of the largest: the rank, to what float64 can tell. */
  public int rank() {
    double[] s = singularValues();
    int rank = 0;
    while (rank < s.length && s[rank] > 1e-10 * s[0]) {
      rank++;
    }
    return rank;
  }

  /** Fails where an element differs by more than {@code tolerance} times the largest of either (or 1). */
  public void assertNear(Dense actual, double tolerance, String what) {
    if (actual.height() != height() || actual.width() != width()) {
      throw new AssertionError(what + ": " + actual.height() + " x " + actual.width() + " instead of " + height() + " x "
          + width());
    }
    double difference = minus(actual).largest();
    double scale = Math.max(1, Math.max(largest(), actual.largest()));
    if (!(difference <= tolerance * scale)) {
      throw new AssertionError(what + ": differs by " + difference + ", allowed are " + tolerance + " of " + scale);
    }
  }
}
