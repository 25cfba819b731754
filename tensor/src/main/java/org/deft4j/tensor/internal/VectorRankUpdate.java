package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

/**
 * {@code t = scale u - x s}, {@code z = x + t l^T} in float32, in one pass over the rows of x: a few of them stay in the cache while the
 * thin matrices stream past.
 *
 * <pre>
 *   t: lanes lie along r      t[i][:] = fma(x[i][o], s[o][:], t[i][:])     o = 0, 1, ...
 *   z: lanes lie along n      d[i][:] = fma(t[i][j], l^T[j][:], d[i][:])   j = 0, 1, ...
 * </pre>
 */
final class VectorRankUpdate {
  private static final int LANES = Simd.LANES;
  /** Rows whose sums are in registers at a time. */
  private static final int ROWS = 8;
  /** Most rows that one thread works on together, and columns of a stretch of the thin matrices. */
  private static final int BLOCK = 64;
  private static final int STRETCH = 512;

  private final MemorySegment x;
  private final MemorySegment z;
  private final long fromX;
  private final long fromZ;
  private final int n;
  private final int r;
  /** Floats from row to row of t: r in whole vectors. */
  private final int pitch;
  /** s [n, pitch], with zeros beyond r. */
  private final float[] s;
  /** l^T [r, n]. */
  private final float[] l;

  private VectorRankUpdate(Tensor x, Tensor z, int r, float[] s, float[] l) {
    this.x = x.memory();
    this.z = z.memory();
    this.fromX = Float.BYTES * x.offset();
    this.fromZ = Float.BYTES * z.offset();
    this.n = Math.toIntExact(x.size(-1));
    this.r = r;
    this.pitch = pitch(r);
    this.s = s;
    this.l = l;
  }

  private static int pitch(long r) {
    return Math.toIntExact((r + LANES - 1) / LANES * LANES);
  }

  /** Computes it, or returns false. */
  static boolean run(double scale, Tensor[] in, Tensor[] out) {
    Tensor thin = in[1];
    if (in[0].dtype() != DType.F32 || thin.size(0) < LANES || in[0].elementCount() == 0 || thin.size(1) == 0) {
      return false;
    }
    int n = Math.toIntExact(thin.size(0));
    int r = Math.toIntExact(thin.size(1));
    try (Buffer s = Buffer.of((long) n * pitch(r)); Buffer l = Buffer.of((long) n * r)) {
      pack(in[1], s.floats, pitch(r), 1);
      pack(in[2], l.floats, 1, n);
      VectorRankUpdate update = new VectorRankUpdate(in[0], out[0], r, s.floats, l.floats);
      long rows = in[0].elementCount() / n;
      long fair = (rows + Threads.count() - 1) / Threads.count();
      int block = (int) Math.min(BLOCK, (fair + ROWS - 1) / ROWS * ROWS);
      Parallel.forRange((rows + block - 1) / block, 1, (from, to) -> {
        try (Buffer t = Buffer.of((long) BLOCK * update.pitch); Buffer room = Buffer.of((long) ROWS * STRETCH)) {
          for (long i = from; i < to; i++) {
            int count = (int) Math.min(block, rows - i * block);
            update.rows(i * block, count, t.floats, room.floats, scale, in.length == 4 ? in[3] : null, out[1]);
          }
        }
      });
    }
    return true;
  }

  /** Element (o, j) of a thin matrix to {@code to[o * row + j * column]}; what lies between is 0. */
  private static void pack(Tensor thin, float[] to, int row, int column) {
    int n = (int) thin.size(0);
    int r = (int) thin.size(1);
    MemorySegment memory = thin.memory();
    if (row > r) {
      java.util.Arrays.fill(to, 0, n * row, 0f);
    }
    for (int o = 0; o < n; o++) {
      long at = Float.BYTES * (thin.offset() + (long) o * r);
      for (int j = 0; j < r; j++) {
        to[o * row + j * column] = memory.get(Simd.F32, at + (long) Float.BYTES * j);
      }
    }
  }

  private void rows(long first, int count, float[] t, float[] room, double scale, Tensor u, Tensor thin) {
    java.util.Arrays.fill(t, 0, count * pitch, 0f);
    for (int o = 0; o < n; o += STRETCH) {
      int end = Math.min(n, o + STRETCH);
      for (int i = 0; i < count; i += ROWS) {
        int some = Math.min(ROWS, count - i);
        for (int row = 0; row < some; row++) {
          HalfFloats.copy(DType.F32, x, fromX + ((first + i + row) * n + o) * Float.BYTES, end - o, room, row * STRETCH);
        }
        for (int j = 0; j < pitch; j += LANES) {
          project(room, end - o, some, o * pitch + j, t, i * pitch + j);
        }
      }
    }
    for (int i = 0; i < count; i++) {
      for (int j = 0; j < r; j++) {
        long at = (first + i) * r + j;
        float removed = t[i * pitch + j];
        float value = u == null ? -removed : (float) scale * u.memory().getAtIndex(Simd.F32, u.offset() + at) - removed;
        t[i * pitch + j] = value;
        thin.memory().setAtIndex(Simd.F32, thin.offset() + at, value);
      }
    }
    for (int o = 0; o < n; o += STRETCH) {
      int end = Math.min(n, o + STRETCH);
      for (int i = 0; i < count; i += ROWS) {
        expand(first + i, Math.min(ROWS, count - i), o, end, t, i * pitch);
      }
    }
  }

  /**
   * Adds a stretch of columns of x, its rows in {@code room}, times one vector of the columns of s, to the sums of up to 8 rows; what is beyond
   * the last row is computed and thrown away.
   */
  private void project(float[] room, int columns, int count, int inS, float[] t, int at) {
    FloatVector t0 = sums(t, at, 0, count);
    FloatVector t1 = sums(t, at, 1, count);
    FloatVector t2 = sums(t, at, 2, count);
    FloatVector t3 = sums(t, at, 3, count);
    FloatVector t4 = sums(t, at, 4, count);
    FloatVector t5 = sums(t, at, 5, count);
    FloatVector t6 = sums(t, at, 6, count);
    FloatVector t7 = sums(t, at, 7, count);
    for (int o = 0; o < columns; o++) {
      FloatVector weights = FloatVector.fromArray(Simd.FLOATS, s, inS + o * pitch);
      t0 = MathVector.splat(room[o]).fma(weights, t0);
      t1 = MathVector.splat(room[STRETCH + o]).fma(weights, t1);
      t2 = MathVector.splat(room[2 * STRETCH + o]).fma(weights, t2);
      t3 = MathVector.splat(room[3 * STRETCH + o]).fma(weights, t3);
      t4 = MathVector.splat(room[4 * STRETCH + o]).fma(weights, t4);
      t5 = MathVector.splat(room[5 * STRETCH + o]).fma(weights, t5);
      t6 = MathVector.splat(room[6 * STRETCH + o]).fma(weights, t6);
      t7 = MathVector.splat(room[7 * STRETCH + o]).fma(weights, t7);
    }
    keep(t0, t, at, 0, count);
    keep(t1, t, at, 1, count);
    keep(t2, t, at, 2, count);
    keep(t3, t, at, 3, count);
    keep(t4, t, at, 4, count);
    keep(t5, t, at, 5, count);
    keep(t6, t, at, 6, count);
    keep(t7, t, at, 7, count);
  }

  private void keep(FloatVector sums, float[] t, int at, int i, int count) {
    if (i < count) {
      sums.intoArray(t, at + i * pitch);
    }
  }

  private int inT(int at, int i, int count) {
    return at + Math.min(i, count - 1) * pitch;
  }

  private FloatVector sums(float[] t, int at, int i, int count) {
    return FloatVector.fromArray(Simd.FLOATS, t, inT(at, i, count));
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
