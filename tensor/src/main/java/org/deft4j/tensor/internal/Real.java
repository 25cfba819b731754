package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;

/**
 * Arithmetic in float32 or float64 on values held in doubles, so that one plain kernel serves both. A float is exact in a
 * double; each operation of F32 rounds to float as the machine's float operation does.
 */
enum Real {
  /** Every result rounded to float. */
  F32 {
    @Override
    double fma(double a, double b, double c) {
      return Math.fma((float) a, (float) b, (float) c);
    }

    @Override
    double add(double a, double b) {
      return (float) a + (float) b;
    }

    @Override
    double mul(double a, double b) {
      return (float) a * (float) b;
    }

    @Override
    double div(double a, double b) {
      return (float) a / (float) b;
    }

    @Override
    double exp(double x) {
      return MathF32.exp((float) x);
    }

    @Override
    double expOrZero(double x) {
      return MathF32.expOrZero((float) x);
    }

    @Override
    double log(double x) {
      return MathF32.log((float) x);
    }
  },
  /** Plain doubles. */
  F64 {
    @Override
    double fma(double a, double b, double c) {
      return Math.fma(a, b, c);
    }

    @Override
    double add(double a, double b) {
      return a + b;
    }

    @Override
    double mul(double a, double b) {
      return a * b;
    }

    @Override
    double div(double a, double b) {
      return a / b;
    }

    @Override
    double exp(double x) {
      return StrictMath.exp(x);
    }

    @Override
    double expOrZero(double x) {
      return StrictMath.exp(x);
    }

    @Override
    double log(double x) {
      return StrictMath.log(x);
    }
  };

  abstract double fma(double a, double b, double c);

  abstract double add(double a, double b);

  abstract double mul(double a, double b);

  abstract double div(double a, double b);

  abstract double exp(double x);

  /** {@code e^x}, or 0 where it is tiny: the exponential of a softmax. */
  abstract double expOrZero(double x);

  abstract double log(double x);

  static Real of(DType dtype) {
    return dtype == DType.F64 ? F64 : F32;
  }

  /** The sum of a row in the fixed tree of {@code docs/numerics.md}, for at most one chunk: 32 lanes folded in halves. */
  double sum(double[] row, int n) {
    double[] lanes = new double[32];
    for (int i = 0; i < n; i++) {
      lanes[i % 32] = add(lanes[i % 32], row[i]);
    }
    for (int w = 16; w > 0; w /= 2) {
      for (int l = 0; l < w; l++) {
        lanes[l] = add(lanes[l], lanes[l + w]);
      }
    }
    return lanes[0];
  }
}
