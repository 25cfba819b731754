package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Unary;

/** {@link Unary}, {@link Binary}, and the fused operations that go element by element: {@code elementwise.cu}. */
final class CudaElementwise {
  private static final String SOURCE = "elementwise";

  private final Launcher launcher;

  CudaElementwise(Launcher launcher) {
    this.launcher = launcher;
  }

  void run(Unary op, Tensor x, Tensor y) {
    double[] p = CudaFunctions.parameters(op);
    DType type = x.dtype();
    launcher.each(Launcher.vectors(y), SOURCE, Launcher.variant("unary", type), CudaFunctions.code(op), x, y, y.elementCount(),
        Arguments.real(type, p[0]), Arguments.real(type, p[1]));
  }

  void run(Binary op, Tensor a, Tensor b, Tensor y) {
    boolean compares = op instanceof Binary.Equal || op instanceof Binary.Less || op instanceof Binary.LessEqual;
    Walk walk = Walk.over(y.shape(), a, b);
    if (compares) {
      launcher.each(y.elementCount(), SOURCE, "compare", CudaFunctions.code(op), CudaFunctions.code(a.dtype()), a, b, y, y.elementCount(), walk);
    } else {
      int unit = walk.unit(a.dtype(), a, b, y);
      long count = y.elementCount() / unit;
      launcher.each(count, SOURCE, Launcher.variant("binary", a.dtype()), CudaFunctions.code(op), unit > 1, a, b, y, count,
          walk.inUnits(unit));
    }
  }

  /** {@code dx = dy f'(x)}. */
  void gradient(Unary op, Tensor dy, Tensor x, Tensor dx) {
    double[] p = CudaFunctions.parameters(op);
    DType type = x.dtype();
    launcher.each(Launcher.vectors(dx), SOURCE, Launcher.variant("unary_grad", type), CudaFunctions.code(op), dy, x, dx, dx.elementCount(),
        Arguments.real(type, p[0]), Arguments.real(type, p[1]));
  }

  /** {@code y = value f(gate)}, of x [..., 2 D]. */
  void run(Fused.Gated op, Tensor x, Tensor y) {
    double[] p = CudaFunctions.parameters(op.activation());
    DType type = x.dtype();
    launcher.each(Launcher.vectors(y), SOURCE, Launcher.variant("gated", type), CudaFunctions.code(op.activation()), op.gateFirst(), x, y,
        y.elementCount(), y.size(-1), Arguments.real(type, p[0]), Arguments.real(type, p[1]));
  }

  /** Of y = value f(gate): {@code d value = dy f(gate)}, {@code d gate = dy value f'(gate)}. */
  void gradient(Fused.Gated op, Tensor dy, Tensor x, Tensor dx) {
    double[] p = CudaFunctions.parameters(op.activation());
    DType type = x.dtype();
    launcher.each(Launcher.vectors(dy), SOURCE, Launcher.variant("gated_grad", type), CudaFunctions.code(op.activation()), op.gateFirst(),
        dy, x, dx, dy.elementCount(), dy.size(-1), Arguments.real(type, p[0]), Arguments.real(type, p[1]));
  }
}
