package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static jdk.incubator.vector.VectorOperators.FMA;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/** The {@link InPlace} operations that compute, in float32, by the formulas of {@link ScalarUpdates}. */
final class VectorUpdates {
  private VectorUpdates() {}

  /** The whole vectors of a piece. */
  @FunctionalInterface
  private interface Piece {
    void run(long from, int vectors);
  }

  /** Computes {@code op}, or returns false. */
  static boolean run(InPlace op, Tensor[] in) {
    if (in[0].dtype() != DType.F32 || in[0].elementCount() < VectorElementwise.SMALL) {
      return false;
    }
    if (op instanceof InPlace.AddScaledInto(var alpha) && !ScalarUpdates.isDense(in)) {
      addScaledRuns((float) alpha, in);
      return true;
    }
    Piece piece = switch (op) {
      case InPlace.AddScaledInto(var alpha) -> {
        Floats target = Floats.of(in[0]);
        Floats x = Floats.of(in[1]);
        yield (from, vectors) -> addScaled((float) alpha, Span.of(x, target, target, from, vectors));
      }
      case InPlace.ScaleInto(var factor) -> {
        Floats target = Floats.of(in[0]);
        yield (from, vectors) -> scale((float) factor, Span.of(target, target, from, vectors));
      }
      case InPlace.AdamUpdate adam -> adam(ScalarUpdates.Adam.of(adam), in);
      default -> null;
    };
    if (piece == null) {
      return false;
    }
    long count = in[0].elementCount();
    Parallel.Range rest = ScalarUpdates.body(op, in);
    Parallel.forRange(count, VectorElementwise.GRAIN, (from, to) -> {
      int vectors = Math.toIntExact((to - from) / Simd.LANES);
      piece.run(from, vectors);
      rest.run(from + (long) vectors * Simd.LANES, to);
    });
    return true;
  }

  private static void addScaled(float alpha, Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).lanewise(FMA, alpha, s.b(i)));
    }
  }

  /** For any strides; runs along which both sides are dense are done in vectors. */
  private static void addScaledRuns(float alpha, Tensor[] in) {
    Floats target = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    StridedCopy.walk(in[1], in[0], (a, b, n, stepA, stepB) -> {
      int vectors = stepA == 1 && stepB == 1 ? Math.toIntExact(n / Simd.LANES) : 0;
      long done = (long) vectors * Simd.LANES;
      addScaled(alpha, new Span(x.memory(), x.byteAt(a), Simd.BYTES, target.memory(), target.byteAt(b), Simd.BYTES,
          target.memory(), target.byteAt(b), vectors));
      ScalarUpdates.addScaled(alpha, x, a + done * stepA, stepA, target, b + done * stepB, stepB, n - done);
    });
  }

  private static void scale(float factor, Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).mul(factor));
    }
  }

  private static Piece adam(ScalarUpdates.Adam a, Tensor[] in) {
    Floats p = Floats.of(in[0]);
    Floats g = Floats.of(in[1]);
    Floats m = Floats.of(in[2]);
    Floats v = Floats.of(in[3]);
    return (from, vectors) -> adam(a, p, g, m, v, from, vectors);
  }

  private static void adam(ScalarUpdates.Adam a, Floats ps, Floats gs, Floats ms, Floats vs, long from, int vectors) {
    long atP = ps.byteAt(from);
    long atG = gs.byteAt(from);
    long atM = ms.byteAt(from);
    long atV = vs.byteAt(from);
    boolean decays = a.gradientDecay() != 0f;
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector p = fromMemorySegment(FLOATS, ps.memory(), atP + step, ORDER).mul(a.keep());
      FloatVector g = fromMemorySegment(FLOATS, gs.memory(), atG + step, ORDER);
      if (decays) {
        g = p.lanewise(FMA, a.gradientDecay(), g);
      }
      FloatVector m = g.lanewise(FMA, a.rest1(), fromMemorySegment(FLOATS, ms.memory(), atM + step, ORDER).mul(a.beta1()));
      FloatVector v = g.mul(a.rest2()).fma(g, fromMemorySegment(FLOATS, vs.memory(), atV + step, ORDER).mul(a.beta2()));
      m.intoMemorySegment(ms.memory(), atM + step, ORDER);
      v.intoMemorySegment(vs.memory(), atV + step, ORDER);
      FloatVector move = m.div(v.sqrt().div(a.correction()).add(a.eps()));
      move.lanewise(FMA, -a.rate(), p).intoMemorySegment(ps.memory(), atP + step, ORDER);
    }
  }
}
