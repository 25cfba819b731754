package org.deft4j.tensor.internal;

import java.util.Arrays;

/**
 * The mean of n elements and the sum of their squared differences from it, put together from those of chunks (Chan, Golub and
 * LeVeque 1983) in float64, so that the elements are read from memory once and an offset that is large beside the deviation
 * costs no digits. A chunk gives its mean in float32 and the sums of what is left of its elements and of its square.
 */
final class Moments {
  private long count;
  private double mean;
  private double squares;

  /** Those of so many rows. */
  static Moments[] of(int rows) {
    Moments[] moments = new Moments[rows];
    Arrays.setAll(moments, _ -> new Moments());
    return moments;
  }

  /** Forgets what was added. */
  void clear() {
    count = 0;
  }

  /** Adds {@code n} elements with {@code sum(x - centre) = difference} and {@code sum((x - centre)^2) = square}. */
  void add(long n, float centre, float difference, float square) {
    double shift = (double) difference / n;
    if (count == 0) {
      count = n;
      mean = centre + shift;
      squares = square - difference * shift;
      return;
    }
    double delta = centre + shift - mean;
    long total = count + n;
    squares += square - difference * shift + delta * delta * ((double) count * n / total);
    mean += delta * ((double) n / total);
    count = total;
  }

  /** The mean is {@code mean + low}, its float32 and what rounding took from it; {@code rstd = 1 / sqrt(variance + eps)}. */
  record Statistics(float mean, float low, float rstd) {}

  /** The statistics of what was added. */
  Statistics statistics(double eps) {
    float rounded = (float) mean;
    double variance = Math.max(0, squares / count);
    return new Statistics(rounded, (float) (mean - rounded), (float) (1 / Math.sqrt(variance + eps)));
  }
}
