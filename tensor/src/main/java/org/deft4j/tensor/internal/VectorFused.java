package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Unary;

/** {@link Fused} in float32: whole vectors by loops, the rest one by one. */
final class VectorFused {
  private VectorFused() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Fused op, Tensor[] in, Tensor[] out) {
    if (out[0].dtype() != DType.F32 || out[0].elementCount() < VectorElementwise.SMALL) {
      return false;
    }
    return switch (op) {
      case Fused.ActivationGrad(var function) -> activationGrad(VectorElementwise.plain(function), in, out);
      default -> false;
    };
  }

  private static boolean activationGrad(Unary function, Tensor[] in, Tensor[] out) {
    if (!SlopeLoops.has(function)) {
      return false;
    }
    FloatFunction slope = FloatFunctions.derivative(function);
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats dx = Floats.of(out[0]);
    Parallel.forRange(out[0].elementCount(), VectorElementwise.GRAIN, (from, to) -> {
      int vectors = Math.toIntExact((to - from) / Simd.LANES);
      SlopeLoops.run(function, Span.of(dy, x, dx, from, vectors));
      for (long i = from + (long) vectors * Simd.LANES; i < to; i++) {
        dx.set(i, dy.get(i) * slope.apply(x.get(i)));
      }
    });
    return true;
  }
}
