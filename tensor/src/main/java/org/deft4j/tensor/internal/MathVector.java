package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.FMA;
import static jdk.incubator.vector.VectorOperators.GE;
import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LE;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.NE;

/**
 * {@link MathF32} in every lane: the same operations in the same order, hence the same bits. Limits are applied with a
 * comparison and a blend, which lets NaN through as the scalar form does.
 *
 * <p>Each function calls the Vector API and, near its beginning, at most one other function. HotSpot inlines that API always,
 * but other methods only as long as what it compiles has not grown beyond 18,000 nodes, which is some thirty vector operations,
 * and only if they are at most 325 bytes of bytecode; a vector handed to a method that is not inlined becomes an object, which
 * costs a hundred times what the operation does.
 */
final class MathVector {
  private MathVector() {}

  static FloatVector splat(float value) {
    return FloatVector.broadcast(Simd.FLOATS, value);
  }

  static FloatVector exp(FloatVector x) {
    return expBelowMax(x.blend(MathF32.EXP_MAX, x.compare(GT, MathF32.EXP_MAX)));
  }

  /** {@link #exp} of what does not exceed {@link MathF32#EXP_MAX}. */
  static FloatVector expBelowMax(FloatVector x) {
    FloatVector c = x.blend(MathF32.EXP_MIN, x.lt(MathF32.EXP_MIN));
    FloatVector t = c.fma(MathF32.LOG2_E, MathF32.MAGIC_POWERS);
    FloatVector n = t.sub(MathF32.MAGIC_POWERS);
    FloatVector r = n.lanewise(FMA, -MathF32.LN2_HI, c);
    r = n.lanewise(FMA, -MathF32.LN2_LO, r);
    FloatVector p = r.fma(MathF32.E6, MathF32.E5);
    p = p.lanewise(FMA, r, MathF32.E4);
    p = p.lanewise(FMA, r, MathF32.E3);
    p = p.lanewise(FMA, r, MathF32.E2);
    p = p.lanewise(FMA, r, 1f);
    p = p.lanewise(FMA, r, 1f);
    IntVector bits = t.reinterpretAsInts();
    IntVector half = bits.lanewise(ASHR, 1);
    p = p.mul(half.lanewise(LSHL, 23).reinterpretAsFloats());
    return p.mul(bits.sub(half).lanewise(LSHL, 23).reinterpretAsFloats());
  }

  static FloatVector expInside(FloatVector x) {
    FloatVector t = x.fma(MathF32.LOG2_E, MathF32.MAGIC_POWER);
    FloatVector n = t.sub(MathF32.MAGIC_POWER);
    FloatVector r = n.lanewise(FMA, -MathF32.LN2_HI, x);
    r = n.lanewise(FMA, -MathF32.LN2_LO, r);
    FloatVector p = r.fma(MathF32.E6, MathF32.E5);
    p = p.lanewise(FMA, r, MathF32.E4);
    p = p.lanewise(FMA, r, MathF32.E3);
    p = p.lanewise(FMA, r, MathF32.E2);
    p = p.lanewise(FMA, r, 1f);
    p = p.lanewise(FMA, r, 1f);
    return p.mul(t.reinterpretAsInts().lanewise(LSHL, 23).reinterpretAsFloats());
  }

  static FloatVector expOrZero(FloatVector x) {
    return expInside(x).blend(0f, x.lt(MathF32.EXP_INSIDE));
  }

  static FloatVector exp2OrZero(FloatVector x) {
    FloatVector t = x.add(MathF32.MAGIC_POWER);
    FloatVector r = x.sub(t.sub(MathF32.MAGIC_POWER));
    FloatVector p = r.fma(MathF32.P6, MathF32.P5);
    p = p.lanewise(FMA, r, MathF32.P4);
    p = p.lanewise(FMA, r, MathF32.P3);
    p = p.lanewise(FMA, r, MathF32.P2);
    p = p.lanewise(FMA, r, MathF32.P1);
    p = p.lanewise(FMA, r, 1f);
    p = p.mul(t.reinterpretAsInts().lanewise(LSHL, 23).reinterpretAsFloats());
    return p.blend(0f, x.lt(MathF32.EXP2_INSIDE));
  }

  static FloatVector normal(FloatVector x) {
    FloatVector t = x.abs();
    FloatVector z = t.mul(t);
    FloatVector y = z.mul(z);
    FloatVector d = t.fma(MathF32.H7, MathF32.H6).lanewise(FMA, z, t.fma(MathF32.H5, MathF32.H4));
    FloatVector b = t.fma(MathF32.H3, MathF32.H2).lanewise(FMA, z, t.mul(MathF32.H1));
    FloatVector e = t.fma(MathF32.H9, MathF32.H8);
    FloatVector q = y.lanewise(FMA, y.lanewise(FMA, e, d), b);
    // 2^q / 2, written out: by now a method of its own would not be inlined.
    FloatVector n = q.add(MathF32.MAGIC_HALF_POWER);
    FloatVector r = q.sub(n.sub(MathF32.MAGIC_HALF_POWER));
    FloatVector p = r.fma(MathF32.P6, MathF32.P5);
    p = p.lanewise(FMA, r, MathF32.P4);
    p = p.lanewise(FMA, r, MathF32.P3);
    p = p.lanewise(FMA, r, MathF32.P2);
    p = p.lanewise(FMA, r, MathF32.P1);
    p = p.lanewise(FMA, r, 1f);
    FloatVector tail = p.mul(n.reinterpretAsInts().lanewise(LSHL, 23).reinterpretAsFloats()).blend(0f, t.compare(GT, MathF32.TAIL_END));
    return FloatVector.broadcast(Simd.FLOATS, 1f).sub(tail).blend(tail, x.lt(0f));
  }

  static FloatVector log(FloatVector x) {
    VectorMask<Float> tiny = x.lt(Float.MIN_NORMAL);
    IntVector bits = x.blend(x.mul(0x1p25f), tiny).reinterpretAsInts();
    IntVector k = bits.sub(MathF32.SQRT_HALF_BITS).lanewise(ASHR, 23);
    FloatVector f = bits.sub(k.lanewise(LSHL, 23)).reinterpretAsFloats().sub(1f);
    FloatVector e = (FloatVector) k.convertShape(I2F, Simd.FLOATS, 0);
    e = e.blend(e.sub(25f), tiny);
    FloatVector z = f.mul(f);
    FloatVector p = f.fma(MathF32.L8, MathF32.L7);
    p = p.lanewise(FMA, f, MathF32.L6);
    p = p.lanewise(FMA, f, MathF32.L5);
    p = p.lanewise(FMA, f, MathF32.L4);
    p = p.lanewise(FMA, f, MathF32.L3);
    p = p.lanewise(FMA, f, MathF32.L2);
    p = p.lanewise(FMA, f, MathF32.L1);
    p = p.lanewise(FMA, f, MathF32.L0);
    FloatVector tail = e.lanewise(FMA, MathF32.LN2_LO, p.mul(f).mul(z));
    tail = z.lanewise(FMA, -0.5f, tail);
    FloatVector y = e.lanewise(FMA, MathF32.LN2_HI, f.add(tail));
    y = x.blend(y, x.lt(Float.POSITIVE_INFINITY));
    y = y.blend(Float.NaN, x.compare(GT, 0f).not());
    return y.blend(Float.NEGATIVE_INFINITY, x.eq(0f));
  }

  static FloatVector tanh(FloatVector x) {
    FloatVector a = x.abs();
    FloatVector e = expInside(a.blend(MathF32.TANH_ONE, a.compare(GT, MathF32.TANH_ONE)).mul(2f));
    FloatVector one = FloatVector.broadcast(Simd.FLOATS, 1f);
    FloatVector large = one.sub(one.add(1f).div(e.add(1f)));
    large = large.blend(large.neg(), x.lt(0f));
    FloatVector z = x.mul(x);
    FloatVector p = z.fma(MathF32.T4, MathF32.T3);
    p = p.lanewise(FMA, z, MathF32.T2);
    p = p.lanewise(FMA, z, MathF32.T1);
    p = p.lanewise(FMA, z, MathF32.T0);
    p = p.lanewise(FMA, z, 1f);
    return large.blend(x.mul(p), a.lt(MathF32.TANH_SMALL));
  }

  static FloatVector erf(FloatVector x) {
    FloatVector a = x.abs();
    FloatVector v = a.blend(MathF32.ERF_ONE, a.compare(GT, MathF32.ERF_ONE));
    FloatVector q = v.fma(MathF32.G6, MathF32.G5);
    q = q.lanewise(FMA, v, MathF32.G4);
    q = q.lanewise(FMA, v, MathF32.G3);
    q = q.lanewise(FMA, v, MathF32.G2);
    q = q.lanewise(FMA, v, MathF32.G1);
    q = q.lanewise(FMA, v, MathF32.G0);
    FloatVector large = FloatVector.broadcast(Simd.FLOATS, 1f).sub(expInside(q));
    large = large.blend(large.neg(), x.lt(0f));
    FloatVector z = x.mul(x);
    FloatVector p = z.fma(MathF32.F5, MathF32.F4);
    p = p.lanewise(FMA, z, MathF32.F3);
    p = p.lanewise(FMA, z, MathF32.F2);
    p = p.lanewise(FMA, z, MathF32.F1);
    p = p.lanewise(FMA, z, MathF32.F0);
    return large.blend(p.fma(x, x), a.lt(MathF32.ERF_SMALL));
  }

  static FloatVector sigmoid(FloatVector x) {
    FloatVector e = expBelowMax(x.abs().neg());
    return e.blend(1f, x.compare(GE, 0f)).div(e.add(1f));
  }

  static FloatVector softplus(FloatVector x) {
    FloatVector e = expBelowMax(x.abs().neg());
    FloatVector sum = e.add(1f);
    FloatVector log = log(sum);
    FloatVector lost = e.sub(sum.sub(1f));
    return x.blend(0f, x.compare(LE, 0f)).add(log.add(lost.div(sum)));
  }

  /** Which lanes {@link #sin} and {@link #cos} can do; the others are the scalar form's. */
  static VectorMask<Float> canTurn(FloatVector x) {
    return x.abs().compare(LE, MathF32.TRIG_MAX);
  }

  static FloatVector sin(FloatVector x) {
    return quarterTurns(x, 0);
  }

  static FloatVector cos(FloatVector x) {
    return quarterTurns(x, 1);
  }

  private static FloatVector quarterTurns(FloatVector x, int shift) {
    FloatVector t = x.fma(MathF32.TWO_OVER_PI, MathF32.MAGIC);
    FloatVector n = t.sub(MathF32.MAGIC);
    IntVector quarter = t.reinterpretAsInts().add(shift);
    FloatVector r = n.lanewise(FMA, -MathF32.HALF_PI_1, x);
    r = n.lanewise(FMA, -MathF32.HALF_PI_2, r);
    r = n.lanewise(FMA, -MathF32.HALF_PI_3, r);
    FloatVector z = r.mul(r);
    FloatVector s = z.fma(MathF32.S3, MathF32.S2);
    s = s.lanewise(FMA, z, MathF32.S1);
    s = s.lanewise(FMA, z, MathF32.S0);
    s = s.lanewise(FMA, z, 1f);
    FloatVector c = z.fma(MathF32.C3, MathF32.C2);
    c = c.lanewise(FMA, z, MathF32.C1);
    c = c.lanewise(FMA, z, MathF32.C0);
    c = c.fma(z.mul(z), z.fma(-0.5f, 1f));
    FloatVector y = r.mul(s).blend(c, quarter.and(1).compare(NE, 0).cast(Simd.FLOATS));
    return y.blend(y.neg(), quarter.and(2).compare(NE, 0).cast(Simd.FLOATS));
  }
}
