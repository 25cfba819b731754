package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/**
 * {@link Sums} with vectors, in the same order: the 32 lanes are 2, 4 or 8 vectors, two of which are carried through a
 * chunk at a time, so that every width of vector runs this one text. A chunk is in the cache next to the processor when
 * it is read again. The loops call nothing but the Vector API: see {@link MathVector}.
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
    if (n <= Sums.CHUNK) {
      return sumChunk(x, start, (int) n);
    }
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

  /** {@code sum (x_i - mean)} and {@code sum (x_i - mean)^2}. */
  static void moments(Floats x, float mean, long start, long n, float[] sums) {
    if (n <= Sums.CHUNK) {
      momentsChunk(x, mean, start, (int) n, sums);
      return;
    }
    float[] differences = new float[Sums.chunks(n)];
    float[] squares = new float[differences.length];
    for (int c = 0; c < differences.length; c++) {
      long from = (long) c * Sums.CHUNK;
      momentsChunk(x, mean, start + from, (int) Math.min(Sums.CHUNK, n - from), sums);
      differences[c] = sums[0];
      squares[c] = sums[1];
    }
    sums[0] = Sums.sum(differences);
    sums[1] = Sums.sum(squares);
  }

  static float sumChunk(Floats x, long start, int n) {
    float[] lanes = new float[Sums.LANES];
    int blocks = n / Sums.LANES;
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      long at = x.byteAt(start + j);
      FloatVector left = FloatVector.zero(FLOATS);
      FloatVector right = left;
      for (int i = 0; i < blocks; i++) {
        left = left.add(fromMemorySegment(FLOATS, x.memory(), at + i * BLOCK, ORDER));
        right = right.add(fromMemorySegment(FLOATS, x.memory(), at + i * BLOCK + Simd.BYTES, ORDER));
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
      FloatVector left = FloatVector.zero(FLOATS);
      FloatVector right = left;
      for (int i = 0; i < blocks; i++) {
        long step = i * BLOCK;
        FloatVector l = fromMemorySegment(FLOATS, a.memory(), atA + step, ORDER);
        left = l.fma(fromMemorySegment(FLOATS, b.memory(), atB + step, ORDER), left);
        step += Simd.BYTES;
        FloatVector r = fromMemorySegment(FLOATS, a.memory(), atA + step, ORDER);
        right = r.fma(fromMemorySegment(FLOATS, b.memory(), atB + step, ORDER), right);
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
      FloatVector left = FloatVector.zero(FLOATS);
      FloatVector right = left;
      for (int i = 0; i < blocks; i++) {
        long step = i * BLOCK;
        FloatVector l = fromMemorySegment(FLOATS, a.memory(), atA + step, ORDER);
        left = l.fma(fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean), left);
        step += Simd.BYTES;
        FloatVector r = fromMemorySegment(FLOATS, a.memory(), atA + step, ORDER);
        right = r.fma(fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean), right);
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

  private static void momentsChunk(Floats x, float mean, long start, int n, float[] sums) {
    float[] differences = new float[Sums.LANES];
    float[] squares = new float[Sums.LANES];
    int blocks = n / Sums.LANES;
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      long at = x.byteAt(start + j);
      FloatVector left = FloatVector.zero(FLOATS);
      FloatVector right = left;
      FloatVector leftSquares = left;
      FloatVector rightSquares = left;
      for (int i = 0; i < blocks; i++) {
        FloatVector l = fromMemorySegment(FLOATS, x.memory(), at + i * BLOCK, ORDER).sub(mean);
        FloatVector r = fromMemorySegment(FLOATS, x.memory(), at + i * BLOCK + Simd.BYTES, ORDER).sub(mean);
        left = left.add(l);
        right = right.add(r);
        leftSquares = l.fma(l, leftSquares);
        rightSquares = r.fma(r, rightSquares);
      }
      left.intoArray(differences, j);
      right.intoArray(differences, j + LANES);
      leftSquares.intoArray(squares, j);
      rightSquares.intoArray(squares, j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      int lane = i % Sums.LANES;
      float d = x.get(start + i) - mean;
      differences[lane] += d;
      squares[lane] = Math.fma(d, d, squares[lane]);
    }
    sums[0] = Sums.fold(differences);
    sums[1] = Sums.fold(squares);
  }

  /**
   * {@code y_j = sum_i x[i, j]}, i over {@code rows} rows that are {@code width} elements apart, j over a vector of columns
   * from {@code column}; see {@link Sums#sumRows}.
   */
  static void columns(Floats x, long start, long rows, long width, Floats y, long out, int vectors) {
    long step = width * Float.BYTES;
    for (int v = 0; v < vectors; v++) {
      long at = x.byteAt(start) + (long) v * Simd.BYTES;
      FloatVector total = FloatVector.zero(FLOATS);
      for (long first = 0; first < rows; first += Sums.ROWS) {
        int length = (int) Math.min(Sums.ROWS, rows - first);
        FloatVector chain = FloatVector.zero(FLOATS);
        for (int i = 0; i < length; i++) {
          chain = chain.add(fromMemorySegment(FLOATS, x.memory(), at + (first + i) * step, ORDER));
        }
        total = total.add(chain);
      }
      total.intoMemorySegment(y.memory(), y.byteAt(out) + (long) v * Simd.BYTES, ORDER);
    }
  }
}
