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
  /** Floats in as many lines as a vector has lanes. */
  private static final int STRIP = Simd.LANES * TILE;
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
        ByteVector.fromMemorySegment(BYTES, OffHeap.known(read), from + at, Simd.ORDER).intoMemorySegment(OffHeap.known(write), to + at, Simd.ORDER);
      }
      ByteVector.fromMemorySegment(BYTES, OffHeap.known(read), from + last, Simd.ORDER).intoMemorySegment(OffHeap.known(write), to + last, Simd.ORDER);
    }
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
    try (Buffer room = Buffer.of(STRIP + (long) TILE * Simd.LANES)) {
      for (int i = 0; i < lines; i += Simd.LANES) {
        int count = Math.min(Simd.LANES, lines - i);
        load(type, read, (a + i * stepA) * bytes, stepA * bytes, count, length, room.floats);
        Transpose.lines(room.floats, 0, length, count, length, room.floats, STRIP, Simd.LANES);
        store(type, room.floats, count, length, write, (b + i) * bytes, stepB * bytes);
      }
    }
  }

  private static void load(DType type, MemorySegment read, long at, long step, int lines, int length, float[] floats) {
    if (type != DType.F32 || length != TILE) {
      for (int i = 0; i < lines; i++) {
        HalfFloats.copy(type, read, at + i * step, length, floats, i * length);
      }
      return;
    }
    // One loop over all lines: one for each would start and end too often.
    for (int v = 0; v < lines * VECTORS; v++) {
      long from = at + v / VECTORS * step + (long) (v % VECTORS) * Simd.BYTES;
      Simd.load(read, from).intoArray(floats, v * Simd.LANES);
    }
  }

  private static void store(DType type, float[] floats, int count, int length, MemorySegment write, long at, long step) {
    if (type != DType.F32 || count != Simd.LANES) {
      for (int k = 0; k < length; k++) {
        HalfFloats.store(type, floats, STRIP + k * Simd.LANES, count, write, at + k * step);
      }
      return;
    }
    for (int k = 0; k < length; k++) {
      FloatVector.fromArray(Simd.FLOATS, floats, STRIP + k * Simd.LANES)
          .intoMemorySegment(OffHeap.known(write), at + k * step, Simd.ORDER);
    }
  }
}
