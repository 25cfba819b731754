package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Unary;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static org.deft4j.tensor.internal.FloatFunctions.INV_SQRT_2;
import static org.deft4j.tensor.internal.FloatFunctions.INV_SQRT_2PI;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/** {@link Fused} in float32: whole vectors by loops, the rest one by one. */
final class VectorFused {
  private VectorFused() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Fused op, Tensor[] in, Tensor[] out) {
    if (out[0].dtype() != DType.F32 || out[0].elementCount() < VectorElementwise.SMALL) {
      return false;
    }
    return switch (op) {
      case Fused.Geglu() -> geglu(out[0].size(-1), Floats.of(in[0]), Floats.of(out[0]), out[0].elementCount());
      case Fused.GegluGrad() -> gegluGrad(in[0].size(-1), Floats.of(in[0]), Floats.of(in[1]), Floats.of(out[0]),
          in[0].elementCount());
      case Fused.ActivationGrad(var function) -> activationGrad(FloatFunctions.plain(function), in, out);
      case Fused.SoftmaxGrad(var dim) -> softmaxGrad(Slab.of(out[0].shape(), dim), in, out);
    };
  }

  private static boolean activationGrad(Unary function, Tensor[] in, Tensor[] out) {
    if (!SlopeLoops.has(function)) {
      return false;
    }
    FloatFunction slope = FloatFunctions.derivative(function);
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats dx = Floats.of(out[0]);
    Parallel.forRange(out[0].elementCount(), VectorElementwise.GRAIN, (first, last) -> {
      // One thread alone is given everything at once; some loops read what they wrote, which had better be in the cache.
      for (long from = first; from < last; from += VectorElementwise.GRAIN) {
        long to = Math.min(last, from + VectorElementwise.GRAIN);
        int vectors = (int) ((to - from) / Simd.LANES);
        SlopeLoops.run(function, Span.of(dy, x, dx, from, vectors));
        for (long i = from + (long) vectors * Simd.LANES; i < to; i++) {
          dx.set(i, dy.get(i) * slope.apply(x.get(i)));
        }
      }
    });
    return true;
  }

  // ------------------------------------------------------------------------------------------------------- GEGLU

  private static long grain(long width) {
    return Math.max(1, VectorElementwise.GRAIN / width);
  }

  private static boolean geglu(long width, Floats x, Floats y, long count) {
    int vectors = Math.toIntExact(width / Simd.LANES);
    Parallel.forRange(count / width, grain(width), (from, to) -> {
      for (long row = from; row < to; row++) {
        long value = 2 * row * width;
        geglu(x, value, value + width, y, row * width, vectors);
        for (long i = (long) vectors * Simd.LANES; i < width; i++) {
          y.set(row * width + i, x.get(value + i) * FloatFunctions.gelu(x.get(value + width + i)));
        }
      }
    });
    return true;
  }

  private static void geglu(Floats x, long value, long gate, Floats y, long out, int vectors) {
    long atValue = x.byteAt(value);
    long atGate = x.byteAt(gate);
    long atY = y.byteAt(out);
    for (int i = 0; i < vectors; i++) {
      MemorySegment memory = y.memory();
      long step = (long) i * Simd.BYTES;
      FloatVector v = fromMemorySegment(FLOATS, x.memory(), atValue + step, ORDER);
      FloatVector g = fromMemorySegment(FLOATS, x.memory(), atGate + step, ORDER);
      v.mul(VectorFunctions.gelu(g)).intoMemorySegment(memory, atY + step, ORDER);
    }
  }

  private static boolean gegluGrad(long width, Floats dy, Floats x, Floats dx, long count) {
    int vectors = Math.toIntExact(width / Simd.LANES);
    Parallel.forRange(count / width, grain(2 * width), (from, to) -> {
      for (long row = from; row < to; row++) {
        long value = 2 * row * width;
        erfs(x, dx, value + width, vectors);
        gegluGrad(dy, row * width, x, dx, value, value + width, vectors);
        for (long i = (long) vectors * Simd.LANES; i < width; i++) {
          float d = dy.get(row * width + i);
          float gate = x.get(value + width + i);
          dx.set(value + i, d * FloatFunctions.gelu(gate));
          dx.set(value + width + i, (d * x.get(value + i)) * FloatFunctions.geluSlope(gate));
        }
      }
    });
    return true;
  }

  /** {@code y = erf(x / sqrt 2)}. */
  private static void erfs(Floats x, Floats y, long start, int vectors) {
    long atX = x.byteAt(start);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      MemorySegment memory = y.memory();
      long step = (long) i * Simd.BYTES;
      FloatVector scaled = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).mul(INV_SQRT_2);
      MathVector.erf(scaled).intoMemorySegment(memory, atY + step, ORDER);
    }
  }

  /** Where dx holds the gate's erf before (in a loop of its own: see {@link MathVector}), it holds its gradient after. */
  private static void gegluGrad(Floats dy, long out, Floats x, Floats dx, long value, long gate, int vectors) {
    long atDy = dy.byteAt(out);
    long atValue = x.byteAt(value);
    long atGate = x.byteAt(gate);
    long toValue = dx.byteAt(value);
    long toGate = dx.byteAt(gate);
    for (int i = 0; i < vectors; i++) {
      MemorySegment memory = dx.memory();
      long step = (long) i * Simd.BYTES;
      FloatVector d = fromMemorySegment(FLOATS, dy.memory(), atDy + step, ORDER);
      FloatVector v = fromMemorySegment(FLOATS, x.memory(), atValue + step, ORDER);
      FloatVector g = fromMemorySegment(FLOATS, x.memory(), atGate + step, ORDER);
      FloatVector erf = fromMemorySegment(FLOATS, memory, toGate + step, ORDER);
      FloatVector density = MathVector.exp(g.mul(g).mul(-0.5f)).mul(INV_SQRT_2PI);
      FloatVector slope = g.fma(density, erf.fma(0.5f, 0.5f));
      FloatVector half = g.mul(0.5f);
      d.mul(half.fma(erf, half)).intoMemorySegment(memory, toValue + step, ORDER);
      d.mul(v).mul(slope).intoMemorySegment(memory, toGate + step, ORDER);
    }
  }

  // ----------------------------------------------------------------------------------------------------- softmax

  private static boolean softmaxGrad(Slab slab, Tensor[] in, Tensor[] out) {
    if (slab.inner() != 1) {
      return false;
    }
    Floats dy = Floats.of(in[0]);
    Floats y = Floats.of(in[1]);
    Floats dx = Floats.of(out[0]);
    long n = slab.n();
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      VectorSums sums = new VectorSums();
      for (long row = from; row < to; row++) {
        long start = row * n;
        softmaxGrad(dy, y, sums.dot(dy, start, y, start, n), dx, start, n);
      }
    });
    return true;
  }

  private static void softmaxGrad(Floats dy, Floats y, float sum, Floats dx, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atDy = dy.byteAt(start);
    long atY = y.byteAt(start);
    long atDx = dx.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector difference = fromMemorySegment(FLOATS, dy.memory(), atDy + step, ORDER).sub(sum);
      fromMemorySegment(FLOATS, y.memory(), atY + step, ORDER).mul(difference)
          .intoMemorySegment(dx.memory(), atDx + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      dx.set(i, y.get(i) * (dy.get(i) - sum));
    }
  }
}
