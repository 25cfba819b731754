package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/**
 * {@link Sums} with vectors, in the same order: the 32 lanes are 2, 4 or 8 vectors, two of which are carried through a
 * chunk at a time, so that every width of vector runs this one text. A chunk is in the cache next to the processor when
 * it is read again. The loops call nothing but the Vector API: see {@link MathVector}. An instance holds room for the lanes:
 * each thread that sums has its own.
 */
final class VectorSums {
  private static final int LANES = Simd.LANES;
  /** Bytes of 32 floats. */
  private static final long BLOCK = (long) Sums.LANES * Float.BYTES;

  /** The most rows whose sums are found side by side. */
  private static final int ROWS = 8;

  /** Room for the lanes of as many rows. */
  private final float[] first = new float[ROWS * Sums.LANES];
  private final float[] second = new float[ROWS * Sums.LANES];
  private final float[] means = new float[ROWS];

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

  /**
   * {@link Sums#fold} of the lanes from {@code at}, which it destroys: the first half by vectors, then number by number. In a program whose vectors
   * are longer, HotSpot allocates the vectors of four that would do it.
   */
  private static float fold(float[] x, int at) {
    for (int i = at; i < at + Sums.LANES / 2; i += LANES) {
      FloatVector.fromArray(FLOATS, x, i).add(FloatVector.fromArray(FLOATS, x, i + Sums.LANES / 2)).intoArray(x, i);
    }
    return foldFourth(x, at) + foldFourth(x, at + 2) + (foldFourth(x, at + 1) + foldFourth(x, at + 3));
  }

  /** The sum of every fourth of 16 lanes from {@code at} on. */
  private static float foldFourth(float[] x, int at) {
    return x[at] + x[at + 8] + (x[at + 4] + x[at + 12]);
  }

  /** {@code sum x_i} over n elements from {@code at}, followed by zeros up to a multiple of {@link Sums#LANES}. */
  float sum(float[] x, int at, int n) {
    if (n <= Sums.CHUNK) {
      return sumChunk(x, at, n);
    }
    return ofChunks(n, (from, length) -> sumChunk(x, at + (int) from, length));
  }

  private float sumChunk(float[] x, int at, int n) {
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      FloatVector left = FloatVector.zero(FLOATS);
      FloatVector right = left;
      for (int i = at + j; i < at + n; i += Sums.LANES) {
        left = left.add(FloatVector.fromArray(FLOATS, x, i));
        right = right.add(FloatVector.fromArray(FLOATS, x, i + LANES));
      }
      left.intoArray(first, j);
      right.intoArray(first, j + LANES);
    }
    return fold(first, 0);
  }

  /** {@code sum x_i} over n elements from {@code start}. */
  float sum(Floats x, long start, long n) {
    if (n <= Sums.CHUNK) {
      return sumChunk(x, start, (int) n);
    }
    return ofChunks(n, (from, length) -> sumChunk(x, start + from, length));
  }

  /** {@code sum a_i b_i}. */
  float dot(Floats a, long startA, Floats b, long startB, long n) {
    if (n <= Sums.CHUNK) {
      return dotChunk(a, startA, b, startB, (int) n);
    }
    return ofChunks(n, (from, length) -> dotChunk(a, startA + from, b, startB + from, length));
  }

  /** {@code sum g_i} and {@code sum g_i (x_i - mean)}. */
  record Linear(float sum, float withX) {}

  /** Both sums over n elements from {@code start}. */
  Linear linear(Floats g, Floats x, float mean, long start, long n) {
    if (n <= Sums.CHUNK) {
      linearLanes(g, x, mean, start, (int) n);
      return new Linear(fold(first, 0), fold(second, 0));
    }
    float[] sums = new float[Sums.chunks(n)];
    float[] withX = new float[sums.length];
    for (int c = 0; c < sums.length; c++) {
      long from = (long) c * Sums.CHUNK;
      linearLanes(g, x, mean, start + from, (int) Math.min(Sums.CHUNK, n - from));
      sums[c] = fold(first, 0);
      withX[c] = fold(second, 0);
    }
    return new Linear(Sums.sum(sums), Sums.sum(withX));
  }

  /** How many rows of n elements {@link #moments} had better be given at a time: what is read twice stays in the nearest cache. */
  static int rowsTogether(long n) {
    return Math.clamp(Sums.CHUNK / n, 1, ROWS);
  }

  /**
   * The means and the sums of squared differences from them of at most {@link #rowsTogether} rows, found chunk by chunk: see {@link
   * Moments}. Step by step for all rows: what folds the lanes of one row does not wait for those of another.
   */
  void moments(Floats x, long start, long n, int rows, Moments[] moments) {
    for (int r = 0; r < rows; r++) {
      moments[r].clear();
    }
    for (long from = 0; from < n; from += Sums.CHUNK) {
      int length = (int) Math.min(Sums.CHUNK, n - from);
      for (int r = 0; r < rows; r++) {
        lanes(x, start + r * n + from, length, r * Sums.LANES);
      }
      for (int r = 0; r < rows; r++) {
        means[r] = fold(first, r * Sums.LANES) / length;
      }
      for (int r = 0; r < rows; r++) {
        differences(x, means[r], start + r * n + from, length, r * Sums.LANES);
      }
      for (int r = 0; r < rows; r++) {
        moments[r].add(length, means[r], fold(first, r * Sums.LANES), fold(second, r * Sums.LANES));
      }
    }
  }

  float sumChunk(Floats x, long start, int n) {
    lanes(x, start, n, 0);
    return fold(first, 0);
  }

  /** The lanes of {@code sum x_i}, in the first room from {@code room}. */
  private void lanes(Floats x, long start, int n, int room) {
    float[] lanes = first;
    int blocks = n / Sums.LANES;
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      long at = x.byteAt(start + j);
      FloatVector left = FloatVector.zero(FLOATS);
      FloatVector right = left;
      for (int i = 0; i < blocks; i++) {
        left = left.add(fromMemorySegment(FLOATS, x.memory(), at + i * BLOCK, ORDER));
        right = right.add(fromMemorySegment(FLOATS, x.memory(), at + i * BLOCK + Simd.BYTES, ORDER));
      }
      left.intoArray(lanes, room + j);
      right.intoArray(lanes, room + j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      lanes[room + i % Sums.LANES] += x.get(start + i);
    }
  }

  private float dotChunk(Floats a, long startA, Floats b, long startB, int n) {
    float[] lanes = first;
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
    return fold(lanes, 0);
  }

  /** The lanes of {@code sum g_i}, in the first room, and of {@code sum g_i (x_i - mean)}, in the second. */
  private void linearLanes(Floats g, Floats x, float mean, long start, int n) {
    float[] sums = first;
    float[] products = second;
    int blocks = n / Sums.LANES;
    for (int j = 0; j < Sums.LANES; j += 2 * LANES) {
      long atG = g.byteAt(start + j);
      long atX = x.byteAt(start + j);
      FloatVector left = FloatVector.zero(FLOATS);
      FloatVector right = left;
      FloatVector leftProducts = left;
      FloatVector rightProducts = left;
      for (int i = 0; i < blocks; i++) {
        long step = i * BLOCK;
        FloatVector l = fromMemorySegment(FLOATS, g.memory(), atG + step, ORDER);
        left = left.add(l);
        leftProducts = l.fma(fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean), leftProducts);
        step += Simd.BYTES;
        FloatVector r = fromMemorySegment(FLOATS, g.memory(), atG + step, ORDER);
        right = right.add(r);
        rightProducts = r.fma(fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean), rightProducts);
      }
      left.intoArray(sums, j);
      right.intoArray(sums, j + LANES);
      leftProducts.intoArray(products, j);
      rightProducts.intoArray(products, j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      int lane = i % Sums.LANES;
      sums[lane] += g.get(start + i);
      products[lane] = Math.fma(g.get(start + i), x.get(start + i) - mean, products[lane]);
    }
  }

  /** The lanes of {@code sum (x_i - mean)}, in the first room, and of {@code sum (x_i - mean)^2}, in the second, from {@code room}. */
  private void differences(Floats x, float mean, long start, int n, int room) {
    float[] differences = first;
    float[] squares = second;
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
      left.intoArray(differences, room + j);
      right.intoArray(differences, room + j + LANES);
      leftSquares.intoArray(squares, room + j);
      rightSquares.intoArray(squares, room + j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      int lane = room + i % Sums.LANES;
      float d = x.get(start + i) - mean;
      differences[lane] += d;
      squares[lane] = Math.fma(d, d, squares[lane]);
    }
  }
}
