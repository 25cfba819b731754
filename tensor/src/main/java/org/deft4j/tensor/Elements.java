package org.deft4j.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Elements from and to Java arrays; in a {@link Rehearsal}, whose tensors have none, zeros. */
final class Elements {
  private Elements() {}

  /** {@code array} is a float[], double[], long[] or int[] matching {@code dtype}. */
  static Tensor of(Object array, int length, DType dtype, long[] sizes) {
    Shape shape = sizes.length == 0 ? Shape.of(length) : Shape.of(sizes);
    if (shape.elementCount() != length) {
      throw new ShapeException("of: " + length + " values do not fill shape " + shape);
    }
    Tensor tensor = Tensor.allocate(Device.current(), dtype, shape, "of");
    MemorySegment source = switch (array) {
      case float[] values -> MemorySegment.ofArray(values);
      case double[] values -> MemorySegment.ofArray(values);
      case long[] values -> MemorySegment.ofArray(values);
      case int[] values -> MemorySegment.ofArray(values);
      default -> throw new IllegalArgumentException("of: arrays of " + array.getClass());
    };
    tensor.write(bytes -> bytes.copyFrom(source));
    return tensor;
  }

  static float[] toFloats(Tensor tensor) {
    try (Scope _ = Scope.open()) {
      Tensor dense = tensor.cast(DType.F32).to(Device.CPU).contiguous();
      return isRehearsed(dense) ? new float[Math.toIntExact(dense.elementCount())]
          : dense.bytes().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
    }
  }

  static double[] toDoubles(Tensor tensor) {
    try (Scope _ = Scope.open()) {
      Tensor dense = tensor.cast(DType.F64).to(Device.CPU).contiguous();
      return isRehearsed(dense) ? new double[Math.toIntExact(dense.elementCount())]
          : dense.bytes().toArray(ValueLayout.JAVA_DOUBLE_UNALIGNED);
    }
  }

  static long[] toLongs(Tensor tensor) {
    try (Scope _ = Scope.open()) {
      Tensor dense = tensor.cast(DType.I64).to(Device.CPU).contiguous();
      return isRehearsed(dense) ? new long[Math.toIntExact(dense.elementCount())]
          : dense.bytes().toArray(ValueLayout.JAVA_LONG_UNALIGNED);
    }
  }

  private static boolean isRehearsed(Tensor tensor) {
    return tensor.device() == Device.META && Rehearsal.isOpen();
  }
}
