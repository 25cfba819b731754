package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/** The conversions between F32 and BF16 of {@link DenseCast} in vectors, by the formulas of {@link SmallFloat}. */
final class VectorCasts {
  private static final int LANES = Simd.LANES;

  private VectorCasts() {}

  static void bfloat16ToFloat(MemorySegment read, long a, MemorySegment write, long b, long n) {
    int vectors = Math.toIntExact(n / LANES);
    for (int v = 0; v < vectors; v++) {
      long i = (long) v * LANES;
      IntVector bits = HalfFloats.bits(read, 2 * (a + i)).lanewise(VectorOperators.LSHL, 16);
      bits.intoMemorySegment(OffHeap.known(write), 4 * (b + i), Simd.ORDER);
    }
    for (long i = (long) vectors * LANES; i < n; i++) {
      write.setAtIndex(ValueLayout.JAVA_INT, b + i, read.getAtIndex(ValueLayout.JAVA_SHORT, a + i) << 16);
    }
  }

  static void floatToBfloat16(MemorySegment read, long a, MemorySegment write, long b, long n) {
    int vectors = Math.toIntExact(n / LANES);
    for (int v = 0; v < vectors; v++) {
      long i = (long) v * LANES;
      IntVector bits = IntVector.fromMemorySegment(Simd.INTS, OffHeap.known(read), 4 * (a + i), Simd.ORDER);
      IntVector upper = bits.lanewise(VectorOperators.LSHR, 16);
      IntVector rounded = bits.add(0x7FFF).add(upper.and(1)).lanewise(VectorOperators.LSHR, 16);
      IntVector result = rounded.blend(upper.or(0x40), bits.and(0x7FFFFFFF).compare(VectorOperators.GT, 0x7F800000));
      ((ShortVector) result.convertShape(VectorOperators.I2S, HalfFloats.SHORTS, 0))
          .intoMemorySegment(OffHeap.known(write), 2 * (b + i), Simd.ORDER);
    }
    for (long i = (long) vectors * LANES; i < n; i++) {
      float value = read.getAtIndex(ValueLayout.JAVA_FLOAT, a + i);
      write.setAtIndex(ValueLayout.JAVA_SHORT, b + i, (short) SmallFloat.bfloat16(value));
    }
  }
}
