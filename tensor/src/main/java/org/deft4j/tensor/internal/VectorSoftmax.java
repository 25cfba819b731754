package org.deft4j.tensor.internal;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.deft4j.tensor.Tensor;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static org.deft4j.tensor.internal.Buffer.START;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/**
 * Softmax, its logarithm and log-sum-exp along rows of float32, by the formulas of {@link ScalarReductions}.
 *
 * <p>Some rows at a time, step by step: each step of a row waits for all of the step before, so that those of other rows had better be done
 * meanwhile. The exponentials stand in an array between the steps, each row filled up with zeros to the lanes of its sum.
 *
 * <p>A row has a vector at least. The last one is moved back to end with its row: what it shares with the one before is computed
 * twice, and alike.
 */
final class VectorSoftmax implements AutoCloseable {
  /** Shorter and longer rows are left to the scalar form. */
  private static final long SHORT = 16;
  private static final long LONG = 1 << 22;

  /** The most rows at a time, and the most numbers of several, which stay in the nearest cache. */
  private static final int ROWS = 8;
  private static final int MANY = 1 << 12;

  private static final int LANES = Simd.LANES;

  private final Floats x;
  /** Numbers in a row, and floats of one in the array. */
  private final int n;
  private final int pitch;
  private final int together;
  private final Buffer exps;
  /** What is taken out of each row's exponents, and the sum of its exponentials. */
  private final float[] shift = new float[ROWS];
  private final float[] sum = new float[ROWS];
  private final VectorSums sums = new VectorSums();

  private VectorSoftmax(Floats x, long n) {
    this.x = x;
    this.n = Math.toIntExact(n);
    this.pitch = Math.ceilDiv(this.n, Sums.LANES) * Sums.LANES;
    this.together = Math.clamp(MANY / pitch, 1, ROWS);
    this.exps = Buffer.of(START + (long) together * pitch);
    for (int r = 0; r < together; r++) {
      Arrays.fill(exps.floats, at(r) + this.n, at(r) + pitch, 0f);
    }
  }

  @Override
  public void close() {
    exps.close();
  }

  private int at(int r) {
    return START + r * pitch;
  }

  /** What to take out of the exponents of the row from {@code start} on. */
  @FunctionalInterface
  private interface Shift {
    float of(Floats x, long start, int n);
  }

  /** Does something with row {@code row}, which is number r of those at a time. */
  @FunctionalInterface
  private interface Row {
    void end(VectorSoftmax task, long row, int r);
  }

  /** {@code y = e^(x - max) / sum}. */
  static boolean softmax(Slab slab, Tensor from, Tensor to) {
    Floats y = Floats.of(to);
    return run(slab, from, VectorSoftmax::largest, (task, row, r) -> scale(task.exps.floats, task.at(r), 1f / task.sum[r], y, row * task.n, task.n));
  }

  /** {@code y = (x - max) - log sum}. */
  static boolean logSoftmax(Slab slab, Tensor from, Tensor to) {
    Floats y = Floats.of(to);
    return run(slab, from, VectorSoftmax::largest, (task, row, r) -> subtract(task.x, task.shift[r], MathF32.log(task.sum[r]), y, row * task.n, task.n));
  }

  /** {@code y = max + log sum}; where the largest is infinite nothing is taken out, and all comes out right by itself. */
  static boolean logSumExp(Slab slab, Tensor from, Tensor to) {
    Floats y = Floats.of(to);
    return run(slab, from, VectorSoftmax::finiteLargest, (task, row, r) -> y.set(row, task.shift[r] + MathF32.log(task.sum[r])));
  }

  /** Does it, or returns false. */
  private static boolean run(Slab slab, Tensor from, Shift shift, Row end) {
    if (slab.inner() != 1 || slab.n() < SHORT || slab.n() > LONG) {
      return false;
    }
    Floats x = Floats.of(from);
    Parallel.forRange(slab.outer(), slab.grain(), (first, last) -> {
      try (VectorSoftmax task = new VectorSoftmax(x, slab.n())) {
        for (long row = first; row < last; row += task.together) {
          task.rows(row, (int) Math.min(task.together, last - row), shift, end);
        }
      }
    });
    return true;
  }

  private void rows(long row, int rows, Shift taken, Row end) {
    for (int r = 0; r < rows; r++) {
      shift[r] = taken.of(x, (row + r) * n, n);
    }
    for (int r = 0; r < rows; r++) {
      exps(x, (row + r) * n, n, shift[r], exps.floats, at(r));
    }
    for (int r = 0; r < rows; r++) {
      sum[r] = sums.sum(exps.floats, at(r), n);
    }
    for (int r = 0; r < rows; r++) {
      end.end(this, row + r, r);
    }
  }

  /** The largest number of a row; one that is NaN may be passed over, as its exponential is NaN too. */
  private static float largest(Floats x, long start, int n) {
    int last = n - LANES;
    long at = x.byteAt(start);
    FloatVector a = fromMemorySegment(FLOATS, x.memory(), at + (long) Float.BYTES * last, ORDER);
    FloatVector b = a;
    int i = 0;
    for (; i < last - LANES; i += 2 * LANES) {
      long here = at + (long) Float.BYTES * i;
      FloatVector v = fromMemorySegment(FLOATS, x.memory(), here, ORDER);
      a = a.blend(v, a.lt(v));
      v = fromMemorySegment(FLOATS, x.memory(), here + Simd.BYTES, ORDER);
      b = b.blend(v, b.lt(v));
    }
    if (i < last) {
      FloatVector v = fromMemorySegment(FLOATS, x.memory(), at + (long) Float.BYTES * i, ORDER);
      a = a.blend(v, a.lt(v));
    }
    return a.blend(b, a.lt(b)).reduceLanes(VectorOperators.MAX);
  }

  private static float finiteLargest(Floats x, long start, int n) {
    float largest = largest(x, start, n);
    return Float.isInfinite(largest) ? 0f : largest;
  }

  private static void exps(Floats x, long start, int n, float max, float[] to, int at) {
    int last = n - LANES;
    long atX = x.byteAt(start);
    for (int i = 0; i < last; i += LANES) {
      MathVector.exp(fromMemorySegment(FLOATS, x.memory(), atX + (long) Float.BYTES * i, ORDER).sub(max)).intoArray(to, at + i);
    }
    MathVector.exp(fromMemorySegment(FLOATS, x.memory(), atX + (long) Float.BYTES * last, ORDER).sub(max)).intoArray(to, at + last);
  }

  private static void scale(float[] exps, int at, float factor, Floats y, long start, int n) {
    int last = n - LANES;
    long atY = y.byteAt(start);
    for (int i = 0; i < last + LANES; i += LANES) {
      int step = Math.min(i, last);
      FloatVector.fromArray(FLOATS, exps, at + step).mul(factor).intoMemorySegment(y.memory(), atY + (long) Float.BYTES * step, ORDER);
    }
  }

  private static void subtract(Floats x, float max, float log, Floats y, long start, int n) {
    int last = n - LANES;
    long atX = x.byteAt(start);
    long atY = y.byteAt(start);
    for (int i = 0; i < last + LANES; i += LANES) {
      long step = (long) Float.BYTES * Math.min(i, last);
      FloatVector d = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(max);
      d.sub(log).intoMemorySegment(y.memory(), atY + step, ORDER);
    }
  }
}
