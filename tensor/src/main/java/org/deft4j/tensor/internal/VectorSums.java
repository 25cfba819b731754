package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

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
  /** Four floats, the shortest vector that every processor has. */
  private static final VectorSpecies<Float> FOUR = FloatVector.SPECIES_128;

  private final float[] first = new float[Sums.LANES];
  private final float[] second = new float[Sums.LANES];

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

  /** {@link Sums#fold} of four floats at a time. */
  private static float fold(float[] lanes) {
    FloatVector a = four(lanes, 0).add(four(lanes, 16)).add(four(lanes, 8).add(four(lanes, 24)));
    FloatVector b = four(lanes, 4).add(four(lanes, 20)).add(four(lanes, 12).add(four(lanes, 28)));
    FloatVector c = a.add(b);
    return (c.lane(0) + c.lane(2)) + (c.lane(1) + c.lane(3));
  }

  private static FloatVector four(float[] lanes, int at) {
    return FloatVector.fromArray(FOUR, lanes, at);
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
    return ofChunks(n, (from, length) -> dotChunk(a, startA + from, b, startB + from, length));
  }

  /** {@code sum a_i (x_i - mean)}. */
  float dotDifference(Floats a, Floats x, float mean, long start, long n) {
    return ofChunks(n, (from, length) -> dotDifferenceChunk(a, x, mean, start + from, length));
  }

  /** The mean and the sum of squared differences from it, found chunk by chunk: see {@link Moments}. */
  void moments(Floats x, long start, long n, Moments moments) {
    moments.clear();
    for (long from = 0; from < n; from += Sums.CHUNK) {
      int length = (int) Math.min(Sums.CHUNK, n - from);
      float mean = sumChunk(x, start + from, length) / length;
      differences(x, mean, start + from, length);
      moments.add(length, mean, fold(first), fold(second));
    }
  }

  float sumChunk(Floats x, long start, int n) {
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
      left.intoArray(lanes, j);
      right.intoArray(lanes, j + LANES);
    }
    for (int i = blocks * Sums.LANES; i < n; i++) {
      lanes[i % Sums.LANES] += x.get(start + i);
    }
    return fold(lanes);
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
    return fold(lanes);
  }

  private float dotDifferenceChunk(Floats a, Floats x, float mean, long start, int n) {
    float[] lanes = first;
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
    return fold(lanes);
  }

  /** The lanes of {@code sum (x_i - mean)}, in the first room, and of {@code sum (x_i - mean)^2}, in the second. */
  private void differences(Floats x, float mean, long start, int n) {
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
  }
}
