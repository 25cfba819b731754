package org.deft4j.tensor.internal;

import java.util.Arrays;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/** The {@link InPlace} operations that compute: scaled addition and the optimizers' steps. */
final class ScalarUpdates {
  private ScalarUpdates() {}

  static void run(InPlace op, Tensor[] in, Tensor[] out) {
    if (op instanceof InPlace.AddScaledInto(var alpha) && !isDense(in)) {
      addScaledRuns(alpha, in);
      return;
    }
    Parallel.forRange(in[0].elementCount(), ScalarElementwise.GRAIN, body(op, in));
  }

  /** Whether the elements of all inputs lie side by side, so that one index serves them. */
  static boolean isDense(Tensor[] in) {
    return Arrays.stream(in).allMatch(Tensor::isContiguous);
  }

  /** The scaled addition for any strides; its order does not matter, for each element is by itself. */
  private static void addScaledRuns(double alpha, Tensor[] in) {
    if (in[0].dtype() == DType.F32) {
      Floats target = Floats.of(in[0]);
      Floats x = Floats.of(in[1]);
      StridedCopy.walk(in[1], in[0], (a, b, n, stepA, stepB) -> addScaled((float) alpha, x, a, stepA, target, b, stepB, n));
    } else {
      Doubles target = Doubles.of(in[0]);
      Doubles x = Doubles.of(in[1]);
      StridedCopy.walk(in[1], in[0], (a, b, n, stepA, stepB) -> {
        for (long i = 0; i < n; i++) {
          target.set(b + i * stepB, Math.fma(alpha, x.get(a + i * stepA), target.get(b + i * stepB)));
        }
      });
    }
  }

  /** Along a run. */
  static void addScaled(float alpha, Floats x, long a, long stepA, Floats target, long b, long stepB, long n) {
    for (long i = 0; i < n; i++) {
      target.set(b + i * stepB, Math.fma(alpha, x.get(a + i * stepA), target.get(b + i * stepB)));
    }
  }

  /** Computes {@code op} on the elements of a range. */
  static Parallel.Range body(InPlace op, Tensor[] in) {
    boolean f32 = in[0].dtype() == DType.F32;
    return switch (op) {
      case InPlace.AddScaledInto(var alpha) -> f32 ? addScaled((float) alpha, in) : addScaledF64(alpha, in);
      case InPlace.ScaleInto(var factor) -> f32 ? scale((float) factor, in) : scaleF64(factor, in);
      case InPlace.AdamUpdate adam -> f32 ? adam(Adam.of(adam), in) : adamF64(adam, in);
      case InPlace.SgdUpdate sgd -> f32 ? sgd(sgd, in) : sgdF64(sgd, in);
      case InPlace.CopyInto ignored -> throw new IllegalStateException(op.label());
      case InPlace.Fill ignored -> throw new IllegalStateException(op.label());
      case InPlace.ClipInto ignored -> throw new IllegalStateException(op.label());
    };
  }

  // ----------------------------------------------------------------------------------------------------- float32

  private static Parallel.Range addScaled(float alpha, Tensor[] in) {
    Floats target = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        target.set(i, Math.fma(alpha, x.get(i), target.get(i)));
      }
    };
  }

  private static Parallel.Range scale(float factor, Tensor[] in) {
    Floats target = Floats.of(in[0]);
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        target.set(i, target.get(i) * factor);
      }
    };
  }

  /**
   * The numbers of a step, found in float64 and rounded once: {@code p} is multiplied by {@code keep} (1 - lr weightDecay, or
   * 1), {@code gradientDecay} p is added to the gradient, {@code rate} is {@code lr / (1 - b1^t)}, {@code correction} {@code
   * sqrt(1 - b2^t)}.
   */
  record Adam(float keep, float gradientDecay, float beta1, float rest1, float beta2, float rest2, float rate,
      float correction, float eps) {
    static Adam of(InPlace.AdamUpdate op) {
      return new Adam((float) op.keep(), (float) op.gradientDecay(), (float) op.beta1(), (float) (1 - op.beta1()), (float) op.beta2(),
          (float) (1 - op.beta2()), (float) op.stepSize(), (float) op.rootCorrection(), (float) op.eps());
    }
  }

  private static Parallel.Range adam(Adam a, Tensor[] in) {
    Floats ps = Floats.of(in[0]);
    Floats gs = Floats.of(in[1]);
    Floats ms = Floats.of(in[2]);
    Floats vs = Floats.of(in[3]);
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        float p = ps.get(i) * a.keep;
        float g = a.gradientDecay == 0f ? gs.get(i) : Math.fma(a.gradientDecay, p, gs.get(i));
        float m = Math.fma(a.rest1, g, ms.get(i) * a.beta1);
        float v = Math.fma(a.rest2 * g, g, vs.get(i) * a.beta2);
        ms.set(i, m);
        vs.set(i, v);
        ps.set(i, Math.fma(-a.rate, m / ((float) Math.sqrt(v) / a.correction + a.eps), p));
      }
    };
  }

  private static Parallel.Range sgd(InPlace.SgdUpdate op, Tensor[] in) {
    Floats ps = Floats.of(in[0]);
    Floats gs = Floats.of(in[1]);
    Floats buffer = in.length > 2 ? Floats.of(in[2]) : null;
    float decay = (float) op.weightDecay();
    float momentum = (float) op.momentum();
    float lr = (float) op.lr();
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        float p = ps.get(i);
        float g = decay == 0f ? gs.get(i) : Math.fma(decay, p, gs.get(i));
        if (buffer != null) {
          float b = op.first() ? g : Math.fma(momentum, buffer.get(i), g);
          buffer.set(i, b);
          g = op.nesterov() ? Math.fma(momentum, b, g) : b;
        }
        ps.set(i, Math.fma(-lr, g, p));
      }
    };
  }

  // ----------------------------------------------------------------------------------------------------- float64

  private static Parallel.Range addScaledF64(double alpha, Tensor[] in) {
    Doubles target = Doubles.of(in[0]);
    Doubles x = Doubles.of(in[1]);
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        target.set(i, Math.fma(alpha, x.get(i), target.get(i)));
      }
    };
  }

  private static Parallel.Range scaleF64(double factor, Tensor[] in) {
    Doubles target = Doubles.of(in[0]);
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        target.set(i, target.get(i) * factor);
      }
    };
  }

  private static Parallel.Range adamF64(InPlace.AdamUpdate op, Tensor[] in) {
    Doubles ps = Doubles.of(in[0]);
    Doubles gs = Doubles.of(in[1]);
    Doubles ms = Doubles.of(in[2]);
    Doubles vs = Doubles.of(in[3]);
    double rate = op.stepSize();
    double correction = op.rootCorrection();
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        double p = ps.get(i) * op.keep();
        double g = op.decoupled() ? gs.get(i) : gs.get(i) + op.gradientDecay() * p;
        double m = op.beta1() * ms.get(i) + (1 - op.beta1()) * g;
        double v = op.beta2() * vs.get(i) + (1 - op.beta2()) * g * g;
        ms.set(i, m);
        vs.set(i, v);
        ps.set(i, p - rate * m / (Math.sqrt(v) / correction + op.eps()));
      }
    };
  }

  private static Parallel.Range sgdF64(InPlace.SgdUpdate op, Tensor[] in) {
    Doubles ps = Doubles.of(in[0]);
    Doubles gs = Doubles.of(in[1]);
    Doubles buffer = in.length > 2 ? Doubles.of(in[2]) : null;
    return (from, to) -> {
      for (long i = from; i < to; i++) {
        double p = ps.get(i);
        double g = gs.get(i) + op.weightDecay() * p;
        if (buffer != null) {
          double b = op.first() ? g : op.momentum() * buffer.get(i) + g;
          buffer.set(i, b);
          g = op.nesterov() ? g + op.momentum() * b : b;
        }
        ps.set(i, p - op.lr() * g);
      }
    };
  }
}
