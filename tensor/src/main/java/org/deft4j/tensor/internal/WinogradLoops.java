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
final class WinogradLoops {
  private static final int LANES = Simd.LANES;

  /** Of two vectors every second lane, from the first or the second on; and their lanes by turns, the first halves or the second. */
  private static final IntVector EVEN = lanes(lane -> 2 * lane);
  private static final IntVector ODD = lanes(lane -> 2 * lane + 1);
  private static final IntVector FIRST = lanes(lane -> lane / 2 + lane % 2 * LANES);
  private static final IntVector SECOND = lanes(lane -> (LANES + lane) / 2 + lane % 2 * LANES);

  private static final WinogradLoops F2 = new WinogradLoops(OfF2::filter, OfF2::patch, OfF2::outputs, OfF2::split, OfF2::join);
  private static final WinogradLoops F4 = new WinogradLoops(OfF4::filter, OfF4::patch, OfF4::outputs, OfF4::split, OfF4::join);

  private final Loop filter;
  private final Loop patch;
  private final Loop outputs;
  private final Loop split;
  private final Loop join;

  private WinogradLoops(Loop filter, Loop patch, Loop outputs, Loop split, Loop join) {
    this.filter = filter;
    this.patch = patch;
    this.outputs = outputs;
    this.split = split;
    this.join = join;
  }

  /**
   * Goes over {@code vectors} vectors, {@code next} floats apart and written {@code toNext} floats apart; of each there are several numbers,
   * {@code step} and {@code toStep} floats apart.
   */
  @FunctionalInterface
  private interface Loop {
    void run(float[] from, int at, int step, int next, float[] to, int toAt, int toStep, int toNext, int vectors);
  }

  static WinogradLoops of(Winograd form) {
    return switch (form) {
      case F2 -> F2;
      case F4 -> F4;
    };
  }

  /** {@link Winograd#filter}. */
  void filter(float[] g, int at, int step, int next, float[] u, int to, int toStep, int toNext, int vectors) {
    run(filter, g, at, step, next, u, to, toStep, toNext, vectors);
  }

  /** {@link Winograd#patch}. */
  void patch(float[] d, int at, int step, int next, float[] v, int to, int toStep, int toNext, int vectors) {
    run(patch, d, at, step, next, v, to, toStep, toNext, vectors);
  }

  /** {@link Winograd#outputs}. */
  void outputs(float[] m, int at, int step, int next, float[] y, int to, int toStep, int toNext, int vectors) {
    run(outputs, m, at, step, next, y, to, toStep, toNext, vectors);
  }

  /** Of {@code rows} rows, {@code next} floats apart, a vector of each phase; the phases of a row are {@code toStep} floats apart. */
  void split(float[] row, int at, int next, float[] phases, int to, int toStep, int toNext, int rows) {
    run(split, row, at, LANES, next, phases, to, toStep, toNext, rows);
  }

  /** As many rows from a vector of each of their phases. */
  void join(float[] phases, int at, int step, int next, float[] row, int to, int toNext, int rows) {
    run(join, phases, at, step, next, row, to, LANES, toNext, rows);
  }

  /**
   * All go through here, where the compiler sees so many that it copies none into its caller: with the loops of both forms in one method it does not
   * get to the end of it, and what is left then makes an object of each vector.
   */
  private static void run(Loop loop, float[] from, int at, int step, int next, float[] to, int toAt, int toStep, int toNext, int vectors) {
    loop.run(from, at, step, next, to, toAt, toStep, toNext, vectors);
  }

  private static IntVector lanes(IntUnaryOperator from) {
    int[] lanes = new int[LANES];
    Arrays.setAll(lanes, from);
    return IntVector.fromArray(Simd.INTS, lanes, 0);
  }

  private static IntVector ints(float[] from, int at) {
    return fromArray(FLOATS, from, at).reinterpretAsInts();
  }

  private static final class OfF2 {
    private OfF2() {}

    static void filter(float[] g, int at, int step, int next, float[] u, int to, int toStep, int toNext, int vectors) {
      for (int i = 0; i < vectors; i++) {
        int in = at + i * next;
        int out = to + i * toNext;
        FloatVector a = fromArray(FLOATS, g, in);
        FloatVector b = fromArray(FLOATS, g, in + step);
        FloatVector c = fromArray(FLOATS, g, in + 2 * step);
        FloatVector outer = a.add(c);
        a.intoArray(u, out);
        outer.add(b).mul(0.5f).intoArray(u, out + toStep);
        outer.sub(b).mul(0.5f).intoArray(u, out + 2 * toStep);
        c.intoArray(u, out + 3 * toStep);
      }
    }

    static void patch(float[] d, int at, int step, int next, float[] v, int to, int toStep, int toNext, int vectors) {
      for (int i = 0; i < vectors; i++) {
        int in = at + i * next;
        int out = to + i * toNext;
        FloatVector d1 = fromArray(FLOATS, d, in + step);
        FloatVector d2 = fromArray(FLOATS, d, in + 2 * step);
        fromArray(FLOATS, d, in).sub(d2).intoArray(v, out);
        d1.add(d2).intoArray(v, out + toStep);
        d2.sub(d1).intoArray(v, out + 2 * toStep);
        d1.sub(fromArray(FLOATS, d, in + 3 * step)).intoArray(v, out + 3 * toStep);
      }
    }

    static void outputs(float[] m, int at, int step, int next, float[] y, int to, int toStep, int toNext, int vectors) {
      for (int i = 0; i < vectors; i++) {
        int in = at + i * next;
        int out = to + i * toNext;
        FloatVector m1 = fromArray(FLOATS, m, in + step);
        FloatVector m2 = fromArray(FLOATS, m, in + 2 * step);
        fromArray(FLOATS, m, in).add(m1).add(m2).intoArray(y, out);
        m1.sub(m2).sub(fromArray(FLOATS, m, in + 3 * step)).intoArray(y, out + toStep);
      }
    }

    static void split(float[] row, int at, int step, int next, float[] phases, int to, int toStep, int toNext, int vectors) {
      for (int i = 0; i < vectors; i++) {
        int out = to + i * toNext;
        IntVector a = ints(row, at + i * next);
        IntVector b = ints(row, at + i * next + step);
        EVEN.selectFrom(a, b).reinterpretAsFloats().intoArray(phases, out);
        ODD.selectFrom(a, b).reinterpretAsFloats().intoArray(phases, out + toStep);
      }
    }

    static void join(float[] phases, int at, int step, int next, float[] row, int to, int toStep, int toNext, int vectors) {
      for (int i = 0; i < vectors; i++) {
        int out = to + i * toNext;
        IntVector even = ints(phases, at + i * next);
        IntVector odd = ints(phases, at + i * next + step);
        FIRST.selectFrom(even, odd).reinterpretAsFloats().intoArray(row, out);
        SECOND.selectFrom(even, odd).reinterpretAsFloats().intoArray(row, out + toStep);
      }
    }
  }

  private static final class OfF4 {
    private static final float P = Winograd.P;
    private static final float Q = Winograd.Q;

    private OfF4() {}

    static void filter(float[] g, int at, int step, int next, float[] u, int to, int toStep, int toNext, int vectors) {
      FloatVector p = FloatVector.broadcast(FLOATS, P);
      FloatVector q = FloatVector.broadcast(FLOATS, Q);
      for (int i = 0; i < vectors; i++) {
        int in = at + i * next;
        int out = to + i * toNext;
        FloatVector g0 = fromArray(FLOATS, g, in);
        FloatVector g1 = fromArray(FLOATS, g, in + step);
        FloatVector g2 = fromArray(FLOATS, g, in + 2 * step);
        FloatVector ofP = g2.fma(FloatVector.broadcast(FLOATS, P * P), g0);
        FloatVector ofQ = g2.fma(FloatVector.broadcast(FLOATS, Q * Q), g0);
        g0.mul(Winograd.PER_ZERO).intoArray(u, out);
        g1.fma(p, ofP).mul(Winograd.PER_P).intoArray(u, out + toStep);
        g1.fma(p.neg(), ofP).mul(Winograd.PER_P).intoArray(u, out + 2 * toStep);
        g1.fma(q, ofQ).mul(Winograd.PER_Q).intoArray(u, out + 3 * toStep);
        g1.fma(q.neg(), ofQ).mul(Winograd.PER_Q).intoArray(u, out + 4 * toStep);
        g2.intoArray(u, out + 5 * toStep);
      }
    }

    static void patch(float[] d, int at, int step, int next, float[] v, int to, int toStep, int toNext, int vectors) {
      for (int i = 0; i < vectors; i++) {
        even(d, at + i * next, step, v, to + i * toNext, toStep);
        odd(d, at + i * next, step, v, to + i * toNext, toStep);
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

    static void outputs(float[] m, int at, int step, int next, float[] y, int to, int toStep, int toNext, int vectors) {
      for (int i = 0; i < vectors; i++) {
        int in = at + i * next;
        int out = to + i * toNext;
        FloatVector m1 = fromArray(FLOATS, m, in + step);
        FloatVector m2 = fromArray(FLOATS, m, in + 2 * step);
        FloatVector m3 = fromArray(FLOATS, m, in + 3 * step);
        FloatVector m4 = fromArray(FLOATS, m, in + 4 * step);
        FloatVector sumP = m1.add(m2);
        FloatVector sumQ = m3.add(m4);
        FloatVector differenceP = m1.sub(m2);
        FloatVector differenceQ = m3.sub(m4);
        fromArray(FLOATS, m, in).add(sumP).add(sumQ).intoArray(y, out);
        differenceQ.fma(FloatVector.broadcast(FLOATS, Q), differenceP.mul(P)).intoArray(y, out + toStep);
        sumQ.fma(FloatVector.broadcast(FLOATS, Q * Q), sumP.mul(P * P)).intoArray(y, out + 2 * toStep);
        differenceP = differenceP.fma(FloatVector.broadcast(FLOATS, P * P * P), fromArray(FLOATS, m, in + 5 * step));
        differenceQ.fma(FloatVector.broadcast(FLOATS, Q * Q * Q), differenceP).intoArray(y, out + 3 * toStep);
      }
    }

    static void split(float[] row, int at, int step, int next, float[] phases, int to, int toStep, int toNext, int vectors) {
      for (int i = 0; i < vectors; i++) {
        int in = at + i * next;
        int out = to + i * toNext;
        IntVector a = ints(row, in);
        IntVector b = ints(row, in + step);
        IntVector c = ints(row, in + 2 * step);
        IntVector d = ints(row, in + 3 * step);
        IntVector even = EVEN.selectFrom(a, b);
        IntVector odd = ODD.selectFrom(a, b);
        a = EVEN.selectFrom(c, d);
        b = ODD.selectFrom(c, d);
        EVEN.selectFrom(even, a).reinterpretAsFloats().intoArray(phases, out);
        EVEN.selectFrom(odd, b).reinterpretAsFloats().intoArray(phases, out + toStep);
        ODD.selectFrom(even, a).reinterpretAsFloats().intoArray(phases, out + 2 * toStep);
        ODD.selectFrom(odd, b).reinterpretAsFloats().intoArray(phases, out + 3 * toStep);
      }
    }

    static void join(float[] phases, int at, int step, int next, float[] row, int to, int toStep, int toNext, int vectors) {
      for (int i = 0; i < vectors; i++) {
        int in = at + i * next;
        int out = to + i * toNext;
        IntVector a = ints(phases, in);
        IntVector b = ints(phases, in + step);
        IntVector c = ints(phases, in + 2 * step);
        IntVector d = ints(phases, in + 3 * step);
        IntVector even = FIRST.selectFrom(a, c);
        IntVector odd = FIRST.selectFrom(b, d);
        a = SECOND.selectFrom(a, c);
        b = SECOND.selectFrom(b, d);
        FIRST.selectFrom(even, odd).reinterpretAsFloats().intoArray(row, out);
        SECOND.selectFrom(even, odd).reinterpretAsFloats().intoArray(row, out + toStep);
        FIRST.selectFrom(a, b).reinterpretAsFloats().intoArray(row, out + 2 * toStep);
        SECOND.selectFrom(a, b).reinterpretAsFloats().intoArray(row, out + 3 * toStep);
      }
    }
  }
}
