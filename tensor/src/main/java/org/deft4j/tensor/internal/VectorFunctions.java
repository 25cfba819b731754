package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;

import static jdk.incubator.vector.VectorOperators.FMA;
import static jdk.incubator.vector.VectorOperators.GT;
import static org.deft4j.tensor.internal.FloatFunctions.HALF_LOG2_E;
import static org.deft4j.tensor.internal.FloatFunctions.INV_SQRT_2PI;
import static org.deft4j.tensor.internal.FloatFunctions.TANH_K0;
import static org.deft4j.tensor.internal.FloatFunctions.TANH_K1;

/** The formulas of {@link FloatFunctions} that take more than a line, in every lane, with the same roundings. */
final class VectorFunctions {
  private VectorFunctions() {}

  static FloatVector sign(FloatVector x) {
    return x.blend(1f, x.compare(GT, 0f)).blend(-1f, x.lt(0f));
  }

  static FloatVector gelu(FloatVector x) {
    return x.mul(MathVector.normal(x));
  }

  /** The density of the normal distribution. */
  static FloatVector normalDensity(FloatVector x) {
    return MathVector.exp2OrZero(x.mul(x).mul(HALF_LOG2_E)).mul(INV_SQRT_2PI);
  }

  static FloatVector geluTanh(FloatVector x) {
    FloatVector half = x.mul(0.5f);
    FloatVector u = x.mul(x.mul(x).fma(TANH_K1, TANH_K0));
    return half.fma(MathVector.tanh(u), half);
  }

  static FloatVector geluTanhSlope(FloatVector x) {
    FloatVector z = x.mul(x);
    FloatVector t = MathVector.tanh(x.mul(z.fma(TANH_K1, TANH_K0)));
    FloatVector inner = x.mul(0.5f).mul(z.fma(3f * TANH_K1, TANH_K0));
    return inner.fma(t.neg().lanewise(FMA, t, 1f), t.fma(0.5f, 0.5f));
  }

  static FloatVector tanhSlope(FloatVector x) {
    FloatVector t = MathVector.tanh(x);
    return t.neg().lanewise(FMA, t, 1f);
  }

  static FloatVector sigmoidSlope(FloatVector x) {
    FloatVector e = MathVector.expBelowMax(x.abs().neg());
    FloatVector q = FloatVector.broadcast(Simd.FLOATS, 1f).div(e.add(1f));
    return e.mul(q).mul(q);
  }

  static FloatVector swishSlope(FloatVector v) {
    FloatVector s = MathVector.sigmoid(v);
    return s.mul(v.lanewise(FMA, s.neg().add(1f), 1f));
  }
}
