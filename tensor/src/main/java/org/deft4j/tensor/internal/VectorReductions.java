package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Reduction;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/**
 * {@link Reduction} in float32: sums along the last or across other dimensions, extremes along the last, and what {@link VectorSoftmax}
 * does. The rest is left to the scalar form.
 */
final class VectorReductions {
  /** Shorter rows are left to the scalar form. */
  private static final long SHORT = 16;

  private VectorReductions() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Reduction op, Tensor[] in, Tensor[] out) {
    Tensor x = in[0];
    Tensor y = out[0];
    if (x.dtype() != DType.F32 || x.elementCount() < VectorElementwise.SMALL) {
      return false;
    }
    switch (op) {
      case Reduction.Sum(var dims, var keep) -> Slab.reduce(x, dims, y, VectorReductions::sum);
      case Reduction.Max(var dims, var keep) ->
          Slab.reduce(x, dims, y, (slab, from, to) -> extreme(slab.requireElements(op), from, to, true));
      case Reduction.Min(var dims, var keep) ->
          Slab.reduce(x, dims, y, (slab, from, to) -> extreme(slab.requireElements(op), from, to, false));
      case Reduction.Softmax(var dim) -> {
        return VectorSoftmax.softmax(Slab.of(x.shape(), dim), x, y);
      }
      case Reduction.LogSoftmax(var dim) -> {
        return VectorSoftmax.logSoftmax(Slab.of(x.shape(), dim), x, y);
      }
      case Reduction.LogSumExp(var dim, var keep) -> {
        return VectorSoftmax.logSumExp(Slab.of(x.shape(), dim), x, y);
      }
      case Reduction.Prod ignored -> {
        return false;
      }
      case Reduction.ArgMax ignored -> {
        return false;
      }
      case Reduction.ArgMin ignored -> {
        return false;
      }
      case Reduction.CumSum ignored -> {
        return false;
      }
    }
    return true;
  }

  private static void sum(Slab slab, Tensor from, Tensor to) {
    if (slab.inner() == 1 && slab.n() >= SHORT) {
      sumAlong(slab, Floats.of(from), Floats.of(to));
    } else if (slab.inner() >= Simd.LANES) {
      VectorColumns.sum(slab, Floats.of(from), Floats.of(to));
    } else {
      ScalarReductions.sum(slab, from, to);
    }
  }

  /** Along rows. The chunks of a long row are shared out, so that the sum of everything keeps all threads busy. */
  private static void sumAlong(Slab slab, Floats x, Floats y) {
    long n = slab.n();
    int chunks = Sums.chunks(n);
    if (chunks == 1) {
      Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
        VectorSums sums = new VectorSums();
        for (long row = from; row < to; row++) {
          y.set(row, sums.sumChunk(x, row * n, (int) n));
        }
      });
      return;
    }
    float[][] ofChunks = new float[Math.toIntExact(slab.outer())][chunks];
    Parallel.forRange(slab.outer() * chunks, VectorElementwise.GRAIN / Sums.CHUNK, (from, to) -> {
      VectorSums sums = new VectorSums();
      for (long i = from; i < to; i++) {
        int row = (int) (i / chunks);
        int c = (int) (i % chunks);
        long start = (long) c * Sums.CHUNK;
        ofChunks[row][c] = sums.sumChunk(x, row * n + start, (int) Math.min(Sums.CHUNK, n - start));
      }
    });
    for (int row = 0; row < ofChunks.length; row++) {
      y.set(row, Sums.sum(ofChunks[row]));
    }
  }

  // --------------------------------------------------------------------------------------------------- extremes

  private static void extreme(Slab slab, Tensor from, Tensor to, boolean largest) {
    if (slab.inner() != 1 || slab.n() < SHORT) {
      ScalarReductions.extreme(slab, from, to, largest);
      return;
    }
    Floats x = Floats.of(from);
    Floats y = Floats.of(to);
    Parallel.forRange(slab.outer(), slab.grain(), (first, last) -> {
      for (long row = first; row < last; row++) {
        y.set(row, largest ? max(x, row * slab.n(), slab.n()) : min(x, row * slab.n(), slab.n()));
      }
    });
  }

  // Rows have a vector at least. The last one is moved back to end with its row: what it shares with the one before is computed
  // twice, and alike.

  private static float max(Floats x, long start, long n) {
    int last = Math.toIntExact(n - Simd.LANES);
    long at = x.byteAt(start);
    FloatVector best = fromMemorySegment(FLOATS, x.memory(), at + (long) Float.BYTES * last, ORDER);
    for (int i = 0; i < last; i += Simd.LANES) {
      best = best.max(fromMemorySegment(FLOATS, x.memory(), at + (long) Float.BYTES * i, ORDER));
    }
    return best.reduceLanes(VectorOperators.MAX);
  }

  private static float min(Floats x, long start, long n) {
    int last = Math.toIntExact(n - Simd.LANES);
    long at = x.byteAt(start);
    FloatVector best = fromMemorySegment(FLOATS, x.memory(), at + (long) Float.BYTES * last, ORDER);
    for (int i = 0; i < last; i += Simd.LANES) {
      best = best.min(fromMemorySegment(FLOATS, x.memory(), at + (long) Float.BYTES * i, ORDER));
    }
    return best.reduceLanes(VectorOperators.MIN);
  }
}
