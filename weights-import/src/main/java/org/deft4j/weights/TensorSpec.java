package org.deft4j.weights;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** What a tensor is, without its data. */
public record TensorSpec(DType dtype, Shape shape) {
  /** What {@code tensor} is. */
  public static TensorSpec of(Tensor tensor) {
    return new TensorSpec(tensor.dtype(), tensor.shape());
  }

  /** Bytes of data. */
  public long byteCount() {
    return Math.multiplyExact(shape.elementCount(), (long) dtype.bytes());
  }
}
