package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;

import static jdk.incubator.vector.VectorOperators.GT;
import static org.deft4j.tensor.internal.FloatFunctions.INV_SQRT_2;
import static org.deft4j.tensor.internal.FloatFunctions.INV_SQRT_2PI;
import static org.deft4j.tensor.internal.FloatFunctions.TANH_K0;
import static org.deft4j.tensor.internal.FloatFunctions.TANH_K1;
import static org.deft4j.tensor.internal.MathVector.fma;
import static org.deft4j.tensor.internal.MathVector.splat;

/** The formulas of {@link FloatFunctions} that take more than a line, in every lane, with the same roundings. */
final class VectorFunctions {
  private VectorFunctions() {}

  static FloatVector sign(FloatVector x) {
    return x.blend(splat(1f), x.compare(GT, 0f)).blend(splat(-1f), x.lt(0f));
  }

  static FloatVector gelu(FloatVector x) {
    FloatVector half = x.mul(0.5f);
    return half.fma(MathVector.erf(x.mul(INV_SQRT_2)), half);
  }

  static FloatVector geluSlope(FloatVector x) {
    FloatVector distribution = fma(MathVector.erf(x.mul(INV_SQRT_2)), splat(0.5f), 0.5f);
    FloatVector density = MathVector.exp(x.mul(x).mul(-0.5f)).mul(INV_SQRT_2PI);
    return x.fma(density, distribution);
  }

  static FloatVector geluTanh(FloatVector x) {
    FloatVector half = x.mul(0.5f);
    FloatVector u = x.mul(fma(x.mul(x), splat(TANH_K1), TANH_K0));
    return half.fma(MathVector.tanh(u), half);
  }

  static FloatVector geluTanhSlope(FloatVector x) {
    FloatVector z = x.mul(x);
    FloatVector t = MathVector.tanh(x.mul(fma(z, splat(TANH_K1), TANH_K0)));
    FloatVector inner = x.mul(0.5f).mul(fma(z, splat(3f * TANH_K1), TANH_K0));
    return inner.fma(fma(t.neg(), t, 1f), fma(t, splat(0.5f), 0.5f));
  }

  static FloatVector tanhSlope(FloatVector x) {
    FloatVector t = MathVector.tanh(x);
    return fma(t.neg(), t, 1f);
  }

  static FloatVector sigmoidSlope(FloatVector x) {
    FloatVector e = MathVector.exp(x.abs().neg());
    FloatVector q = splat(1f).div(e.add(1f));
    return e.mul(q).mul(q);
  }

  static FloatVector swishSlope(FloatVector v) {
    FloatVector s = MathVector.sigmoid(v);
    return s.mul(fma(v, splat(1f).sub(s), 1f));
  }
}
