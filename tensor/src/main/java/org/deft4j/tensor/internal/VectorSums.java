package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;

/**
 * {@link Sums} with vectors, in the same order: the 32 lanes are 2, 4 or 8 vectors, two of which are carried through a chunk at
 * a time, so that every width of vector runs this one text. A chunk is in the cache next to the processor when it is
 * read again.
 */
final class VectorSums {
  private static final int LANES = Simd.LANES;
  /** Bytes of 32 floats. */
  private static final long BLOCK = (long) Sums.LANES * Float.BYTES;

  private VectorSums() {}

  /** The sum of a chunk of at most {@link Sums#CHUNK} elements. */
  @FunctionalInterface
  interface Chunk {
    /** The sum of {@code length} elements from {@code from}. */
    float sum(long from, int length);
  }

  /** The sum over 0 .. n from the sums of its chunks. */
  static float ofChunks(long n, Chunk chunk) {
    if (n <= Sums.CHUNK) {
      return chunk.sum(0, (int) n);
    }
    float[] sums = new float[Sums.chunks(n)];
    for (int c = 0; c < sums.length; c++) {
      long from = (long) c * Sums.CHUNK;
      sums[c] = chunk.sum(from, (int) Math.min(Sums.CHUNK, n - from));
    }
    return Sums.sum(sums);
  }

  /** {@code sum x_i} over n elements from {@code start}. */
  static float sum(Floats x, long start, long n) {
    return ofChunks(n, (from, length) -> sumChunk(x, start + from, length));
  }

  /** {@code sum a_i b_i}. */
  static float dot(Floats a, long startA, Floats b, long startB, long n) {
    return ofChunks(n, (from, length) -> dotChunk(a, startA + from, b, startB + from, length));
  }

  /** {@code sum a_i (x_i - mean)}. */
  static float dotDifference(Floats a, Floats x, float mean, long start, long n) {
    return ofChunks(n, (from, length) -> dotDifferenceChunk(a, x, mean, start + from, length));
  }

  /** {@code sum (x_i - mean)}. */
  static float differences(Floats x, float mean, long start, long n) {
    return ofChunks(n, (from, length) -> differencesChunk(x, mean, start + from, length));
  }

  /** {@code sum (x_i - mean)^2}. */
  static float squares(Floats x, float mean, long start, long n) {
    return ofChunks(n, (from, length) -> squaresChunk(x, mean, start + from, length));
  }

  static float sumChunk(Floats x, long start, int n) {
    float[] lanes = new float[Sums.LANES];
    int blocks = n / Sums.LANES;
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      long at = x.byteAt(start + j);
      FloatVector left = FloatVector.zero(Simd.FLOATS);
      FloatVector right = left;
      for (int i = 0; i < blocks; i++) {
        left = left.add(Simd.load(x.memory(), at + i * BLOCK));
        right = right.add(Simd.load(x.memory(), at + i * BLOCK + Simd.BYTES));
      }
      left.intoArray(lanes, j);
      right.intoArray(lanes, j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      lanes[i % Sums.LANES] += x.get(start + i);
    }
    return Sums.fold(lanes);
  }

  private static float dotChunk(Floats a, long startA, Floats b, long startB, int n) {
    float[] lanes = new float[Sums.LANES];
    int blocks = n / Sums.LANES;
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      long atA = a.byteAt(startA + j);
      long atB = b.byteAt(startB + j);
      FloatVector left = FloatVector.zero(Simd.FLOATS);
      FloatVector right = left;
      for (int i = 0; i < blocks; i++) {
        long step = i * BLOCK;
        left = Simd.load(a.memory(), atA + step).fma(Simd.load(b.memory(), atB + step), left);
        step += Simd.BYTES;
        right = Simd.load(a.memory(), atA + step).fma(Simd.load(b.memory(), atB + step), right);
      }
      left.intoArray(lanes, j);
      right.intoArray(lanes, j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      int lane = i % Sums.LANES;
      lanes[lane] = Math.fma(a.get(startA + i), b.get(startB + i), lanes[lane]);
    }
    return Sums.fold(lanes);
  }

  private static float dotDifferenceChunk(Floats a, Floats x, float mean, long start, int n) {
    float[] lanes = new float[Sums.LANES];
    int blocks = n / Sums.LANES;
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      long atA = a.byteAt(start + j);
      long atX = x.byteAt(start + j);
      FloatVector left = FloatVector.zero(Simd.FLOATS);
      FloatVector right = left;
      for (int i = 0; i < blocks; i++) {
        long step = i * BLOCK;
        left = Simd.load(a.memory(), atA + step).fma(Simd.load(x.memory(), atX + step).sub(mean), left);
        step += Simd.BYTES;
        right = Simd.load(a.memory(), atA + step).fma(Simd.load(x.memory(), atX + step).sub(mean), right);
      }
      left.intoArray(lanes, j);
      right.intoArray(lanes, j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      int lane = i % Sums.LANES;
      lanes[lane] = Math.fma(a.get(start + i), x.get(start + i) - mean, lanes[lane]);
    }
    return Sums.fold(lanes);
  }

  private static float differencesChunk(Floats x, float mean, long start, int n) {
    float[] lanes = new float[Sums.LANES];
    int blocks = n / Sums.LANES;
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      long at = x.byteAt(start + j);
      FloatVector left = FloatVector.zero(Simd.FLOATS);
      FloatVector right = left;
      for (int i = 0; i < blocks; i++) {
        left = left.add(Simd.load(x.memory(), at + i * BLOCK).sub(mean));
        right = right.add(Simd.load(x.memory(), at + i * BLOCK + Simd.BYTES).sub(mean));
      }
      left.intoArray(lanes, j);
      right.intoArray(lanes, j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      lanes[i % Sums.LANES] += x.get(start + i) - mean;
    }
    return Sums.fold(lanes);
  }

  private static float squaresChunk(Floats x, float mean, long start, int n) {
    float[] lanes = new float[Sums.LANES];
    int blocks = n / Sums.LANES;
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      long at = x.byteAt(start + j);
      FloatVector left = FloatVector.zero(Simd.FLOATS);
      FloatVector right = left;
      for (int i = 0; i < blocks; i++) {
        FloatVector l = Simd.load(x.memory(), at + i * BLOCK).sub(mean);
        FloatVector r = Simd.load(x.memory(), at + i * BLOCK + Simd.BYTES).sub(mean);
        left = l.fma(l, left);
        right = r.fma(r, right);
      }
      left.intoArray(lanes, j);
      right.intoArray(lanes, j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      int lane = i % Sums.LANES;
      float d = x.get(start + i) - mean;
      lanes[lane] = Math.fma(d, d, lanes[lane]);
    }
    return Sums.fold(lanes);
  }

  /**
   * {@code y_j = sum_i x[i, j]}, i over {@code rows} rows that are {@code width} elements apart, j over a vector of columns
   * from {@code column}; see {@link Sums#sumRows}.
   */
  static void columns(Floats x, long start, long rows, long width, Floats y, long out, int vectors) {
    long step = width * Float.BYTES;
    for (int v = 0; v < vectors; v++) {
      long at = x.byteAt(start) + (long) v * Simd.BYTES;
      FloatVector total = FloatVector.zero(Simd.FLOATS);
      for (long first = 0; first < rows; first += Sums.ROWS) {
        int length = (int) Math.min(Sums.ROWS, rows - first);
        FloatVector chain = FloatVector.zero(Simd.FLOATS);
        for (int i = 0; i < length; i++) {
          chain = chain.add(Simd.load(x.memory(), at + (first + i) * step));
        }
        total = total.add(chain);
      }
      total.intoMemorySegment(y.memory(), y.byteAt(out) + (long) v * Simd.BYTES, Simd.ORDER);
    }
  }
}
