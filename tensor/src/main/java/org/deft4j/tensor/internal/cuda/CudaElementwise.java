package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Unary;

/** {@link Unary}, {@link Binary}, and the fused operations that go element by element: {@code elementwise.cu}. */
final class CudaElementwise {
  private static final String SOURCE = "elementwise";

  /** Elements from which on a copy in order costs less than reading across. */
  private static final long MANY = 1 << 16;

  private final Launcher launcher;
  private final CudaCopies copies;

  CudaElementwise(Launcher launcher, CudaCopies copies) {
    this.launcher = launcher;
    this.copies = copies;
  }

  void run(Unary op, Tensor x, Tensor y) {
    double[] p = CudaFunctions.parameters(op);
    DType type = x.dtype();
    launcher.each(Launcher.vectors(y), SOURCE, Launcher.variant("unary", type), CudaFunctions.code(op), x, y, y.elementCount(),
        Arguments.real(type, p[0]), Arguments.real(type, p[1]));
  }

  void run(Binary op, Tensor a, Tensor b, Tensor y) {
    boolean compares = op instanceof Binary.Equal || op instanceof Binary.Less || op instanceof Binary.LessEqual;
    if (compares) {
      Walk walk = Walk.over(y.shape(), a, b);
      launcher.each(y.elementCount(), SOURCE, "compare", CudaFunctions.code(op), CudaFunctions.code(a.dtype()), a, b, y, y.elementCount(), walk);
    } else {
      try (Scope _ = Scope.open()) {
        combine(op, inOrder(a, y), inOrder(b, y), y);
      }
    }
  }

  private void combine(Binary op, Tensor a, Tensor b, Tensor y) {
    Walk walk = Walk.over(y.shape(), a, b);
    int unit = walk.unit(a.dtype(), a, b, y);
    long count = y.elementCount() / unit;
    launcher.each(count, SOURCE, Launcher.variant("binary", a.dtype()), CudaFunctions.code(op), unit > 1, a, b, y, count,
        walk.inUnits(unit));
  }

  /** {@code x}; but where neighbours in y lie apart in it (tokens added to a picture), a copy, which turns squares of it at a time. */
  private Tensor inOrder(Tensor x, Tensor y) {
    boolean across = x.elementCount() == y.elementCount() && x.elementCount() >= MANY && x.size(-1) > 1 && x.strides()[x.rank() - 1] > 1;
    if (!across) {
      return x;
    }
    Tensor copy = Tensor.empty(x.device(), x.dtype(), x.shape());
    copies.copy(x, copy);
    return copy;
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
