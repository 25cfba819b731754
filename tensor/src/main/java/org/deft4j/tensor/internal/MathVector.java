package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * {@link MathF32} in every lane: the same operations in the same order, hence the same bits. Limits are applied with a
 * comparison and a blend, which lets NaN through as the scalar form does.
 */
final class MathVector {
  private MathVector() {}

  static FloatVector splat(float value) {
    return FloatVector.broadcast(Simd.FLOATS, value);
  }

  /** {@code a b + c}, rounded once. */
  static FloatVector fma(FloatVector a, FloatVector b, float c) {
    return a.fma(b, splat(c));
  }

  /** {@code a b + c}, rounded once. */
  static FloatVector fma(FloatVector a, float b, FloatVector c) {
    return a.fma(splat(b), c);
  }

  static FloatVector exp(FloatVector x) {
    FloatVector low = x.blend(splat(MathF32.EXP_MIN), x.lt(MathF32.EXP_MIN));
    FloatVector c = low.blend(splat(MathF32.EXP_MAX), x.compare(VectorOperators.GT, MathF32.EXP_MAX));
    FloatVector t = c.fma(splat(MathF32.LOG2_E), splat(MathF32.MAGIC));
    FloatVector p = expOfRemainder(c, t.sub(MathF32.MAGIC));
    IntVector n = t.reinterpretAsInts().sub(MathF32.MAGIC_BITS);
    IntVector half = n.lanewise(VectorOperators.ASHR, 1);
    return p.mul(power(half)).mul(power(n.sub(half)));
  }

  static FloatVector expInside(FloatVector x) {
    FloatVector t = x.fma(splat(MathF32.LOG2_E), splat(MathF32.MAGIC));
    IntVector n = t.reinterpretAsInts().sub(MathF32.MAGIC_BITS);
    return expOfRemainder(x, t.sub(MathF32.MAGIC)).mul(power(n));
  }

  private static FloatVector expOfRemainder(FloatVector x, FloatVector n) {
    FloatVector r = fma(n, -MathF32.LN2_LO, fma(n, -MathF32.LN2_HI, x));
    FloatVector p = fma(r, splat(MathF32.E6), MathF32.E5);
    p = fma(p, r, MathF32.E4);
    p = fma(p, r, MathF32.E3);
    p = fma(p, r, MathF32.E2);
    p = fma(p, r, 1f);
    return fma(p, r, 1f);
  }

  private static FloatVector power(IntVector n) {
    return n.add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
  }

  static FloatVector log(FloatVector x) {
    VectorMask<Float> tiny = x.lt(Float.MIN_NORMAL);
    IntVector bits = x.blend(x.mul(0x1p25f), tiny).reinterpretAsInts();
    IntVector k = bits.sub(MathF32.SQRT_HALF_BITS).lanewise(VectorOperators.ASHR, 23);
    FloatVector f = bits.sub(k.lanewise(VectorOperators.LSHL, 23)).reinterpretAsFloats().sub(1f);
    FloatVector whole = (FloatVector) k.convertShape(VectorOperators.I2F, Simd.FLOATS, 0);
    FloatVector e = whole.sub(splat(0f).blend(splat(25f), tiny));
    FloatVector z = f.mul(f);
    FloatVector p = fma(f, splat(MathF32.L8), MathF32.L7);
    p = fma(p, f, MathF32.L6);
    p = fma(p, f, MathF32.L5);
    p = fma(p, f, MathF32.L4);
    p = fma(p, f, MathF32.L3);
    p = fma(p, f, MathF32.L2);
    p = fma(p, f, MathF32.L1);
    p = fma(p, f, MathF32.L0);
    FloatVector tail = fma(e, MathF32.LN2_LO, p.mul(f).mul(z));
    tail = fma(z, -0.5f, tail);
    FloatVector y = fma(e, MathF32.LN2_HI, f.add(tail));
    y = x.blend(y, x.lt(Float.POSITIVE_INFINITY));
    y = splat(Float.NaN).blend(y, x.compare(VectorOperators.GT, 0f));
    return y.blend(splat(Float.NEGATIVE_INFINITY), x.eq(0f));
  }

  private static FloatVector log1p(FloatVector x) {
    FloatVector sum = x.add(1f);
    FloatVector lost = x.sub(sum.sub(1f));
    return log(sum).add(lost.div(sum));
  }

  static FloatVector tanh(FloatVector x) {
    FloatVector a = x.abs();
    FloatVector z = x.mul(x);
    FloatVector p = fma(z, splat(MathF32.T4), MathF32.T3);
    p = fma(p, z, MathF32.T2);
    p = fma(p, z, MathF32.T1);
    p = fma(p, z, MathF32.T0);
    FloatVector small = x.mul(fma(p, z, 1f));
    FloatVector limited = a.blend(splat(MathF32.TANH_ONE), a.compare(VectorOperators.GT, MathF32.TANH_ONE));
    FloatVector e = expInside(limited.mul(2f));
    FloatVector large = splat(1f).sub(splat(2f).div(e.add(1f)));
    return large.blend(large.neg(), x.lt(0f)).blend(small, a.lt(MathF32.TANH_SMALL));
  }

  static FloatVector erf(FloatVector x) {
    FloatVector a = x.abs();
    FloatVector z = x.mul(x);
    FloatVector p = fma(z, splat(MathF32.F5), MathF32.F4);
    p = fma(p, z, MathF32.F3);
    p = fma(p, z, MathF32.F2);
    p = fma(p, z, MathF32.F1);
    p = fma(p, z, MathF32.F0);
    FloatVector small = p.fma(x, x);
    FloatVector t = a.blend(splat(MathF32.ERF_ONE), a.compare(VectorOperators.GT, MathF32.ERF_ONE));
    FloatVector q = fma(t, splat(MathF32.G6), MathF32.G5);
    q = fma(q, t, MathF32.G4);
    q = fma(q, t, MathF32.G3);
    q = fma(q, t, MathF32.G2);
    q = fma(q, t, MathF32.G1);
    q = fma(q, t, MathF32.G0);
    FloatVector large = splat(1f).sub(expInside(q));
    return large.blend(large.neg(), x.lt(0f)).blend(small, a.lt(MathF32.ERF_SMALL));
  }

  static FloatVector sigmoid(FloatVector x) {
    FloatVector e = exp(x.abs().neg());
    return e.blend(splat(1f), x.compare(VectorOperators.GE, 0f)).div(e.add(1f));
  }

  static FloatVector softplus(FloatVector x) {
    FloatVector positive = x.blend(splat(0f), x.compare(VectorOperators.LE, 0f));
    return positive.add(log1p(exp(x.abs().neg())));
  }

  /** Which lanes {@link #sin} and {@link #cos} can do; the others are the scalar form's. */
  static VectorMask<Float> canTurn(FloatVector x) {
    return x.abs().compare(VectorOperators.LE, MathF32.TRIG_MAX);
  }

  static FloatVector sin(FloatVector x) {
    return quarterTurns(x, 0);
  }

  static FloatVector cos(FloatVector x) {
    return quarterTurns(x, 1);
  }

  private static FloatVector quarterTurns(FloatVector x, int shift) {
    FloatVector t = x.fma(splat(MathF32.TWO_OVER_PI), splat(MathF32.MAGIC));
    FloatVector n = t.sub(MathF32.MAGIC);
    IntVector quarter = t.reinterpretAsInts().add(shift);
    FloatVector r = fma(n, -MathF32.HALF_PI_1, x);
    r = fma(n, -MathF32.HALF_PI_2, r);
    r = fma(n, -MathF32.HALF_PI_3, r);
    FloatVector z = r.mul(r);
    FloatVector s = fma(z, splat(MathF32.S3), MathF32.S2);
    s = fma(s, z, MathF32.S1);
    s = fma(s, z, MathF32.S0);
    s = r.mul(fma(s, z, 1f));
    FloatVector c = fma(z, splat(MathF32.C3), MathF32.C2);
    c = fma(c, z, MathF32.C1);
    c = fma(c, z, MathF32.C0);
    c = c.fma(z.mul(z), fma(z, splat(-0.5f), 1f));
    VectorMask<Float> odd = quarter.and(1).compare(VectorOperators.NE, 0).cast(Simd.FLOATS);
    VectorMask<Float> down = quarter.and(2).compare(VectorOperators.NE, 0).cast(Simd.FLOATS);
    FloatVector y = s.blend(c, odd);
    return y.blend(y.neg(), down);
  }
}
