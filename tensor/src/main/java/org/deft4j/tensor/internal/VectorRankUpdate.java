package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

/**
 * {@code t = scale u - x s}, {@code z = x + t l^T} in float32, in one pass over the rows of x: eight of them stay in the cache next to
 * the processor from the sums that make t to those that make z:
 *
 * <pre>
 *   p[i][:] = fma(x[i][o], s[o][:], p[i][:])     o = 0, 1, ...      t[i][:] = scale u[i][:] - p[i][:]
 *   d[i][:] = fma(t[i][j], l^T[j][:], d[i][:])   j = 0, 1, ...      z[i][:] = x[i][:] + d[i][:]
 * </pre>
 *
 * A vector of p holds more than r numbers where r is small; what stands in the others is left there.
 */
final class VectorRankUpdate {
  private static final int LANES = Simd.LANES;
  /** Rows whose sums are in registers at a time. */
  private static final int ROWS = 8;
  /** Numbers of x that are worth a second thread. */
  private static final long GRAIN = 1 << 14;
  /** Numbers of a stretch of l, which the cache next to the processor holds. */
  private static final int STRETCH = 1 << 12;
  /** From this r on {@link WideRankUpdate} is faster. */
  private static final int WIDE = 32;

  private final MemorySegment x;
  private final MemorySegment z;
  private final Tensor thin;
  private final Tensor u;
  private final float scale;
  private final long fromX;
  private final long fromZ;
  private final long rows;
  private final int n;
  private final int r;
  /** From one row of p and t to the next: whole vectors. */
  private final int pitch;
  /** Columns of a stretch. */
  private final int stretch;
  /** s [n, r], with room for a vector after it. */
  private final float[] s;
  /** l^T [r, n]. */
  private final float[] l;

  private VectorRankUpdate(double scale, Tensor[] in, Tensor[] out, float[] s, float[] l) {
    this.x = in[0].memory();
    this.z = out[0].memory();
    this.thin = out[1];
    this.u = in.length == 4 ? in[3] : null;
    this.scale = (float) scale;
    this.fromX = Float.BYTES * in[0].offset();
    this.fromZ = Float.BYTES * out[0].offset();
    this.n = Math.toIntExact(in[1].size(0));
    this.r = Math.toIntExact(in[1].size(1));
    this.rows = in[0].elementCount() / n;
    this.pitch = Math.ceilDiv(r, LANES) * LANES;
    this.stretch = Math.ceilDiv(STRETCH / r, 2 * LANES) * 2 * LANES;
    this.s = s;
    this.l = l;
  }

  /** Computes it, or returns false. */
  static boolean run(double scale, Tensor[] in, Tensor[] out) {
    long n = in[1].size(0);
    long r = in[1].size(1);
    if (in[0].dtype() != DType.F32 || n < LANES || in[0].elementCount() == 0 || r == 0) {
      return false;
    }
    if (r >= WIDE) {
      WideRankUpdate.run(scale, in, out);
      return true;
    }
    try (Buffer s = Buffer.of(n * r + LANES); Buffer l = Buffer.of(n * r)) {
      MemorySegment.copy(in[1].memory(), Simd.F32, Float.BYTES * in[1].offset(), s.floats, 0, (int) (n * r));
      transpose(in[2], l.floats);
      VectorRankUpdate update = new VectorRankUpdate(scale, in, out, s.floats, l.floats);
      long blocks = Math.ceilDiv(update.rows, ROWS);
      long grain = Math.max(Math.ceilDiv(GRAIN, ROWS * n), Math.ceilDiv(blocks, 4L * Threads.count()));
      Parallel.forRange(blocks, grain, (from, to) -> {
        try (Buffer t = Buffer.of((long) ROWS * update.pitch)) {
          for (long i = from; i < to; i++) {
            update.block(i * ROWS, (int) Math.min(ROWS, update.rows - i * ROWS), t.floats);
          }
        }
      });
    }
    return true;
  }

  /** A thin matrix [n, r] as [r, n]. */
  private static void transpose(Tensor thin, float[] to) {
    int n = (int) thin.size(0);
    int r = (int) thin.size(1);
    MemorySegment memory = thin.memory();
    for (int o = 0; o < n; o++) {
      long at = Float.BYTES * (thin.offset() + (long) o * r);
      for (int j = 0; j < r; j++) {
        to[j * n + o] = memory.get(Simd.F32, at + (long) Float.BYTES * j);
      }
    }
  }

  /** Up to 8 rows from {@code first} on. */
  private void block(long first, int count, float[] t) {
    for (int j = 0; j < r; j += LANES) {
      project(first, count, j, t);
    }
    for (int i = 0; i < ROWS; i++) {
      long row = (first + Math.min(i, count - 1)) * r;
      for (int j = 0; j < r; j++) {
        float value = t[i * pitch + j];
        if (u != null) {
          value += scale * u.memory().getAtIndex(Simd.F32, u.offset() + row + j);
        }
        thin.memory().setAtIndex(Simd.F32, thin.offset() + row + j, value);
        t[i * pitch + j] = value;
      }
    }
    for (int o = 0; o < n; o += stretch) {
      for (int i = 0; i < count; i += ROWS / 2) {
        expand(first, i, count, o, Math.min(n, o + stretch), t);
      }
    }
  }

  private long inX(long row, int i, int count) {
    return fromX + (row + Math.min(i, count - 1)) * n * Float.BYTES;
  }

  /** Columns {@code j .. j + LANES} of -p for up to 8 rows. */
  private void project(long row, int count, int j, float[] t) {
    long x0 = inX(row, 0, count);
    long x1 = inX(row, 1, count);
    long x2 = inX(row, 2, count);
    long x3 = inX(row, 3, count);
    long x4 = inX(row, 4, count);
    long x5 = inX(row, 5, count);
    long x6 = inX(row, 6, count);
    long x7 = inX(row, 7, count);
    MemorySegment from = OffHeap.known(x);
    FloatVector p0 = FloatVector.zero(Simd.FLOATS);
    FloatVector p1 = p0;
    FloatVector p2 = p0;
    FloatVector p3 = p0;
    FloatVector p4 = p0;
    FloatVector p5 = p0;
    FloatVector p6 = p0;
    FloatVector p7 = p0;
    for (int o = 0; o < n; o++) {
      long at = (long) Float.BYTES * o;
      FloatVector factors = FloatVector.fromArray(Simd.FLOATS, s, o * r + j);
      p0 = MathVector.splat(from.get(Simd.F32, x0 + at)).fma(factors, p0);
      p1 = MathVector.splat(from.get(Simd.F32, x1 + at)).fma(factors, p1);
      p2 = MathVector.splat(from.get(Simd.F32, x2 + at)).fma(factors, p2);
      p3 = MathVector.splat(from.get(Simd.F32, x3 + at)).fma(factors, p3);
      p4 = MathVector.splat(from.get(Simd.F32, x4 + at)).fma(factors, p4);
      p5 = MathVector.splat(from.get(Simd.F32, x5 + at)).fma(factors, p5);
      p6 = MathVector.splat(from.get(Simd.F32, x6 + at)).fma(factors, p6);
      p7 = MathVector.splat(from.get(Simd.F32, x7 + at)).fma(factors, p7);
    }
    // Changed once more before they are stored: HotSpot does not always see what comes out of the loop itself as vectors.
    p0.neg().intoArray(t, j);
    p1.neg().intoArray(t, pitch + j);
    p2.neg().intoArray(t, 2 * pitch + j);
    p3.neg().intoArray(t, 3 * pitch + j);
    p4.neg().intoArray(t, 4 * pitch + j);
    p5.neg().intoArray(t, 5 * pitch + j);
    p6.neg().intoArray(t, 6 * pitch + j);
    p7.neg().intoArray(t, 7 * pitch + j);
  }

  /** {@code z = x + t l^T} in the columns {@code from .. to} of the rows i to i + 3 of those from {@code row} on. */
  private void expand(long row, int i, int count, int from, int to, float[] t) {
    int i1 = Math.min(i + 1, count - 1);
    int i2 = Math.min(i + 2, count - 1);
    int i3 = Math.min(i + 3, count - 1);
    int t0 = i * pitch;
    int t1 = i1 * pitch;
    int t2 = i2 * pitch;
    int t3 = i3 * pitch;
    long b0 = (row + i) * n * Float.BYTES;
    long b1 = (row + i1) * n * Float.BYTES;
    long b2 = (row + i2) * n * Float.BYTES;
    long b3 = (row + i3) * n * Float.BYTES;
    for (int o = from; o < to; o += 2 * LANES) {
      // Vectors beyond the last column are moved back to end with it.
      int left = Math.min(o, n - LANES);
      int right = Math.min(o + LANES, n - LANES);
      FloatVector l0 = FloatVector.zero(Simd.FLOATS);
      FloatVector r0 = l0;
      FloatVector l1 = l0;
      FloatVector r1 = l0;
      FloatVector l2 = l0;
      FloatVector r2 = l0;
      FloatVector l3 = l0;
      FloatVector r3 = l0;
      for (int j = 0; j < r; j++) {
        FloatVector first = FloatVector.fromArray(Simd.FLOATS, l, j * n + left);
        FloatVector second = FloatVector.fromArray(Simd.FLOATS, l, j * n + right);
        FloatVector factor = MathVector.splat(t[t0 + j]);
        l0 = factor.fma(first, l0);
        r0 = factor.fma(second, r0);
        factor = MathVector.splat(t[t1 + j]);
        l1 = factor.fma(first, l1);
        r1 = factor.fma(second, r1);
        factor = MathVector.splat(t[t2 + j]);
        l2 = factor.fma(first, l2);
        r2 = factor.fma(second, r2);
        factor = MathVector.splat(t[t3 + j]);
        l3 = factor.fma(first, l3);
        r3 = factor.fma(second, r3);
      }
      long atLeft = (long) Float.BYTES * left;
      long atRight = (long) Float.BYTES * right;
      Simd.store(l0.add(Simd.load(x, fromX + b0 + atLeft)), z, fromZ + b0 + atLeft);
      Simd.store(r0.add(Simd.load(x, fromX + b0 + atRight)), z, fromZ + b0 + atRight);
      Simd.store(l1.add(Simd.load(x, fromX + b1 + atLeft)), z, fromZ + b1 + atLeft);
      Simd.store(r1.add(Simd.load(x, fromX + b1 + atRight)), z, fromZ + b1 + atRight);
      Simd.store(l2.add(Simd.load(x, fromX + b2 + atLeft)), z, fromZ + b2 + atLeft);
      Simd.store(r2.add(Simd.load(x, fromX + b2 + atRight)), z, fromZ + b2 + atRight);
      Simd.store(l3.add(Simd.load(x, fromX + b3 + atLeft)), z, fromZ + b3 + atLeft);
      Simd.store(r3.add(Simd.load(x, fromX + b3 + atRight)), z, fromZ + b3 + atRight);
    }
  }
}
