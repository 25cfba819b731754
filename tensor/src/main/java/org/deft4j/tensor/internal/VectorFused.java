package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Unary;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static jdk.incubator.vector.VectorOperators.FMA;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/** {@link Fused} in float32: whole vectors by loops, the rest one by one. */
final class VectorFused {
  private static final Unary SIGMOID = new Unary.Sigmoid();
  private static final ReadAhead GATED = new ReadAhead();
  private static final ReadAhead GATED_GRADIENT = new ReadAhead();

  private VectorFused() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Fused op, Tensor[] in, Tensor[] out) {
    if (out[0].dtype() != DType.F32 || out[0].elementCount() < VectorElementwise.SMALL) {
      return false;
    }
    return switch (op) {
      case Fused.Gated gated -> gated(gated, in, out);
      case Fused.GatedGrad(var gated) -> gatedGrad(gated, in, out);
      case Fused.Rotary(var inverse) -> VectorRotary.run(inverse, in, out[0]);
      case Fused.ActivationGrad(var function) -> activationGrad(FloatFunctions.plain(function), in, out);
      case Fused.GlobalNorm() -> false;
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

  // ------------------------------------------------------------------------------------------------------- gates

  /**
   * Runs {@code body} over the rows of x, [rows, 2 width], some at a time: a loop along one half of each jumps over the other. Rows as long as a block
   * need no bringing.
   */
  private static void forRows(ReadAhead ahead, long rows, long width, Floats x, Parallel.Range body) {
    long bytes = 2 * width * Float.BYTES;
    long some = Math.max(1, ReadAhead.BLOCK / bytes);
    if (some == 1) {
      Parallel.forRange(rows, some, body);
      return;
    }
    Parallel.Range bring = (from, to) -> ReadAhead.bring(x.memory(), x.byteAt(2 * from * width), (to - from) * bytes);
    Parallel.forRange(rows, some, (first, last) -> {
      for (long from = first; from < last; from += some) {
        ahead.run(from, Math.min(last, from + some), bring, body);
      }
    });
  }

  private static boolean gated(Fused.Gated op, Tensor[] in, Tensor[] out) {
    Outlined loop = GateLoops.of(op.activation());
    if (loop == null) {
      return false;
    }
    FloatFunction f = FloatFunctions.of(op.activation());
    Floats x = Floats.of(in[0]);
    Floats y = Floats.of(out[0]);
    long width = out[0].size(-1);
    int vectors = Math.toIntExact(width / Simd.LANES);
    forRows(GATED, out[0].elementCount() / width, width, x, (from, to) -> {
      for (long row = from; row < to; row++) {
        long value = 2 * row * width + op.value(width);
        long gate = 2 * row * width + op.gate(width);
        loop.run(new Span(x.memory(), x.byteAt(value), Simd.BYTES, x.memory(), x.byteAt(gate), Simd.BYTES, y.memory(),
            y.byteAt(row * width), vectors));
        for (long i = (long) vectors * Simd.LANES; i < width; i++) {
          y.set(row * width + i, x.get(value + i) * f.apply(x.get(gate + i)));
        }
      }
    });
    return true;
  }

  private static boolean gatedGrad(Fused.Gated op, Tensor[] in, Tensor[] out) {
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats dx = Floats.of(out[0]);
    long width = in[0].size(-1);
    long value = op.value(width);
    long gate = op.gate(width);
    int vectors = Math.toIntExact(width / Simd.LANES);
    // A body for each function, not a choice within one: see Outlined.
    Parallel.Range body = switch (op.activation()) {
      case Unary.Gelu() -> (from, to) -> {
        for (long row = from; row < to; row++) {
          long start = 2 * row * width;
          // One loop for all would be more than the compiler inlines: see Outlined.
          GateLoops.DISTRIBUTION.run(Span.of(x, dx, start + gate, vectors));
          GateLoops.DENSITY.run(new Span(x.memory(), x.byteAt(start + gate), Simd.BYTES, x.memory(), x.byteAt(start + gate), Simd.BYTES, dx.memory(),
              dx.byteAt(start + value), vectors));
          geluGrad(dy, row * width, x, dx, start + value, start + gate, vectors);
          rest(op, dy, x, dx, row, width);
        }
      };
      case Unary.Silu() -> (from, to) -> {
        for (long row = from; row < to; row++) {
          long start = 2 * row * width;
          UnaryLoops.run(SIGMOID, Span.of(x, dx, start + gate, vectors));
          siluGrad(dy, row * width, x, dx, start + value, start + gate, vectors);
          rest(op, dy, x, dx, row, width);
        }
      };
      default -> null;
    };
    if (body == null) {
      return false;
    }
    forRows(GATED_GRADIENT, in[0].elementCount() / width, width, x, body);
    return true;
  }

  /** What whole vectors leave of a row. */
  private static void rest(Fused.Gated op, Floats dy, Floats x, Floats dx, long row, long width) {
    if (width % Simd.LANES == 0) {
      return;
    }
    FloatFunction f = FloatFunctions.of(op.activation());
    FloatFunction slope = FloatFunctions.derivative(op.activation());
    long value = 2 * row * width + op.value(width);
    long gate = 2 * row * width + op.gate(width);
    for (long i = width - width % Simd.LANES; i < width; i++) {
      float d = dy.get(row * width + i);
      float g = x.get(gate + i);
      dx.set(value + i, d * f.apply(g));
      dx.set(gate + i, d * x.get(value + i) * slope.apply(g));
    }
  }

  /** Where dx holds the density and the distribution at the gate before, it holds the gradients after. */
  private static void geluGrad(Floats dy, long out, Floats x, Floats dx, long value, long gate, int vectors) {
    long atDy = dy.byteAt(out);
    long atValue = x.byteAt(value);
    long atGate = x.byteAt(gate);
    long toValue = dx.byteAt(value);
    long toGate = dx.byteAt(gate);
    for (int i = 0; i < vectors; i++) {
      MemorySegment memory = dx.memory();
      long step = (long) i * Simd.BYTES;
      FloatVector g = fromMemorySegment(FLOATS, x.memory(), atGate + step, ORDER);
      FloatVector density = fromMemorySegment(FLOATS, memory, toValue + step, ORDER);
      FloatVector distribution = fromMemorySegment(FLOATS, memory, toGate + step, ORDER);
      FloatVector d = fromMemorySegment(FLOATS, dy.memory(), atDy + step, ORDER);
      FloatVector v = fromMemorySegment(FLOATS, x.memory(), atValue + step, ORDER);
      d.mul(g.mul(distribution)).intoMemorySegment(memory, toValue + step, ORDER);
      d.mul(v).mul(g.fma(density, distribution)).intoMemorySegment(memory, toGate + step, ORDER);
    }
  }

  /** Where dx holds the gate's sigmoid before (one loop that did all would wait for the memory), it holds its gradient after. */
  private static void siluGrad(Floats dy, long out, Floats x, Floats dx, long value, long gate, int vectors) {
    long atDy = dy.byteAt(out);
    long atValue = x.byteAt(value);
    long atGate = x.byteAt(gate);
    long toValue = dx.byteAt(value);
    long toGate = dx.byteAt(gate);
    for (int i = 0; i < vectors; i++) {
      MemorySegment memory = dx.memory();
      long step = (long) i * Simd.BYTES;
      FloatVector g = fromMemorySegment(FLOATS, x.memory(), atGate + step, ORDER);
      FloatVector s = fromMemorySegment(FLOATS, memory, toGate + step, ORDER);
      FloatVector slope = s.mul(g.lanewise(FMA, s.neg().add(1f), 1f));
      FloatVector d = fromMemorySegment(FLOATS, dy.memory(), atDy + step, ORDER);
      FloatVector v = fromMemorySegment(FLOATS, x.memory(), atValue + step, ORDER);
      d.mul(g.mul(s)).intoMemorySegment(memory, toValue + step, ORDER);
      d.mul(v).mul(slope).intoMemorySegment(memory, toGate + step, ORDER);
    }
  }

  // ----------------------------------------------------------------------------------------------------- softmax

  private static boolean softmaxGrad(Slab slab, Tensor[] in, Tensor[] out) {
    if (slab.inner() != 1 || slab.n() < VectorNorms.SHORT) {
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

  /** In a row of a vector at least; the last one is moved back to end with the row. */
  private static void softmaxGrad(Floats dy, Floats y, float sum, Floats dx, long start, long n) {
    int last = Math.toIntExact(n - Simd.LANES);
    long atDy = dy.byteAt(start);
    long atY = y.byteAt(start);
    long atDx = dx.byteAt(start);
    for (int i = 0; i < last + Simd.LANES; i += Simd.LANES) {
      long step = (long) Float.BYTES * Math.min(i, last);
      FloatVector difference = fromMemorySegment(FLOATS, dy.memory(), atDy + step, ORDER).sub(sum);
      fromMemorySegment(FLOATS, y.memory(), atY + step, ORDER).mul(difference)
          .intoMemorySegment(dx.memory(), atDx + step, ORDER);
    }
  }
}
