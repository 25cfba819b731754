package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.deft4j.tensor.DType;

/** F32, F16 and BF16 in memory, as float32 and back; every value of them is a float32, so nothing is rounded. */
final class HalfFloats {
  private static final int LANES = Simd.LANES;
  /** As many 16-bit numbers as a vector has floats; at least 64 bits, the shortest vector there is. */
  static final VectorSpecies<Short> SHORTS =
      VectorSpecies.of(short.class, VectorShape.forBitSize(Simd.FLOATS.vectorBitSize() / 2));

  private HalfFloats() {}

  /** One element at a byte address. */
  static float get(DType type, MemorySegment memory, long at) {
    return switch (type) {
      case F32 -> memory.get(ValueLayout.JAVA_FLOAT, at);
      case F16 -> Float.float16ToFloat(memory.get(ValueLayout.JAVA_SHORT, at));
      case BF16 -> Float.intBitsToFloat(memory.get(ValueLayout.JAVA_SHORT, at) << 16);
      default -> throw new IllegalStateException("no product reads " + type);
    };
  }

  /** {@code count} elements that lie side by side, to floats side by side. */
  static void copy(DType type, MemorySegment from, long fromAt, int count, float[] to, int at) {
    if (count < LANES) {
      for (int i = 0; i < count; i++) {
        to[at + i] = get(type, from, fromAt + (long) type.bytes() * i);
      }
      return;
    }
    switch (type) {
      case F32 -> f32(from, fromAt, count, to, at);
      case F16 -> f16(from, fromAt, count, to, at);
      default -> bf16(from, fromAt, count, to, at);
    }
  }

  // Each in a method of its own, or a program that has seen all types gets one compiled for all, which keeps little in registers.
  // Whole vectors, the last one moved back to end with the elements.

  private static void f32(MemorySegment from, long fromAt, int count, float[] to, int at) {
    int last = count - LANES;
    for (int i = 0; i < last; i += LANES) {
      Simd.load(from, fromAt + 4L * i).intoArray(to, at + i);
    }
    Simd.load(from, fromAt + 4L * last).intoArray(to, at + last);
  }

  private static void bf16(MemorySegment from, long fromAt, int count, float[] to, int at) {
    int last = count - LANES;
    for (int i = 0; i < last; i += LANES) {
      bf16(from, fromAt + 2L * i).intoArray(to, at + i);
    }
    bf16(from, fromAt + 2L * last).intoArray(to, at + last);
  }

  /** {@code count} floats to elements that lie side by side: F32, or the upper halves of the floats as BF16, unrounded. */
  static void store(DType type, float[] from, int at, int count, MemorySegment to, long toAt) {
    boolean whole = type == DType.F32;
    if (count < LANES) {
      for (int i = 0; i < count; i++) {
        if (whole) {
          to.set(ValueLayout.JAVA_FLOAT, toAt + 4L * i, from[at + i]);
        } else {
          to.set(ValueLayout.JAVA_SHORT, toAt + 2L * i, (short) (Float.floatToRawIntBits(from[at + i]) >>> 16));
        }
      }
      return;
    }
    int last = count - LANES;
    if (whole) {
      for (int i = 0; i < last; i += LANES) {
        Simd.store(FloatVector.fromArray(Simd.FLOATS, from, at + i), to, toAt + 4L * i);
      }
      Simd.store(FloatVector.fromArray(Simd.FLOATS, from, at + last), to, toAt + 4L * last);
      return;
    }
    for (int i = 0; i < last; i += LANES) {
      upper(from, at + i).intoMemorySegment(OffHeap.known(to), toAt + 2L * i, Simd.ORDER);
    }
    upper(from, at + last).intoMemorySegment(OffHeap.known(to), toAt + 2L * last, Simd.ORDER);
  }

  private static ShortVector upper(float[] from, int at) {
    IntVector bits = FloatVector.fromArray(Simd.FLOATS, from, at).reinterpretAsInts();
    return (ShortVector) bits.lanewise(VectorOperators.LSHR, 16).convertShape(VectorOperators.I2S, SHORTS, 0);
  }

  /** The bits of so many 16-bit elements as a vector has floats. */
  static IntVector bits(MemorySegment from, long at) {
    return (IntVector) ShortVector.fromMemorySegment(SHORTS, OffHeap.known(from), at, Simd.ORDER)
        .convertShape(VectorOperators.ZERO_EXTEND_S2I, Simd.INTS, 0);
  }

  /** A vector of BF16 at a byte address. */
  static FloatVector bf16(MemorySegment from, long at) {
    return bits(from, at).lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
  }

  /** A plain loop, which the compiler turns into the processor's own conversions. */
  private static void f16(MemorySegment from, long fromAt, int count, float[] to, int at) {
    for (int i = 0; i < count; i++) {
      to[at + i] = Float.float16ToFloat(from.get(ValueLayout.JAVA_SHORT, fromAt + 2L * i));
    }
  }
}
