package org.deft4j.weights;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Tensor;

/** Finds what a conversion to a type of a smaller range has made infinite. */
final class ValueRange {
  /** Each holds every finite value of those after it. */
  private static final List<DType> BY_RANGE = List.of(DType.F64, DType.F32, DType.BF16, DType.F16);

  private ValueRange() {}

  /**
   * Refuses a conversion that lost a finite value of {@code stored}; what was infinite or NaN before may be so after.
   *
   * @param stored contiguous
   * @param converted contiguous, of as many elements
   */
  static void require(Path path, String name, Tensor stored, Tensor converted) {
    if (!isNarrower(converted.dtype(), stored.dtype())) {
      return;
    }
    MemorySegment memory = converted.to(Device.CPU).bytes();
    for (long i = 0; i < converted.elementCount(); i++) {
      if (!isFinite(converted.dtype(), memory, i)) {
        double value = stored.slice(0, i, i + 1).item();
        if (Double.isFinite(value)) {
          throw FormatException.tensor(path, FormatException.NO_OFFSET, name, "holds " + value + ", beyond the range of "
              + converted.dtype() + "; load it as " + remedy(stored.dtype(), converted.dtype()));
        }
      }
    }
  }

  private static boolean isNarrower(DType type, DType than) {
    return BY_RANGE.contains(than) && BY_RANGE.indexOf(type) > BY_RANGE.indexOf(than);
  }

  private static String remedy(DType stored, DType converted) {
    return converted == DType.F16 ? "BF16 or F32" : stored.toString();
  }

  /** All exponent bits set: infinity or NaN. */
  private static boolean isFinite(DType type, MemorySegment memory, long i) {
    return switch (type) {
      case F16 -> (memory.getAtIndex(ValueLayout.JAVA_SHORT, i) & 0x7C00) != 0x7C00;
      case BF16 -> (memory.getAtIndex(ValueLayout.JAVA_SHORT, i) & 0x7F80) != 0x7F80;
      default -> Float.isFinite(memory.getAtIndex(ValueLayout.JAVA_FLOAT, i));
    };
  }
}
