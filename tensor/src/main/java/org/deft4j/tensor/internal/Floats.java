package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.Tensor;

/** The memory of an F32 tensor, indexed in elements from the tensor's first. */
record Floats(MemorySegment memory, long offset) {
  /** The elements of {@code tensor}. */
  static Floats of(Tensor tensor) {
    return new Floats(tensor.memory(), tensor.offset());
  }

  @Override
  public MemorySegment memory() {
    return OffHeap.known(memory);
  }

  /** Where element {@code index} lies in the memory. */
  long byteAt(long index) {
    return (offset + index) * Float.BYTES;
  }

  float get(long index) {
    return memory.getAtIndex(ValueLayout.JAVA_FLOAT, offset + index);
  }

  void set(long index, float value) {
    memory.setAtIndex(ValueLayout.JAVA_FLOAT, offset + index, value);
  }
}
