package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/** The conversions of whole weights, as loops that C2 turns into vector code: between F32 and F16, BF16. */
final class DenseCast {
  private final MemorySegment read;
  private final MemorySegment write;
  private final DType from;
  private final DType to;

  private DenseCast(Tensor source, Tensor target) {
    read = source.memory();
    write = target.memory();
    from = source.dtype();
    to = target.dtype();
  }

  /** The loop for this pair of types, or null where there is none of its own. */
  static DenseCast of(Tensor source, Tensor target) {
    boolean narrows = source.dtype() == DType.F32 && isHalf(target.dtype());
    boolean widens = isHalf(source.dtype()) && target.dtype() == DType.F32;
    return narrows || widens ? new DenseCast(source, target) : null;
  }

  private static boolean isHalf(DType dtype) {
    return dtype == DType.F16 || dtype == DType.BF16;
  }

  /** Converts {@code n} elements from index a of the source's memory to index b of the target's. */
  void run(long a, long b, long n) {
    if (from == DType.BF16) {
      for (long i = 0; i < n; i++) {
        write.setAtIndex(ValueLayout.JAVA_INT, b + i, read.getAtIndex(ValueLayout.JAVA_SHORT, a + i) << 16);
      }
    } else if (from == DType.F16) {
      for (long i = 0; i < n; i++) {
        write.setAtIndex(ValueLayout.JAVA_FLOAT, b + i,
            Float.float16ToFloat(read.getAtIndex(ValueLayout.JAVA_SHORT, a + i)));
      }
    } else if (to == DType.BF16) {
      for (long i = 0; i < n; i++) {
        write.setAtIndex(ValueLayout.JAVA_SHORT, b + i,
            (short) SmallFloat.bfloat16(read.getAtIndex(ValueLayout.JAVA_FLOAT, a + i)));
      }
    } else {
      for (long i = 0; i < n; i++) {
        write.setAtIndex(ValueLayout.JAVA_SHORT, b + i,
            Float.floatToFloat16(read.getAtIndex(ValueLayout.JAVA_FLOAT, a + i)));
      }
    }
  }
}
