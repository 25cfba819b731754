package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorSpecies;

import static org.deft4j.tensor.internal.ThinQr.ROW;
import static org.deft4j.tensor.internal.ThinQr.WIDTH;

/** The loops of a QR decomposition by vectors along the columns of a panel, two at a time. */
final class VectorReflectors implements ReflectorLoops {
  private static final VectorSpecies<Double> S = Simd.DOUBLES;
  private static final int LANES = S.length();
  private static final int BYTES = Double.BYTES * LANES;
  private static final VectorSpecies<Long> LONGS = S.withLanes(long.class);
  /** Rows or columns of v in a tile of two vectors. */
  private static final int TILE = 4;

  private static DoubleVector load(MemorySegment memory, long at) {
    return DoubleVector.fromMemorySegment(S, OffHeap.known(memory), at, Simd.ORDER);
  }

  private static void store(DoubleVector vector, MemorySegment memory, long at) {
    vector.intoMemorySegment(OffHeap.known(memory), at, Simd.ORDER);
  }

  private static DoubleVector splat(MemorySegment memory, long at) {
    return DoubleVector.broadcast(S, OffHeap.known(memory).get(ValueLayout.JAVA_DOUBLE, at));
  }

  @Override
  public void load(MemorySegment x, long from, long pitch, int lanes, MemorySegment a, long at, int count, long[] largest, int column) {
    if (lanes == WIDTH) {
      for (int lane = 0; lane < WIDTH; lane += 2 * LANES) {
        long skip = (long) Double.BYTES * lane;
        loadPair(x, from + skip, pitch, a, at + skip, count, largest, column + lane);
      }
      return;
    }
    a.asSlice(at, count * ROW).fill((byte) 0);
    for (int lane = 0; lane < lanes; lane += LANES) {
      long skip = (long) Double.BYTES * lane;
      loadSome(x, from + skip, pitch, S.indexInRange(lane, lanes), a, at + skip, count, largest, column + lane);
    }
  }

  private static void loadSome(MemorySegment x, long from, long pitch, VectorMask<Double> some, MemorySegment a, long at, int count,
      long[] largest, int column) {
    LongVector most = LongVector.fromArray(LONGS, largest, column);
    for (int i = 0; i < count; i++) {
      DoubleVector v = DoubleVector.fromMemorySegment(S, OffHeap.known(x), from + i * pitch, Simd.ORDER, some);
      store(v, a, at + i * ROW);
      most = most.max(v.reinterpretAsLongs().and(Long.MAX_VALUE));
    }
    most.intoArray(largest, column);
  }

  private static void loadPair(MemorySegment x, long from, long pitch, MemorySegment a, long at, int count, long[] largest, int column) {
    LongVector left = LongVector.fromArray(LONGS, largest, column);
    LongVector right = LongVector.fromArray(LONGS, largest, column + LANES);
    for (int i = 0; i < count; i++) {
      DoubleVector l = load(x, from + i * pitch);
      DoubleVector r = load(x, from + i * pitch + BYTES);
      store(l, a, at + i * ROW);
      store(r, a, at + i * ROW + BYTES);
      left = left.max(l.reinterpretAsLongs().and(Long.MAX_VALUE));
      right = right.max(r.reinterpretAsLongs().and(Long.MAX_VALUE));
    }
    left.intoArray(largest, column);
    right.intoArray(largest, column + LANES);
  }

  @Override
  public void store(MemorySegment a, long at, int lanes, MemorySegment x, long to, long pitch, int count) {
    for (int lane = 0; lane < lanes; lane += LANES) {
      long skip = (long) Double.BYTES * lane;
      if (lane + LANES <= lanes) {
        for (int i = 0; i < count; i++) {
          store(load(a, at + i * ROW + skip), x, to + i * pitch + skip);
        }
      } else {
        storeSome(a, at + skip, S.indexInRange(lane, lanes), x, to + skip, pitch, count);
      }
    }
  }

  private static void storeSome(MemorySegment a, long at, VectorMask<Double> some, MemorySegment x, long to, long pitch, int count) {
    for (int i = 0; i < count; i++) {
      load(a, at + i * ROW).intoMemorySegment(OffHeap.known(x), to + i * pitch, Simd.ORDER, some);
    }
  }

  @Override
  public void dots(MemorySegment a, long at, int count, int j, MemorySegment sums, long to) {
    for (int lane = 0; lane < WIDTH; lane += 2 * LANES) {
      long skip = (long) Double.BYTES * lane;
      dotPair(a, at + (long) Double.BYTES * j, at + skip, count, sums, to + skip);
    }
  }

  private static void dotPair(MemorySegment a, long column, long at, int count, MemorySegment sums, long to) {
    DoubleVector left = DoubleVector.zero(S);
    DoubleVector right = left;
    for (int i = 0; i < count; i++) {
      DoubleVector x = splat(a, column + i * ROW);
      left = x.fma(load(a, at + i * ROW), left);
      right = x.fma(load(a, at + i * ROW + BYTES), right);
    }
    store(left, sums, to);
    store(right, sums, to + BYTES);
  }

  @Override
  public void eliminate(MemorySegment a, long at, int count, int j, double factor, double[] w, int next, MemorySegment sums, long to) {
    long work = to + ROW;
    column(a, at + (long) Double.BYTES * j, at + (long) Double.BYTES * next, count, factor, w[next], sums, work);
    for (int lane = 0; lane < WIDTH; lane += 2 * LANES) {
      long skip = (long) Double.BYTES * lane;
      eliminatePair(a, at + skip, count, w, lane, sums, work, to + skip);
    }
  }

  /** v, and beside it what the next column becomes, for each row. */
  private static void column(MemorySegment a, long column, long next, int count, double factor, double w, MemorySegment sums, long work) {
    MemorySegment matrix = OffHeap.known(a);
    MemorySegment pairs = OffHeap.known(sums);
    for (int i = 0; i < count; i++) {
      double v = matrix.get(ValueLayout.JAVA_DOUBLE, column + i * ROW) * factor;
      matrix.set(ValueLayout.JAVA_DOUBLE, column + i * ROW, v);
      pairs.set(ValueLayout.JAVA_DOUBLE, work + 2L * Double.BYTES * i, v);
      pairs.set(ValueLayout.JAVA_DOUBLE, work + 2L * Double.BYTES * i + Double.BYTES,
          Math.fma(v, w, matrix.get(ValueLayout.JAVA_DOUBLE, next + i * ROW)));
    }
  }

  private static void eliminatePair(MemorySegment a, long at, int count, double[] w, int lane, MemorySegment sums, long work, long to) {
    DoubleVector leftW = DoubleVector.fromArray(S, w, lane);
    DoubleVector rightW = DoubleVector.fromArray(S, w, lane + LANES);
    DoubleVector left = DoubleVector.zero(S);
    DoubleVector right = left;
    for (int i = 0; i < count; i++) {
      DoubleVector v = splat(sums, work + 2L * Double.BYTES * i);
      DoubleVector x = splat(sums, work + 2L * Double.BYTES * i + Double.BYTES);
      DoubleVector l = v.fma(leftW, load(a, at + i * ROW));
      DoubleVector r = v.fma(rightW, load(a, at + i * ROW + BYTES));
      store(l, a, at + i * ROW);
      store(r, a, at + i * ROW + BYTES);
      left = x.fma(l, left);
      right = x.fma(r, right);
    }
    store(left, sums, to);
    store(right, sums, to + BYTES);
  }

  @Override
  public void project(MemorySegment a, long v, long c, int count, MemorySegment sums, long to) {
    for (int r = 0; r < WIDTH; r += TILE) {
      for (int lane = 0; lane < WIDTH; lane += 2 * LANES) {
        long skip = (long) Double.BYTES * lane;
        projectTile(a, v + (long) Double.BYTES * r, c + skip, count, sums, to + r * ROW + skip);
      }
    }
  }

  private static void projectTile(MemorySegment a, long v, long c, int count, MemorySegment sums, long to) {
    DoubleVector z0l = DoubleVector.zero(S);
    DoubleVector z0r = z0l;
    DoubleVector z1l = z0l;
    DoubleVector z1r = z0l;
    DoubleVector z2l = z0l;
    DoubleVector z2r = z0l;
    DoubleVector z3l = z0l;
    DoubleVector z3r = z0l;
    for (int i = 0; i < count; i++) {
      DoubleVector l = load(a, c + i * ROW);
      DoubleVector r = load(a, c + i * ROW + BYTES);
      DoubleVector x = splat(a, v + i * ROW);
      z0l = x.fma(l, z0l);
      z0r = x.fma(r, z0r);
      x = splat(a, v + i * ROW + Double.BYTES);
      z1l = x.fma(l, z1l);
      z1r = x.fma(r, z1r);
      x = splat(a, v + i * ROW + 2L * Double.BYTES);
      z2l = x.fma(l, z2l);
      z2r = x.fma(r, z2r);
      x = splat(a, v + i * ROW + 3L * Double.BYTES);
      z3l = x.fma(l, z3l);
      z3r = x.fma(r, z3r);
    }
    store(z0l, sums, to);
    store(z0r, sums, to + BYTES);
    store(z1l, sums, to + ROW);
    store(z1r, sums, to + ROW + BYTES);
    store(z2l, sums, to + 2 * ROW);
    store(z2r, sums, to + 2 * ROW + BYTES);
    store(z3l, sums, to + 3 * ROW);
    store(z3r, sums, to + 3 * ROW + BYTES);
  }

  @Override
  public void add(MemorySegment from, long v, double[] w, MemorySegment a, long c, int count) {
    for (int lane = 0; lane < WIDTH; lane += 2 * LANES) {
      for (int row = 0; row < count; row += TILE) {
        // Rows beyond the last are the last once more: all are read before one is written.
        addTile(from, v, w, lane, a, c + (long) Double.BYTES * lane, row * ROW, Math.min(row + 1, count - 1) * ROW,
            Math.min(row + 2, count - 1) * ROW, Math.min(row + 3, count - 1) * ROW);
      }
    }
  }

  private static void addTile(MemorySegment from, long v, double[] w, int lane, MemorySegment a, long c, long row0, long row1, long row2,
      long row3) {
    DoubleVector c0l = load(a, c + row0);
    DoubleVector c0r = load(a, c + row0 + BYTES);
    DoubleVector c1l = load(a, c + row1);
    DoubleVector c1r = load(a, c + row1 + BYTES);
    DoubleVector c2l = load(a, c + row2);
    DoubleVector c2r = load(a, c + row2 + BYTES);
    DoubleVector c3l = load(a, c + row3);
    DoubleVector c3r = load(a, c + row3 + BYTES);
    for (int r = 0; r < WIDTH; r++) {
      DoubleVector left = DoubleVector.fromArray(S, w, r * WIDTH + lane);
      DoubleVector right = DoubleVector.fromArray(S, w, r * WIDTH + lane + LANES);
      long column = v + (long) Double.BYTES * r;
      DoubleVector x = splat(from, column + row0);
      c0l = x.fma(left, c0l);
      c0r = x.fma(right, c0r);
      x = splat(from, column + row1);
      c1l = x.fma(left, c1l);
      c1r = x.fma(right, c1r);
      x = splat(from, column + row2);
      c2l = x.fma(left, c2l);
      c2r = x.fma(right, c2r);
      x = splat(from, column + row3);
      c3l = x.fma(left, c3l);
      c3r = x.fma(right, c3r);
    }
    store(c0l, a, c + row0);
    store(c0r, a, c + row0 + BYTES);
    store(c1l, a, c + row1);
    store(c1r, a, c + row1 + BYTES);
    store(c2l, a, c + row2);
    store(c2r, a, c + row2 + BYTES);
    store(c3l, a, c + row3);
    store(c3r, a, c + row3 + BYTES);
  }
}
