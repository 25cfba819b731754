package org.deft4j.tensor.internal;

import java.util.stream.IntStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Unary;

/** {@link Fused.GlobalNorm} and {@link InPlace.ClipInto} on the processor: one tensor after the other, by the kernels of each. */
final class GlobalNorm {
  private GlobalNorm() {}

  /** Squares are summed in the tensors' type, the sums of all in float64. */
  static void run(Kernels kernels, Tensor[] in, Tensor norm) {
    double squares = 0;
    for (Tensor x : in) {
      try (Scope _ = Scope.open()) {
        Tensor square = Tensor.empty(x.device(), x.dtype(), x.shape());
        kernels.run(new Unary.Square(), new Tensor[] {x}, new Tensor[] {square});
        Tensor sum = Tensor.empty(x.device(), x.dtype(), Shape.of());
        kernels.run(new Reduction.Sum(IntStream.range(0, x.rank()).boxed().toList(), false), new Tensor[] {square}, new Tensor[] {sum});
        squares += x.dtype() == DType.F32 ? Floats.of(sum).get(0) : Doubles.of(sum).get(0);
      }
    }
    Doubles.of(norm).set(0, Math.sqrt(squares));
  }

  static void clip(Kernels kernels, InPlace.ClipInto op, Tensor[] in) {
    double factor = op.factor(Doubles.of(in[0]).get(0));
    if (factor < 1) {
      for (int i = 1; i < in.length; i++) {
        kernels.run(new InPlace.ScaleInto(factor), new Tensor[] {in[i]}, new Tensor[0]);
      }
    }
  }
}
