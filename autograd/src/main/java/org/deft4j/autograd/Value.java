package org.deft4j.autograd;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** What a tape knows of a tensor without holding its memory. */
record Value(long id, Device device, DType dtype, Shape shape) {
  static Value of(Tensor tensor) {
    return new Value(tensor.id(), tensor.device(), tensor.dtype(), tensor.shape());
  }

  /** The type of its gradient: its own, but F32 for what no operation computes. */
  DType gradientType() {
    return dtype.isOperand() ? dtype : DType.F32;
  }
}
