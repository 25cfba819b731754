package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.function.IntUnaryOperator;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

import static jdk.incubator.vector.FloatVector.fromArray;
import static org.deft4j.tensor.internal.Simd.FLOATS;

/**
 * The transforms of {@link Winograd} along one dimension in every lane, with the same roundings: lanes are filters, or tiles. And how the
 * columns of a row of a picture are dealt out to tiles: with "phase" k all columns k, m + k, 2 m + k, ..., number k of each tile. No
 * vector goes from method to method (see {@link MathVector}).
 */
abstract class WinogradLoops {
  private static final int LANES = Simd.LANES;

  /** Of two vectors every second lane, from the first or the second on; and their lanes by turns, the first halves or the second. */
  private static final IntVector EVEN = lanes(lane -> 2 * lane);
  private static final IntVector ODD = lanes(lane -> 2 * lane + 1);
  private static final IntVector FIRST = lanes(lane -> lane / 2 + lane % 2 * LANES);
  private static final IntVector SECOND = lanes(lane -> (LANES + lane) / 2 + lane % 2 * LANES);

  private static IntVector lanes(IntUnaryOperator from) {
    int[] lanes = new int[LANES];
    Arrays.setAll(lanes, from);
    return IntVector.fromArray(Simd.INTS, lanes, 0);
  }

  static WinogradLoops of(Winograd form) {
    return switch (form) {
      case F2 -> new OfF2();
      case F4 -> new OfF4();
    };
  }

  /** {@link Winograd#filter} of a vector of filters. */
  abstract void filter(float[] g, int at, int step, float[] u, int to, int toStep);

  /** {@link Winograd#patch} of {@code vectors} vectors, which lie side by side. */
  abstract void patch(float[] d, int at, int step, float[] v, int to, int toStep, int vectors);

  /** {@link Winograd#outputs} of {@code vectors} vectors, which lie side by side. */
  abstract void outputs(float[] m, int at, int step, float[] y, int to, int toStep, int vectors);

  /** {@code vectors} vectors of each phase of a row; those of one lie side by side, those of the next {@code step} floats on. */
  abstract void split(float[] row, int at, float[] phases, int to, int step, int vectors);

  /** A row from its phases, and the bias added. */
  abstract void join(float[] phases, int at, int step, float bias, float[] row, int to, int vectors);

  private static IntVector ints(float[] from, int at) {
    return fromArray(FLOATS, from, at).reinterpretAsInts();
  }

  private static final class OfF2 extends WinogradLoops {
    @Override
    void filter(float[] g, int at, int step, float[] u, int to, int toStep) {
      FloatVector a = fromArray(FLOATS, g, at);
      FloatVector b = fromArray(FLOATS, g, at + step);
      FloatVector c = fromArray(FLOATS, g, at + 2 * step);
      FloatVector outer = a.add(c);
      a.intoArray(u, to);
      outer.add(b).mul(0.5f).intoArray(u, to + toStep);
      outer.sub(b).mul(0.5f).intoArray(u, to + 2 * toStep);
      c.intoArray(u, to + 3 * toStep);
    }

    @Override
    void patch(float[] d, int at, int step, float[] v, int to, int toStep, int vectors) {
      for (int i = 0; i < vectors * LANES; i += LANES) {
        FloatVector d1 = fromArray(FLOATS, d, at + step + i);
        FloatVector d2 = fromArray(FLOATS, d, at + 2 * step + i);
        fromArray(FLOATS, d, at + i).sub(d2).intoArray(v, to + i);
        d1.add(d2).intoArray(v, to + toStep + i);
        d2.sub(d1).intoArray(v, to + 2 * toStep + i);
        d1.sub(fromArray(FLOATS, d, at + 3 * step + i)).intoArray(v, to + 3 * toStep + i);
      }
    }

    @Override
    void outputs(float[] m, int at, int step, float[] y, int to, int toStep, int vectors) {
      for (int i = 0; i < vectors * LANES; i += LANES) {
        FloatVector m1 = fromArray(FLOATS, m, at + step + i);
        FloatVector m2 = fromArray(FLOATS, m, at + 2 * step + i);
        fromArray(FLOATS, m, at + i).add(m1).add(m2).intoArray(y, to + i);
        m1.sub(m2).sub(fromArray(FLOATS, m, at + 3 * step + i)).intoArray(y, to + toStep + i);
      }
    }

    @Override
    void split(float[] row, int at, float[] phases, int to, int step, int vectors) {
      for (int i = 0; i < vectors * LANES; i += LANES) {
        IntVector a = ints(row, at + 2 * i);
        IntVector b = ints(row, at + 2 * i + LANES);
        EVEN.selectFrom(a, b).reinterpretAsFloats().intoArray(phases, to + i);
        ODD.selectFrom(a, b).reinterpretAsFloats().intoArray(phases, to + step + i);
      }
    }

    @Override
    void join(float[] phases, int at, int step, float bias, float[] row, int to, int vectors) {
      for (int i = 0; i < vectors * LANES; i += LANES) {
        IntVector even = fromArray(FLOATS, phases, at + i).add(bias).reinterpretAsInts();
        IntVector odd = fromArray(FLOATS, phases, at + step + i).add(bias).reinterpretAsInts();
        FIRST.selectFrom(even, odd).reinterpretAsFloats().intoArray(row, to + 2 * i);
        SECOND.selectFrom(even, odd).reinterpretAsFloats().intoArray(row, to + 2 * i + LANES);
      }
    }
  }

  private static final class OfF4 extends WinogradLoops {
    private static final float P = Winograd.P;
    private static final float Q = Winograd.Q;

    @Override
    void filter(float[] g, int at, int step, float[] u, int to, int toStep) {
      FloatVector p = FloatVector.broadcast(FLOATS, P);
      FloatVector q = FloatVector.broadcast(FLOATS, Q);
      FloatVector g0 = fromArray(FLOATS, g, at);
      FloatVector g1 = fromArray(FLOATS, g, at + step);
      FloatVector g2 = fromArray(FLOATS, g, at + 2 * step);
      FloatVector ofP = g2.fma(FloatVector.broadcast(FLOATS, P * P), g0);
      FloatVector ofQ = g2.fma(FloatVector.broadcast(FLOATS, Q * Q), g0);
      g0.mul(Winograd.PER_ZERO).intoArray(u, to);
      g1.fma(p, ofP).mul(Winograd.PER_P).intoArray(u, to + toStep);
      g1.fma(p.neg(), ofP).mul(Winograd.PER_P).intoArray(u, to + 2 * toStep);
      g1.fma(q, ofQ).mul(Winograd.PER_Q).intoArray(u, to + 3 * toStep);
      g1.fma(q.neg(), ofQ).mul(Winograd.PER_Q).intoArray(u, to + 4 * toStep);
      g2.intoArray(u, to + 5 * toStep);
    }

    @Override
    void patch(float[] d, int at, int step, float[] v, int to, int toStep, int vectors) {
      for (int i = 0; i < vectors * LANES; i += LANES) {
        even(d, at + i, step, v, to + i, toStep);
        odd(d, at + i, step, v, to + i, toStep);
      }
    }

    /** The point 0, and those of p, of one vector. */
    private static void even(float[] d, int at, int step, float[] v, int to, int toStep) {
      FloatVector p = FloatVector.broadcast(FLOATS, P);
      FloatVector square = FloatVector.broadcast(FLOATS, -Q * Q);
      FloatVector d2 = fromArray(FLOATS, d, at + 2 * step);
      FloatVector d4 = fromArray(FLOATS, d, at + 4 * step);
      FloatVector odd = fromArray(FLOATS, d, at + step).fma(square, fromArray(FLOATS, d, at + 3 * step));
      FloatVector even = d2.fma(square, d4);
      odd.fma(p, even).intoArray(v, to + toStep);
      odd.fma(p.neg(), even).intoArray(v, to + 2 * toStep);
      d4 = d2.fma(FloatVector.broadcast(FLOATS, Winograd.SUM), d4);
      fromArray(FLOATS, d, at).fma(FloatVector.broadcast(FLOATS, Winograd.PRODUCT), d4).intoArray(v, to);
    }

    /** The points of q, and infinity, of one vector. */
    private static void odd(float[] d, int at, int step, float[] v, int to, int toStep) {
      FloatVector q = FloatVector.broadcast(FLOATS, Q);
      FloatVector square = FloatVector.broadcast(FLOATS, -P * P);
      FloatVector d1 = fromArray(FLOATS, d, at + step);
      FloatVector d3 = fromArray(FLOATS, d, at + 3 * step);
      FloatVector odd = d1.fma(square, d3);
      FloatVector even = fromArray(FLOATS, d, at + 2 * step).fma(square, fromArray(FLOATS, d, at + 4 * step));
      odd.fma(q, even).intoArray(v, to + 3 * toStep);
      odd.fma(q.neg(), even).intoArray(v, to + 4 * toStep);
      d3 = d3.fma(FloatVector.broadcast(FLOATS, Winograd.SUM), fromArray(FLOATS, d, at + 5 * step));
      d1.fma(FloatVector.broadcast(FLOATS, Winograd.PRODUCT), d3).intoArray(v, to + 5 * toStep);
    }

    @Override
    void outputs(float[] m, int at, int step, float[] y, int to, int toStep, int vectors) {
      for (int i = 0; i < vectors * LANES; i += LANES) {
        FloatVector m1 = fromArray(FLOATS, m, at + step + i);
        FloatVector m2 = fromArray(FLOATS, m, at + 2 * step + i);
        FloatVector m3 = fromArray(FLOATS, m, at + 3 * step + i);
        FloatVector m4 = fromArray(FLOATS, m, at + 4 * step + i);
        FloatVector sumP = m1.add(m2);
        FloatVector sumQ = m3.add(m4);
        FloatVector differenceP = m1.sub(m2);
        FloatVector differenceQ = m3.sub(m4);
        fromArray(FLOATS, m, at + i).add(sumP).add(sumQ).intoArray(y, to + i);
        differenceQ.fma(FloatVector.broadcast(FLOATS, Q), differenceP.mul(P)).intoArray(y, to + toStep + i);
        sumQ.fma(FloatVector.broadcast(FLOATS, Q * Q), sumP.mul(P * P)).intoArray(y, to + 2 * toStep + i);
        differenceP = differenceP.fma(FloatVector.broadcast(FLOATS, P * P * P), fromArray(FLOATS, m, at + 5 * step + i));
        differenceQ.fma(FloatVector.broadcast(FLOATS, Q * Q * Q), differenceP).intoArray(y, to + 3 * toStep + i);
      }
    }

    @Override
    void split(float[] row, int at, float[] phases, int to, int step, int vectors) {
      for (int i = 0; i < vectors * LANES; i += LANES) {
        int from = at + 4 * i;
        IntVector a = ints(row, from);
        IntVector b = ints(row, from + LANES);
        IntVector c = ints(row, from + 2 * LANES);
        IntVector d = ints(row, from + 3 * LANES);
        IntVector even = EVEN.selectFrom(a, b);
        IntVector odd = ODD.selectFrom(a, b);
        a = EVEN.selectFrom(c, d);
        b = ODD.selectFrom(c, d);
        EVEN.selectFrom(even, a).reinterpretAsFloats().intoArray(phases, to + i);
        EVEN.selectFrom(odd, b).reinterpretAsFloats().intoArray(phases, to + step + i);
        ODD.selectFrom(even, a).reinterpretAsFloats().intoArray(phases, to + 2 * step + i);
        ODD.selectFrom(odd, b).reinterpretAsFloats().intoArray(phases, to + 3 * step + i);
      }
    }

    @Override
    void join(float[] phases, int at, int step, float bias, float[] row, int to, int vectors) {
      for (int i = 0; i < vectors * LANES; i += LANES) {
        IntVector a = fromArray(FLOATS, phases, at + i).add(bias).reinterpretAsInts();
        IntVector b = fromArray(FLOATS, phases, at + step + i).add(bias).reinterpretAsInts();
        IntVector c = fromArray(FLOATS, phases, at + 2 * step + i).add(bias).reinterpretAsInts();
        IntVector d = fromArray(FLOATS, phases, at + 3 * step + i).add(bias).reinterpretAsInts();
        IntVector even = FIRST.selectFrom(a, c);
        IntVector odd = FIRST.selectFrom(b, d);
        a = SECOND.selectFrom(a, c);
        b = SECOND.selectFrom(b, d);
        int out = to + 4 * i;
        FIRST.selectFrom(even, odd).reinterpretAsFloats().intoArray(row, out);
        SECOND.selectFrom(even, odd).reinterpretAsFloats().intoArray(row, out + LANES);
        FIRST.selectFrom(a, b).reinterpretAsFloats().intoArray(row, out + 2 * LANES);
        SECOND.selectFrom(a, b).reinterpretAsFloats().intoArray(row, out + 3 * LANES);
      }
    }
  }
}
