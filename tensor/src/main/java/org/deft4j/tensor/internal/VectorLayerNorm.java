package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/** Layer norm, alone or of a sum, in float32, by the formulas of {@link ScalarNorms}; rows are what threads share. */
final class VectorLayerNorm {
  private static final Binary ADD = new Binary.Add();

  private VectorLayerNorm() {}

  /** The norm of {@code in[0]}, which is first made the sum of the two {@code terms} where there are any. */
  static boolean run(Slab slab, double eps, Tensor[] terms, Tensor[] in, Tensor... out) {
    if (slab.n() < VectorNorms.SHORT) {
      return false;
    }
    Floats x = Floats.of(in[0]);
    Floats left = terms == null ? null : Floats.of(terms[0]);
    Floats right = terms == null ? null : Floats.of(terms[1]);
    Floats w = in.length > 1 ? Floats.of(in[1]) : null;
    Floats b = in.length > 1 ? Floats.of(in[2]) : null;
    Floats y = Floats.of(out[0]);
    Floats mean = Floats.of(out[1]);
    Floats rstd = Floats.of(out[2]);
    long n = slab.n();
    int together = VectorSums.rowsTogether(n);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      VectorSums sums = new VectorSums();
      Moments[] moments = Moments.of(together);
      for (long first = from; first < to; first += together) {
        int rows = (int) Math.min(together, to - first);
        if (left != null) {
          add(left, right, x, first * n, rows * n);
        }
        sums.moments(x, first * n, n, rows, moments);
        for (int r = 0; r < rows; r++) {
          long row = first + r;
          Moments.Statistics s = moments[r].statistics(eps);
          mean.set(row, s.mean());
          rstd.set(row, s.rstd());
          if (w == null) {
            standardize(x, s, y, row * n, n);
          } else {
            standardize(x, s, w, b, y, row * n, n);
          }
        }
      }
    });
    return true;
  }

  /** {@code y = a + b} over n elements from {@code start}. */
  private static void add(Floats a, Floats b, Floats y, long start, long n) {
    Span span = Span.of(a, b, y, start, Math.toIntExact(n / Simd.LANES));
    BinaryLoops.run(ADD, span);
    BinaryLoops.rest(ADD, span, n);
  }

  /** {@code y = ((x - mean) - low) rstd}. */
  private static void standardize(Floats x, Moments.Statistics s, Floats y, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector d = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(s.mean()).sub(s.low());
      d.mul(s.rstd()).intoMemorySegment(y.memory(), atY + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      y.set(i, ((x.get(i) - s.mean()) - s.low()) * s.rstd());
    }
  }

  /** {@code y = ((x - mean) - low) rstd w + b}. */
  private static void standardize(Floats x, Moments.Statistics s, Floats w, Floats b, Floats y, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atW = w.byteAt(0);
    long atB = b.byteAt(0);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector d = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(s.mean()).sub(s.low()).mul(s.rstd());
      FloatVector weight = fromMemorySegment(FLOATS, w.memory(), atW + step, ORDER);
      FloatVector bias = fromMemorySegment(FLOATS, b.memory(), atB + step, ORDER);
      d.fma(weight, bias).intoMemorySegment(y.memory(), atY + step, ORDER);
    }
    for (long i = (long) vectors * Simd.LANES; i < n; i++) {
      float xhat = ((x.get(start + i) - s.mean()) - s.low()) * s.rstd();
      y.set(start + i, Math.fma(xhat, w.get(i), b.get(i)));
    }
  }

  /** dx, and where they are among the results dw and db, each row's terms in the blocks of {@link VectorNorms#forBlocks}. */
  static boolean gradient(Slab slab, Tensor[] in, Tensor[] out) {
    if (slab.n() < VectorNorms.SHORT) {
      return false;
    }
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats means = Floats.of(in[2]);
    Floats rstds = Floats.of(in[3]);
    Floats w = in.length > 4 ? Floats.of(in[4]) : null;
    Floats dx = Floats.of(out[0]);
    long n = slab.n();
    boolean ofWeights = out.length > 1;
    VectorNorms.forBlocks(slab, ofWeights ? Floats.of(out[1]) : null, ofWeights ? Floats.of(out[2]) : null,
        (row, sums, dw, db, at) -> {
          Floats g = VectorNorms.weighted(dy, w, dx, row * n, n);
          float mean = means.get(row);
          float rstd = rstds.get(row);
          VectorSums.Linear total = sums.linear(g, x, mean, row * n, n);
          float slope = ScalarNorms.slopeFactor(rstd, rstd * total.withX(), n);
          float constant = ScalarNorms.constantFactor(rstd, total.sum(), n);
          VectorNorms.gradient(g, rstd, x, mean, slope, constant, dx, row * n, n);
          if (ofWeights) {
            VectorNorms.addProducts(dy, x, mean, rstd, row * n, n, dw, at);
            VectorColumns.add(dy, row * n, db, at, n);
          }
        });
    return true;
  }
}
