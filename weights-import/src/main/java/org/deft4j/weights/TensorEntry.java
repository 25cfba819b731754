package org.deft4j.weights;

import org.deft4j.tensor.Shape;

/** A tensor as a safetensors header describes it; its bytes are {@code begin} to {@code end} of the data after the header. */
public record TensorEntry(StoredType type, Shape shape, long begin, long end) {
  /** Bytes of data. */
  public long byteCount() {
    return end - begin;
  }
}
