package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.Tensor;

/** The memory of an F64 tensor, indexed in elements from the tensor's first. */
record Doubles(MemorySegment memory, long offset) {
  /** The elements of {@code tensor}. */
  static Doubles of(Tensor tensor) {
    return new Doubles(tensor.memory(), tensor.offset());
  }

  double get(long index) {
    return memory.getAtIndex(ValueLayout.JAVA_DOUBLE, offset + index);
  }

  void set(long index, double value) {
    memory.setAtIndex(ValueLayout.JAVA_DOUBLE, offset + index, value);
  }

  /** Elements from {@code index} on. */
  void set(long index, double[] values) {
    MemorySegment.copy(values, 0, memory, ValueLayout.JAVA_DOUBLE, Double.BYTES * (offset + index), values.length);
  }
}
