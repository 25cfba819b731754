package org.deft4j.tensor.internal;

/**
 * The one order in which sums along contiguous elements run, whoever runs them: element i goes to lane i mod 32, lanes
 * are folded in halves, and the sums of chunks of 4096 elements are summed in the same way.
 */
final class Sums {
  static final int LANES = 32;
  static final int CHUNK = 4096;
  /** Rows that one chain of additions covers where a sum runs across rows. */
  static final int ROWS = 128;

  private Sums() {}

  /** Adds what stands at an index to a lane: {@code acc + x_i}, or {@code fma(x_i, y_i, acc)}. */
  @FunctionalInterface
  interface FloatTerm {
    /** The lane with element {@code i} added. */
    float add(float lane, long i);
  }

  /** The same in float64. */
  @FunctionalInterface
  interface DoubleTerm {
    /** The lane with element {@code i} added. */
    double add(double lane, long i);
  }

  /** The sum over 0 .. n. */
  static float sum(long n, FloatTerm term) {
    if (n <= CHUNK) {
      float[] lanes = new float[LANES];
      for (long i = 0; i < n; i++) {
        int lane = (int) (i % LANES);
        lanes[lane] = term.add(lanes[lane], i);
      }
      return fold(lanes);
    }
    float[] chunks = new float[chunks(n)];
    for (int c = 0; c < chunks.length; c++) {
      long start = (long) c * CHUNK;
      chunks[c] = sum(Math.min(CHUNK, n - start), (lane, i) -> term.add(lane, start + i));
    }
    return sum(chunks);
  }

  /** The sum of an array. */
  static float sum(float[] values) {
    return sum(values.length, (lane, i) -> lane + values[(int) i]);
  }

  /** The sum over 0 .. n in float64. */
  static double sumF64(long n, DoubleTerm term) {
    if (n <= CHUNK) {
      double[] lanes = new double[LANES];
      for (long i = 0; i < n; i++) {
        int lane = (int) (i % LANES);
        lanes[lane] = term.add(lanes[lane], i);
      }
      return fold(lanes);
    }
    double[] chunks = new double[chunks(n)];
    for (int c = 0; c < chunks.length; c++) {
      long start = (long) c * CHUNK;
      chunks[c] = sumF64(Math.min(CHUNK, n - start), (lane, i) -> term.add(lane, start + i));
    }
    return sumF64(chunks.length, (lane, i) -> lane + chunks[(int) i]);
  }

  /** The sum over 0 .. n of elements that do not lie side by side: a chain per 128 rows, the chains added in order. */
  static float sumRows(long n, FloatTerm term) {
    float total = 0f;
    for (long start = 0; start < n; start += ROWS) {
      float chain = 0f;
      for (long i = start; i < Math.min(n, start + ROWS); i++) {
        chain = term.add(chain, i);
      }
      total += chain;
    }
    return total;
  }

  /** {@link #sumRows} in float64. */
  static double sumRowsF64(long n, DoubleTerm term) {
    double total = 0;
    for (long start = 0; start < n; start += ROWS) {
      double chain = 0;
      for (long i = start; i < Math.min(n, start + ROWS); i++) {
        chain = term.add(chain, i);
      }
      total += chain;
    }
    return total;
  }

  /** How many chunks n elements fill. */
  static int chunks(long n) {
    return Math.toIntExact((n + CHUNK - 1) / CHUNK);
  }

  /** The sum of the lanes, which it destroys. */
  static float fold(float[] lanes) {
    for (int w = LANES / 2; w > 0; w /= 2) {
      for (int l = 0; l < w; l++) {
        lanes[l] += lanes[l + w];
      }
    }
    return lanes[0];
  }

  private static double fold(double[] lanes) {
    for (int w = LANES / 2; w > 0; w /= 2) {
      for (int l = 0; l < w; l++) {
        lanes[l] += lanes[l + w];
      }
    }
    return lanes[0];
  }
}
