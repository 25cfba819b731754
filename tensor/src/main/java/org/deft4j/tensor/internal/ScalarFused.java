package org.deft4j.tensor.internal;

import java.util.function.DoubleUnaryOperator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Unary;

/** {@link Fused}, element after element. */
final class ScalarFused {
  private ScalarFused() {}

  static void run(Fused op, Tensor[] in, Tensor[] out) {
    boolean f32 = in[0].dtype() == DType.F32;
    switch (op) {
      case Fused.Gated gated -> {
        long width = out[0].size(-1);
        forRows(out[0].elementCount(), width, f32 ? gated(gated, width, in, out) : gatedF64(gated, width, in, out));
      }
      case Fused.GatedGrad(var gated) -> {
        long width = in[0].size(-1);
        forRows(in[0].elementCount(), width, f32 ? gatedGrad(gated, width, in, out) : gatedGradF64(gated, width, in, out));
      }
      case Fused.Rotary(var inverse) -> ScalarRotary.run(inverse, in, out[0]);
      case Fused.ActivationGrad(var function) ->
          Parallel.forRange(out[0].elementCount(), ScalarElementwise.GRAIN,
              f32 ? activationGrad(function, in, out) : activationGradF64(function, in, out));
      case Fused.GlobalNorm() -> throw new IllegalStateException(op.label());
      case Fused.SoftmaxGrad(var dim) -> {
        Slab slab = Slab.of(out[0].shape(), dim);
        Parallel.forRange(slab.results(), slab.grain(), f32 ? softmaxGrad(slab, in, out) : softmaxGradF64(slab, in, out));
      }
    }
  }

  /** Runs {@code body} over rows of {@code width}. */
  private static void forRows(long count, long width, Parallel.Range body) {
    Parallel.forRange(width == 0 ? 0 : count / width, Math.max(1, ScalarElementwise.GRAIN / Math.max(1, width)), body);
  }

  // ----------------------------------------------------------------------------------------------------- float32

  private static Parallel.Range gated(Fused.Gated op, long width, Tensor[] in, Tensor[] out) {
    FloatFunction f = FloatFunctions.of(op.activation());
    Floats x = Floats.of(in[0]);
    Floats y = Floats.of(out[0]);
    return (from, to) -> {
      for (long row = from; row < to; row++) {
        long value = 2 * row * width + op.value(width);
        long gate = 2 * row * width + op.gate(width);
        for (long i = 0; i < width; i++) {
          y.set(row * width + i, x.get(value + i) * f.apply(x.get(gate + i)));
        }
      }
    };
  }

  private static Parallel.Range gatedGrad(Fused.Gated op, long width, Tensor[] in, Tensor[] out) {
    FloatFunction f = FloatFunctions.of(op.activation());
    FloatFunction slope = FloatFunctions.derivative(op.activation());
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats dx = Floats.of(out[0]);
    return (from, to) -> {
      for (long row = from; row < to; row++) {
        long value = 2 * row * width + op.value(width);
        long gate = 2 * row * width + op.gate(width);
        for (long i = 0; i < width; i++) {
          float d = dy.get(row * width + i);
          float g = x.get(gate + i);
          dx.set(value + i, d * f.apply(g));
          dx.set(gate + i, d * x.get(value + i) * slope.apply(g));
        }
      }
    };
  }

  private static Parallel.Range activationGrad(Unary function, Tensor[] in, Tensor[] out) {
    FloatFunction slope = FloatFunctions.derivative(function);
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats dx = Floats.of(out[0]);
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        dx.set(i, dy.get(i) * slope.apply(x.get(i)));
      }
    };
  }

  private static Parallel.Range softmaxGrad(Slab slab, Tensor[] in, Tensor[] out) {
    Floats dy = Floats.of(in[0]);
    Floats y = Floats.of(in[1]);
    Floats dx = Floats.of(out[0]);
    long step = slab.inner();
    return (from, to) -> {
      for (long index = from; index < to; index++) {
        long start = slab.start(index);
        float sum = ScalarReductions.sum(slab,
            (lane, i) -> Math.fma(dy.get(start + i * step), y.get(start + i * step), lane));
        for (long at = start; at < start + slab.n() * step; at += step) {
          dx.set(at, y.get(at) * (dy.get(at) - sum));
        }
      }
    };
  }

  // ----------------------------------------------------------------------------------------------------- float64

  private static Parallel.Range gatedF64(Fused.Gated op, long width, Tensor[] in, Tensor[] out) {
    DoubleUnaryOperator f = DoubleFunctions.of(op.activation());
    Doubles x = Doubles.of(in[0]);
    Doubles y = Doubles.of(out[0]);
    return (from, to) -> {
      for (long row = from; row < to; row++) {
        long value = 2 * row * width + op.value(width);
        long gate = 2 * row * width + op.gate(width);
        for (long i = 0; i < width; i++) {
          y.set(row * width + i, x.get(value + i) * f.applyAsDouble(x.get(gate + i)));
        }
      }
    };
  }

  private static Parallel.Range gatedGradF64(Fused.Gated op, long width, Tensor[] in, Tensor[] out) {
    DoubleUnaryOperator f = DoubleFunctions.of(op.activation());
    DoubleUnaryOperator slope = DoubleFunctions.derivative(op.activation());
    Doubles dy = Doubles.of(in[0]);
    Doubles x = Doubles.of(in[1]);
    Doubles dx = Doubles.of(out[0]);
    return (from, to) -> {
      for (long row = from; row < to; row++) {
        long value = 2 * row * width + op.value(width);
        long gate = 2 * row * width + op.gate(width);
        for (long i = 0; i < width; i++) {
          double d = dy.get(row * width + i);
          double g = x.get(gate + i);
          dx.set(value + i, d * f.applyAsDouble(g));
          dx.set(gate + i, d * x.get(value + i) * slope.applyAsDouble(g));
        }
      }
    };
  }

  private static Parallel.Range activationGradF64(Unary function, Tensor[] in, Tensor[] out) {
    DoubleUnaryOperator slope = DoubleFunctions.derivative(function);
    Doubles dy = Doubles.of(in[0]);
    Doubles x = Doubles.of(in[1]);
    Doubles dx = Doubles.of(out[0]);
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        dx.set(i, dy.get(i) * slope.applyAsDouble(x.get(i)));
      }
    };
  }

  private static Parallel.Range softmaxGradF64(Slab slab, Tensor[] in, Tensor[] out) {
    Doubles dy = Doubles.of(in[0]);
    Doubles y = Doubles.of(in[1]);
    Doubles dx = Doubles.of(out[0]);
    long step = slab.inner();
    return (from, to) -> {
      for (long index = from; index < to; index++) {
        long start = slab.start(index);
        double sum = DoubleReductions.sum(slab,
            (lane, i) -> Math.fma(dy.get(start + i * step), y.get(start + i * step), lane));
        for (long at = start; at < start + slab.n() * step; at += step) {
          dx.set(at, y.get(at) * (dy.get(at) - sum));
        }
      }
    };
  }
}
