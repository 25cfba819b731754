package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** {@link org.deft4j.tensor.op.Fused.Rotary}, a thread for each pair of numbers or of 16 bytes of them: {@code rotary.cu}. */
final class CudaRotary {
  private final Launcher launcher;

  CudaRotary(Launcher launcher) {
    this.launcher = launcher;
  }

  void run(boolean inverse, Tensor x, Tensor cos, Tensor sin, Tensor y) {
    long half = y.size(-1) / 2;
    Shape pairs = y.shape().with(-1, half);
    long apart = half * x.strides()[x.rank() - 1];
    Walk walk = Walk.over(pairs, x, cos, sin);
    int most = walk.unit(y.dtype(), x, cos, sin, y);
    int unit = half % most == 0 && apart % most == 0 ? most : 1;
    long count = pairs.elementCount() / unit;
    launcher.each(count, "rotary", Launcher.variant("rotary", y.dtype()), inverse, unit > 1, x, cos, sin, y, count, half / unit, apart,
        walk.inUnits(unit));
  }
}
