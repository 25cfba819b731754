package org.deft4j.deft;

import java.util.SplittableRandom;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.random.RandomGenerator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/** Matrices of doubles in plain Java: the oracle that owes nothing to the tensors under test. */
record Dense(double[][] rows) {
  static Dense zeros(int rowCount, int columnCount) {
    return new Dense(new double[rowCount][columnCount]);
  }

  static Dense normal(RandomGenerator random, int height, int width) {
    return zeros(height, width).map(x -> random.nextGaussian());
  }

  static Dense normal(long seed, int height, int width) {
    return normal(new SplittableRandom(seed), height, width);
  }

  static Dense identity(int size) {
    Dense result = zeros(size, size);
    for (int i = 0; i < size; i++) {
      result.rows[i][i] = 1;
    }
    return result;
  }

  static Dense of(Tensor tensor) {
    int height = Math.toIntExact(tensor.size(0));
    int width = Math.toIntExact(tensor.size(1));
    double[] values = tensor.toDoubles();
    Dense result = zeros(height, width);
    for (int i = 0; i < height; i++) {
      System.arraycopy(values, i * width, result.rows[i], 0, width);
    }
    return result;
  }

  Tensor tensor(DType type) {
    double[] values = new double[height() * width()];
    for (int i = 0; i < height(); i++) {
      System.arraycopy(rows[i], 0, values, i * width(), width());
    }
    return Tensor.of(values, height(), width()).cast(type);
  }

  int height() {
    return rows.length;
  }

  int width() {
    return rows[0].length;
  }

  Dense map(DoubleUnaryOperator f) {
    return zip(this, (a, b) -> f.applyAsDouble(a));
  }

  Dense zip(Dense other, DoubleBinaryOperator f) {
    Dense result = zeros(height(), width());
    for (int i = 0; i < height(); i++) {
      for (int j = 0; j < width(); j++) {
        result.rows[i][j] = f.applyAsDouble(rows[i][j], other.rows[i][j]);
      }
    }
    return result;
  }

  Dense plus(Dense other) {
    return zip(other, Double::sum);
  }

  Dense minus(Dense other) {
    return zip(other, (a, b) -> a - b);
  }

  Dense times(double factor) {
    return map(x -> x * factor);
  }

  Dense times(Dense other) {
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

  Dense t() {
    Dense result = zeros(width(), height());
    for (int i = 0; i < height(); i++) {
      for (int j = 0; j < width(); j++) {
        result.rows[j][i] = rows[i][j];
      }
    }
    return result;
  }

  Dense relu() {
    return map(x -> Math.max(x, 0));
  }

  /**
   * Q of the thin QR by Householder reflections as LAPACK's dgeqrf chooses them: {@code beta = -sign(alpha) |x|} becomes the
   * diagonal of T, sign(0) = +1; a column that is already zero below its pivot is left alone, beta = alpha.
   */
  Dense q() {
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

  double largest() {
    double result = 0;
    for (double[] row : rows) {
      for (double x : row) {
        result = Math.max(result, Math.abs(x));
      }
    }
    return result;
  }

  /** Fails where an element differs by more than {@code tolerance} times the largest of either (or 1). */
  void assertNear(Dense actual, double tolerance, String what) {
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
