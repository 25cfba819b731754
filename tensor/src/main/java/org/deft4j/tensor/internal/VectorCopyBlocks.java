package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.deft4j.tensor.DType;

/** Short runs as whole vectors, the last one moved back to end with the run; elements of 4 and 2 bytes turned by {@link Transpose}. */
final class VectorCopyBlocks extends CopyBlocks {
  /** Runs that the system's copy, which takes some time to start, does better. */
  private static final long LONG = 1024;
  private static final int TILE = StridedCopy.TILE;
  /** Floats in a tile. */
  private static final int SQUARE = TILE * TILE;
  /** Vectors in a line of a tile. */
  private static final int VECTORS = TILE / Simd.LANES;
  private static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Simd.FLOATS.vectorBitSize()));

  @Override
  void runs(MemorySegment read, long a, long stepA, MemorySegment write, long b, long stepB, long count, long length,
      int bytes) {
    long n = length * bytes;
    if (n < Simd.BYTES || n > LONG) {
      super.runs(read, a, stepA, write, b, stepB, count, length, bytes);
      return;
    }
    runs(read, a * bytes, stepA * bytes, write, b * bytes, stepB * bytes, count, (int) n);
  }

  private static void runs(MemorySegment read, long a, long stepA, MemorySegment write, long b, long stepB, long count,
      int n) {
    int last = n - Simd.BYTES;
    for (long i = 0; i < count; i++) {
      long from = a + i * stepA;
      long to = b + i * stepB;
      for (int at = 0; at < last; at += Simd.BYTES) {
        move(read, from + at, write, to + at);
      }
      move(read, from + last, write, to + last);
    }
  }

  private static void move(MemorySegment read, long from, MemorySegment write, long to) {
    ByteVector.fromMemorySegment(BYTES, OffHeap.known(read), from, Simd.ORDER)
        .intoMemorySegment(OffHeap.known(write), to, Simd.ORDER);
  }

  @Override
  void turn(MemorySegment read, long a, long stepA, MemorySegment write, long b, long stepB, int lines, int length,
      int bytes) {
    if (bytes != 4 && bytes != 2) {
      super.turn(read, a, stepA, write, b, stepB, lines, length, bytes);
      return;
    }
    // Two bytes travel as the upper half of a float, which is how BF16 is read; only bits are moved.
    DType type = bytes == 4 ? DType.F32 : DType.BF16;
    try (Buffer room = Buffer.of(2L * SQUARE)) {
      if (type == DType.F32) {
        TransposeMemory.lines(read, a * bytes, stepA * bytes, lines, length, room.floats, SQUARE, TILE);
      } else {
        for (int i = 0; i < lines; i++) {
          HalfFloats.copy(type, read, a * bytes + i * stepA * bytes, length, room.floats, i * length);
        }
        Transpose.lines(room.floats, 0, length, lines, length, room.floats, SQUARE, TILE);
      }
      store(type, room.floats, lines, length, write, b * bytes, stepB * bytes);
    }
  }

  /** The rows that the lines have become, whole: what lies side by side in memory is written at once. */
  private static void store(DType type, float[] floats, int lines, int length, MemorySegment write, long at, long step) {
    if (type != DType.F32 || lines != TILE) {
      for (int k = 0; k < length; k++) {
        HalfFloats.store(type, floats, SQUARE + k * TILE, lines, write, at + k * step);
      }
      return;
    }
    for (int k = 0; k < length; k++) {
      long to = at + k * step;
      for (int v = 0; v < VECTORS; v++) {
        Simd.store(FloatVector.fromArray(Simd.FLOATS, floats, SQUARE + k * TILE + v * Simd.LANES), write, to + (long) v * Simd.BYTES);
      }
    }
  }
}
