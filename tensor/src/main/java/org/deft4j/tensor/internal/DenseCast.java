package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/**
 * The conversions of weights and pictures: between F32 and F16, BF16, F64, from U8. C2 turns most of the loops into vector
 * code; for BF16 there are {@link VectorCasts}.
 */
final class DenseCast {
  /** Elements that are converted at a time: the arrays stay in the nearest cache. */
  private static final int PIECE = 1 << 11;

  private final MemorySegment read;
  private final MemorySegment write;
  private final Loop loop;

  /** Converts {@code n} elements from index a of {@code read} to index b of {@code write}. */
  @FunctionalInterface
  private interface Loop {
    void run(MemorySegment read, long a, MemorySegment write, long b, long n);
  }

  private DenseCast(Tensor source, Tensor target, Loop loop) {
    read = source.memory();
    write = target.memory();
    this.loop = loop;
  }

  /** The loop for this pair of types, or null where there is none of its own. */
  static DenseCast of(Tensor source, Tensor target) {
    Loop loop = target.dtype() == DType.F32 ? toFloat(source.dtype())
        : source.dtype() == DType.F32 ? fromFloat(target.dtype()) : null;
    return loop == null ? null : new DenseCast(source, target, loop);
  }

  private static Loop toFloat(DType from) {
    return switch (from) {
      case BF16 -> CpuKernels.haveVectors() ? VectorCasts::bfloat16ToFloat : DenseCast::bfloat16ToFloat;
      case F16 -> DenseCast::float16ToFloat;
      case F64 -> DenseCast::doubleToFloat;
      case U8 -> DenseCast::byteToFloat;
      default -> null;
    };
  }

  private static Loop fromFloat(DType to) {
    return switch (to) {
      case BF16 -> CpuKernels.haveVectors() ? VectorCasts::floatToBfloat16 : DenseCast::floatToBfloat16;
      case F16 -> DenseCast::floatToFloat16;
      case F64 -> DenseCast::floatToDouble;
      default -> null;
    };
  }

  /** Converts {@code n} elements from index a of the source's memory to index b of the target's. */
  void run(long a, long b, long n) {
    loop.run(read, a, write, b, n);
  }

  private static void bfloat16ToFloat(MemorySegment read, long a, MemorySegment write, long b, long n) {
    for (long i = 0; i < n; i++) {
      write.setAtIndex(ValueLayout.JAVA_INT, b + i, read.getAtIndex(ValueLayout.JAVA_SHORT, a + i) << 16);
    }
  }

  // C2 makes no vector code where it cannot tell whether what is written is read again: so F16 goes through arrays.

  private static void float16ToFloat(MemorySegment read, long a, MemorySegment write, long b, long n) {
    float[] floats = new float[(int) Math.min(n, PIECE)];
    for (long i = 0; i < n; i += PIECE) {
      int count = (int) Math.min(PIECE, n - i);
      decode(read, Short.BYTES * (a + i), floats, count);
      MemorySegment.copy(floats, 0, write, ValueLayout.JAVA_FLOAT, Float.BYTES * (b + i), count);
    }
  }

  private static void decode(MemorySegment read, long at, float[] floats, int count) {
    for (int i = 0; i < count; i++) {
      floats[i] = Float.float16ToFloat(read.get(ValueLayout.JAVA_SHORT, at + 2L * i));
    }
  }

  private static void doubleToFloat(MemorySegment read, long a, MemorySegment write, long b, long n) {
    for (long i = 0; i < n; i++) {
      write.setAtIndex(ValueLayout.JAVA_FLOAT, b + i, (float) read.getAtIndex(ValueLayout.JAVA_DOUBLE, a + i));
    }
  }

  private static void byteToFloat(MemorySegment read, long a, MemorySegment write, long b, long n) {
    for (long i = 0; i < n; i++) {
      write.setAtIndex(ValueLayout.JAVA_FLOAT, b + i, read.get(ValueLayout.JAVA_BYTE, a + i) & 0xFF);
    }
  }

  private static void floatToBfloat16(MemorySegment read, long a, MemorySegment write, long b, long n) {
    for (long i = 0; i < n; i++) {
      write.setAtIndex(ValueLayout.JAVA_SHORT, b + i,
          (short) SmallFloat.bfloat16(read.getAtIndex(ValueLayout.JAVA_FLOAT, a + i)));
    }
  }

  /** Read to an array too: from memory to an array, C2 makes vector code of {@link #decode}'s loop, but not of this one. */
  private static void floatToFloat16(MemorySegment read, long a, MemorySegment write, long b, long n) {
    float[] floats = new float[(int) Math.min(n, PIECE)];
    short[] halves = new short[floats.length];
    for (long i = 0; i < n; i += PIECE) {
      int count = (int) Math.min(PIECE, n - i);
      MemorySegment.copy(read, ValueLayout.JAVA_FLOAT, Float.BYTES * (a + i), floats, 0, count);
      encode(floats, halves, count);
      MemorySegment.copy(halves, 0, write, ValueLayout.JAVA_SHORT, Short.BYTES * (b + i), count);
    }
  }

  private static void encode(float[] floats, short[] halves, int count) {
    for (int i = 0; i < count; i++) {
      halves[i] = Float.floatToFloat16(floats[i]);
    }
  }

  private static void floatToDouble(MemorySegment read, long a, MemorySegment write, long b, long n) {
    for (long i = 0; i < n; i++) {
      write.setAtIndex(ValueLayout.JAVA_DOUBLE, b + i, (double) read.getAtIndex(ValueLayout.JAVA_FLOAT, a + i));
    }
  }
}
