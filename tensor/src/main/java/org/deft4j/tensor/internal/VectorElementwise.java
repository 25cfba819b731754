package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Unary;

/** {@link Unary} and {@link Binary} in float32: whole vectors by a loop for each operation, the rest one by one. */
final class VectorElementwise {
  /**
   * Below so many elements the scalar form runs: the same bits, and at most a microsecond lost. It does not wait for the
   * compiler: in a vector loop that is still interpreted every vector is an object, and each operation on it takes
   * microseconds, so that a program of few and small operations would spend its life there.
   */
  static final long SMALL = 1024;
  /** Elements that a thread takes at a time: 64 KiB, which stay in the cache next to it. */
  static final long GRAIN = 1 << 14;

  private VectorElementwise() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Unary op, Tensor[] in, Tensor[] out) {
    Unary same = FloatFunctions.plain(op);
    if (out[0].dtype() != DType.F32 || out[0].elementCount() < SMALL || !UnaryLoops.has(same)) {
      return false;
    }
    FloatFunction f = FloatFunctions.of(same);
    Floats x = Floats.of(in[0]);
    Floats y = Floats.of(out[0]);
    Parallel.forRange(out[0].elementCount(), GRAIN, (from, to) -> {
      int vectors = Math.toIntExact((to - from) / Simd.LANES);
      UnaryLoops.run(same, Span.of(x, y, from, vectors));
      for (long i = from + (long) vectors * Simd.LANES; i < to; i++) {
        y.set(i, f.apply(x.get(i)));
      }
    });
    return true;
  }

  /** Computes {@code op}, or returns false. */
  static boolean run(Binary op, Tensor[] in, Tensor[] out) {
    long count = out[0].elementCount();
    if (in[0].dtype() != DType.F32 || count < SMALL || !BinaryLoops.has(op)) {
      return false;
    }
    Broadcast walk = Broadcast.of(in[0], in[1], out[0]);
    if (walk.inner < 2L * Simd.LANES || walk.stepA < 0 || walk.stepA > 1 || walk.stepB < 0 || walk.stepB > 1) {
      return false;
    }
    MemorySegment a = in[0].memory();
    MemorySegment b = in[1].memory();
    MemorySegment y = out[0].memory();
    Parallel.forRange(count, GRAIN, (from, to) -> {
      try (Tensor same = Tensor.empty(Device.CPU, DType.F32, Shape.of(2L * Simd.LANES))) {
        Repeated repeated = new Repeated(same.memory());
        walk.forEach(from, to, (fromA, fromB, at, length) -> {
          Span s = new Span(a, fromA * Float.BYTES, walk.stepA * Simd.BYTES, b, fromB * Float.BYTES,
              walk.stepB * Simd.BYTES, y, at * Float.BYTES, Math.toIntExact(length / Simd.LANES));
          BinaryLoops.run(op, repeated.spread(s));
          BinaryLoops.rest(op, s, length);
        });
      }
    });
    return true;
  }

  /** Room for a vector of a's one element and of b's, for runs along which one of them stands still. */
  private record Repeated(MemorySegment memory) {
    Span spread(Span s) {
      Span t = s;
      if (s.stepA() == 0) {
        Simd.store(MathVector.splat(s.a().get(Simd.F32, s.atA())), memory, 0);
        t = new Span(memory, 0, 0, t.b(), t.atB(), t.stepB(), t.y(), t.atY(), t.vectors());
      }
      if (s.stepB() == 0) {
        Simd.store(MathVector.splat(s.b().get(Simd.F32, s.atB())), memory, Simd.BYTES);
        t = new Span(t.a(), t.atA(), t.stepA(), memory, Simd.BYTES, 0, t.y(), t.atY(), t.vectors());
      }
      return t;
    }
  }
}
