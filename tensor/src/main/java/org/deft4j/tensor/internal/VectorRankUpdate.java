package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

/**
 * {@code t = scale u - x s}, {@code z = x + t l^T} in float32, in one pass over the rows of x: a block of them stays in the cache from
 * the product that makes t, {@link Product}, to the sums that make z:
 *
 * <pre>
 *   d[i][:] = fma(t[i][j], l^T[j][:], d[i][:])   j = 0, 1, ...      z[i][:] = x[i][:] + d[i][:]
 * </pre>
 */
final class VectorRankUpdate {
  private static final int LANES = Simd.LANES;
  /** Rows whose sums are in registers at a time. */
  private static final int ROWS = 8;
  /** Most rows that one thread works on together. */
  private static final int BLOCK = 64;
  /** Columns of a stretch of l, which the first-level cache holds. */
  private static final int STRETCH = 512;
  /** From this r on {@link WideRankUpdate} is faster. */
  private static final int WIDE = 32;

  private final MemorySegment x;
  private final MemorySegment z;
  private final Tensor s;
  private final Tensor thin;
  private final long fromX;
  private final long fromZ;
  private final int n;
  private final int r;
  /** l^T [r, n]. */
  private final float[] l;

  private VectorRankUpdate(Tensor[] in, Tensor[] out, float[] l) {
    this.x = in[0].memory();
    this.z = out[0].memory();
    this.s = in[1];
    this.thin = out[1];
    this.fromX = Float.BYTES * in[0].offset();
    this.fromZ = Float.BYTES * out[0].offset();
    this.n = Math.toIntExact(s.size(0));
    this.r = Math.toIntExact(s.size(1));
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
    try (Buffer l = Buffer.of(n * r)) {
      transpose(in[2], l.floats);
      VectorRankUpdate update = new VectorRankUpdate(in, out, l.floats);
      long rows = in[0].elementCount() / n;
      long fair = (rows + Threads.count() - 1) / Threads.count();
      int block = (int) Math.min(BLOCK, (fair + ROWS - 1) / ROWS * ROWS);
      Parallel.forRange((rows + block - 1) / block, 1, (from, to) -> {
        try (Buffer t = Buffer.of(BLOCK * r)) {
          for (long i = from; i < to; i++) {
            update.rows(i * block, (int) Math.min(block, rows - i * block), t.floats, scale, in.length == 4 ? in[3] : null);
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

  private void rows(long first, int count, float[] t, double scale, Tensor u) {
    long fromThin = thin.offset() + first * r;
    // Transposed, so that the vectors lie along the rows of x: t^T = s^T x^T.
    Panels left = MatrixPanels.of(s.memory(), DType.F32, s.offset(), r, 1, r);
    Panels right = MatrixPanels.of(x, DType.F32, fromX / Float.BYTES + first * n, count, n, 1);
    Target removed = new Target.Matrix(thin.memory(), Float.BYTES * fromThin, Float.BYTES, (long) Float.BYTES * r);
    Product.run(left, right, r, count, n, removed, null);
    for (int i = 0; i < count * r; i++) {
      float less = thin.memory().getAtIndex(Simd.F32, fromThin + i);
      t[i] = u == null ? -less : (float) scale * u.memory().getAtIndex(Simd.F32, u.offset() + first * r + i) - less;
      thin.memory().setAtIndex(Simd.F32, fromThin + i, t[i]);
    }
    for (int o = 0; o < n; o += STRETCH) {
      for (int i = 0; i < count; i += ROWS) {
        expand(first + i, Math.min(ROWS, count - i), o, Math.min(n, o + STRETCH), t, i * r);
      }
    }
  }

  private int inT(int at, int i, int count) {
    return at + Math.min(i, count - 1) * r;
  }

  /** {@code z = x + t l^T} in the columns {@code from .. to} of up to 8 rows; the last vector is moved back to end with them. */
  private void expand(long row, int count, int from, int to, float[] t, int at) {
    int t0 = inT(at, 0, count);
    int t1 = inT(at, 1, count);
    int t2 = inT(at, 2, count);
    int t3 = inT(at, 3, count);
    int t4 = inT(at, 4, count);
    int t5 = inT(at, 5, count);
    int t6 = inT(at, 6, count);
    int t7 = inT(at, 7, count);
    for (int i = from; i < to; i += LANES) {
      int o = Math.min(i, n - LANES);
      FloatVector d0 = FloatVector.zero(Simd.FLOATS);
      FloatVector d1 = d0;
      FloatVector d2 = d0;
      FloatVector d3 = d0;
      FloatVector d4 = d0;
      FloatVector d5 = d0;
      FloatVector d6 = d0;
      FloatVector d7 = d0;
      for (int j = 0; j < r; j++) {
        FloatVector weights = FloatVector.fromArray(Simd.FLOATS, l, j * n + o);
        d0 = MathVector.splat(t[t0 + j]).fma(weights, d0);
        d1 = MathVector.splat(t[t1 + j]).fma(weights, d1);
        d2 = MathVector.splat(t[t2 + j]).fma(weights, d2);
        d3 = MathVector.splat(t[t3 + j]).fma(weights, d3);
        d4 = MathVector.splat(t[t4 + j]).fma(weights, d4);
        d5 = MathVector.splat(t[t5 + j]).fma(weights, d5);
        d6 = MathVector.splat(t[t6 + j]).fma(weights, d6);
        d7 = MathVector.splat(t[t7 + j]).fma(weights, d7);
      }
      put(row, 0, count, o, d0);
      put(row, 1, count, o, d1);
      put(row, 2, count, o, d2);
      put(row, 3, count, o, d3);
      put(row, 4, count, o, d4);
      put(row, 5, count, o, d5);
      put(row, 6, count, o, d6);
      put(row, 7, count, o, d7);
    }
  }

  private void put(long row, int i, int count, int o, FloatVector added) {
    long at = (long) Float.BYTES * o;
    long rowBytes = (row + Math.min(i, count - 1)) * n * Float.BYTES;
    Simd.store(Simd.load(x, fromX + rowBytes + at).add(added), z, fromZ + rowBytes + at);
  }
}
