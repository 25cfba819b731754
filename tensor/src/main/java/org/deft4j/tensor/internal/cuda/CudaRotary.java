package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** {@link org.deft4j.tensor.op.Fused.Rotary}, a thread for each pair of numbers: {@code rotary.cu}. */
final class CudaRotary {
  private final Launcher launcher;

  CudaRotary(Launcher launcher) {
    this.launcher = launcher;
  }

  void run(boolean inverse, Tensor x, Tensor cos, Tensor sin, Tensor y) {
    long half = y.size(-1) / 2;
    Shape pairs = y.shape().with(-1, half);
    long apart = half * x.strides()[x.rank() - 1];
    launcher.each(pairs.elementCount(), "rotary", Launcher.variant("rotary", y.dtype()), inverse, x, cos, sin, y, pairs.elementCount(),
        half, apart, Walk.over(pairs, x, cos, sin));
  }
}
