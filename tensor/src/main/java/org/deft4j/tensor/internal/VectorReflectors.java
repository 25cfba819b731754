package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorSpecies;
import org.deft4j.tensor.internal.ColumnMatrix.Block;

import static org.deft4j.tensor.internal.ColumnMatrix.LANES;
import static org.deft4j.tensor.internal.ColumnMatrix.WIDTH;

/**
 * The loops of a QR decomposition by vectors along the rows, four columns at a time, or four by four. Where there are fewer, the last
 * one is taken again: all that a step writes it has read before.
 */
final class VectorReflectors implements ReflectorLoops {
  private static final VectorSpecies<Double> S = Simd.DOUBLES;
  private static final VectorSpecies<Long> LONGS = S.withLanes(long.class);
  private static final int TILE = 4;
  /** Bytes of the rows of one step, and of one vector: a step is as many vectors as that takes, each in a loop of its own. */
  private static final long STEP = (long) Double.BYTES * LANES;
  private static final long VECTOR = (long) Double.BYTES * S.length();

  private static DoubleVector load(MemorySegment memory, long at) {
    return DoubleVector.fromMemorySegment(S, OffHeap.known(memory), at, Simd.ORDER);
  }

  /** As integers: HotSpot does not always see what comes out of a loop as a vector, unless something is done to it first. */
  private static void store(DoubleVector vector, MemorySegment memory, long at) {
    vector.reinterpretAsLongs().intoMemorySegment(OffHeap.known(memory), at, Simd.ORDER);
  }

  private static DoubleVector splat(double value) {
    return DoubleVector.broadcast(S, value);
  }

  @Override
  public void load(MemorySegment x, boolean single, long from, long pitch, Block a, int count) {
    VectorTurns.load(x, single, from, pitch, a, count);
  }

  @Override
  public void store(Block a, int count, MemorySegment x, boolean single, long to, long pitch) {
    VectorTurns.store(a, count, x, single, to, pitch);
  }

  @Override
  public void largest(Block a, int count, long[] largest) {
    for (int c = 0; c < a.columns(); c++) {
      largest[c] = Math.max(largest[c], largest(a.memory(), a.column(c), count));
    }
  }

  private static long largest(MemorySegment memory, long at, int count) {
    LongVector most = LongVector.zero(LONGS);
    for (int i = 0; i < count; i += S.length()) {
      most = most.max(load(memory, at + (long) Double.BYTES * i).reinterpretAsLongs().and(Long.MAX_VALUE));
    }
    long largest = 0;
    for (int lane = 0; lane < S.length(); lane++) {
      largest = Math.max(largest, most.lane(lane));
    }
    return largest;
  }

  @Override
  public void project(Block v, Block c, int count, MemorySegment sums, long to) {
    for (int l = 0; l < c.columns(); l += TILE) {
      for (long part = 0; part < STEP; part += VECTOR) {
        if (v.columns() == 1) {
          projectColumn(v, c, l, part, count, sums, to + part);
          continue;
        }
        for (int r = 0; r < v.columns(); r += TILE) {
          projectTile(v, r, c, l, part, count, sums, to);
        }
      }
    }
  }

  private static void projectColumn(Block vs, Block cs, int l, long part, int count, MemorySegment sums, long to) {
    MemorySegment left = vs.memory();
    MemorySegment right = cs.memory();
    long v = vs.at() + part;
    long c0 = cs.column(l) + part;
    long c1 = cs.column(l + 1) + part;
    long c2 = cs.column(l + 2) + part;
    long c3 = cs.column(l + 3) + part;
    DoubleVector z0 = DoubleVector.zero(S);
    DoubleVector z1 = z0;
    DoubleVector z2 = z0;
    DoubleVector z3 = z0;
    for (int i = 0; i < count; i += LANES) {
      long at = (long) Double.BYTES * i;
      DoubleVector x = load(left, v + at);
      z0 = x.fma(load(right, c0 + at), z0);
      z1 = x.fma(load(right, c1 + at), z1);
      z2 = x.fma(load(right, c2 + at), z2);
      z3 = x.fma(load(right, c3 + at), z3);
    }
    int end = cs.columns() - 1;
    store(z0, sums, to + STEP * l);
    store(z1, sums, to + STEP * Math.min(l + 1, end));
    store(z2, sums, to + STEP * Math.min(l + 2, end));
    store(z3, sums, to + STEP * Math.min(l + 3, end));
  }

  private static void projectTile(Block vs, int r, Block cs, int l, long part, int count, MemorySegment sums, long to) {
    MemorySegment left = vs.memory();
    MemorySegment right = cs.memory();
    long v0 = vs.column(r) + part;
    long v1 = vs.column(r + 1) + part;
    long v2 = vs.column(r + 2) + part;
    long v3 = vs.column(r + 3) + part;
    long c0 = cs.column(l) + part;
    long c1 = cs.column(l + 1) + part;
    long c2 = cs.column(l + 2) + part;
    long c3 = cs.column(l + 3) + part;
    DoubleVector z00 = DoubleVector.zero(S);
    DoubleVector z01 = z00;
    DoubleVector z02 = z00;
    DoubleVector z03 = z00;
    DoubleVector z10 = z00;
    DoubleVector z11 = z00;
    DoubleVector z12 = z00;
    DoubleVector z13 = z00;
    DoubleVector z20 = z00;
    DoubleVector z21 = z00;
    DoubleVector z22 = z00;
    DoubleVector z23 = z00;
    DoubleVector z30 = z00;
    DoubleVector z31 = z00;
    DoubleVector z32 = z00;
    DoubleVector z33 = z00;
    for (int i = 0; i < count; i += LANES) {
      long at = (long) Double.BYTES * i;
      DoubleVector x0 = load(right, c0 + at);
      DoubleVector x1 = load(right, c1 + at);
      DoubleVector x2 = load(right, c2 + at);
      DoubleVector x3 = load(right, c3 + at);
      DoubleVector x = load(left, v0 + at);
      z00 = x.fma(x0, z00);
      z01 = x.fma(x1, z01);
      z02 = x.fma(x2, z02);
      z03 = x.fma(x3, z03);
      x = load(left, v1 + at);
      z10 = x.fma(x0, z10);
      z11 = x.fma(x1, z11);
      z12 = x.fma(x2, z12);
      z13 = x.fma(x3, z13);
      x = load(left, v2 + at);
      z20 = x.fma(x0, z20);
      z21 = x.fma(x1, z21);
      z22 = x.fma(x2, z22);
      z23 = x.fma(x3, z23);
      x = load(left, v3 + at);
      z30 = x.fma(x0, z30);
      z31 = x.fma(x1, z31);
      z32 = x.fma(x2, z32);
      z33 = x.fma(x3, z33);
    }
    int lastRow = vs.columns() - 1 - r;
    int lastColumn = cs.columns() - 1 - l;
    long z = to + part + STEP * (r * WIDTH + l);
    long row1 = z + STEP * WIDTH * Math.min(1, lastRow);
    long row2 = z + STEP * WIDTH * Math.min(2, lastRow);
    long row3 = z + STEP * WIDTH * Math.min(3, lastRow);
    long column1 = STEP * Math.min(1, lastColumn);
    long column2 = STEP * Math.min(2, lastColumn);
    long column3 = STEP * Math.min(3, lastColumn);
    store(z00, sums, z);
    store(z01, sums, z + column1);
    store(z02, sums, z + column2);
    store(z03, sums, z + column3);
    store(z10, sums, row1);
    store(z11, sums, row1 + column1);
    store(z12, sums, row1 + column2);
    store(z13, sums, row1 + column3);
    store(z20, sums, row2);
    store(z21, sums, row2 + column1);
    store(z22, sums, row2 + column2);
    store(z23, sums, row2 + column3);
    store(z30, sums, row3);
    store(z31, sums, row3 + column1);
    store(z32, sums, row3 + column2);
    store(z33, sums, row3 + column3);
  }

  @Override
  public void scale(Block a, int j, double factor, int count) {
    MemorySegment memory = a.memory();
    long column = a.column(j);
    for (int i = 0; i < count; i += S.length()) {
      long at = column + (long) Double.BYTES * i;
      store(load(memory, at).mul(factor), memory, at);
    }
  }

  @Override
  public void eliminate(Block a, int j, double factor, double[] w, int count, MemorySegment sums, long to) {
    scale(a, j, factor, count);
    // Whoever needs the next column works out what becomes of it, so the tile that changes it is the last.
    int last = (j + 1) / TILE * TILE;
    for (int c = 0; c < a.columns(); c += TILE) {
      if (c != last) {
        eliminateTile(a, j, c, w, count, sums, to);
      }
    }
    eliminateTile(a, j, last, w, count, sums, to);
  }

  private static void eliminateTile(Block a, int j, int c, double[] w, int count, MemorySegment sums, long to) {
    for (long part = 0; part < STEP; part += VECTOR) {
      eliminatePart(a, j, c, part, w, count, sums, to + part);
    }
  }

  private static void eliminatePart(Block a, int j, int c, long part, double[] w, int count, MemorySegment sums, long to) {
    MemorySegment memory = a.memory();
    long v = a.column(j) + part;
    long x = a.column(j + 1) + part;
    long c0 = a.column(c) + part;
    long c1 = a.column(c + 1) + part;
    long c2 = a.column(c + 2) + part;
    long c3 = a.column(c + 3) + part;
    int end = a.columns() - 1;
    DoubleVector wx = splat(w[j + 1]);
    DoubleVector w0 = splat(w[c]);
    DoubleVector w1 = splat(w[Math.min(c + 1, end)]);
    DoubleVector w2 = splat(w[Math.min(c + 2, end)]);
    DoubleVector w3 = splat(w[Math.min(c + 3, end)]);
    DoubleVector y0 = DoubleVector.zero(S);
    DoubleVector y1 = y0;
    DoubleVector y2 = y0;
    DoubleVector y3 = y0;
    for (int i = 0; i < count; i += LANES) {
      long at = (long) Double.BYTES * i;
      DoubleVector reflector = load(memory, v + at);
      DoubleVector next = reflector.fma(wx, load(memory, x + at));
      DoubleVector a0 = reflector.fma(w0, load(memory, c0 + at));
      DoubleVector a1 = reflector.fma(w1, load(memory, c1 + at));
      DoubleVector a2 = reflector.fma(w2, load(memory, c2 + at));
      DoubleVector a3 = reflector.fma(w3, load(memory, c3 + at));
      store(a0, memory, c0 + at);
      store(a1, memory, c1 + at);
      store(a2, memory, c2 + at);
      store(a3, memory, c3 + at);
      y0 = next.fma(a0, y0);
      y1 = next.fma(a1, y1);
      y2 = next.fma(a2, y2);
      y3 = next.fma(a3, y3);
    }
    store(y0, sums, to + STEP * c);
    store(y1, sums, to + STEP * Math.min(c + 1, end));
    store(y2, sums, to + STEP * Math.min(c + 2, end));
    store(y3, sums, to + STEP * Math.min(c + 3, end));
  }

  @Override
  public void add(Block v, double[] w, Block c, int count) {
    for (int l = 0; l < c.columns(); l += TILE) {
      addTile(v, w, c, l, count);
    }
  }

  private static void addTile(Block v, double[] w, Block c, int l, int count) {
    MemorySegment from = v.memory();
    MemorySegment to = c.memory();
    int columns = v.columns();
    long pitch = v.pitch();
    long c0 = c.column(l);
    long c1 = c.column(l + 1);
    long c2 = c.column(l + 2);
    long c3 = c.column(l + 3);
    int w1 = Math.min(1, c.columns() - 1 - l);
    int w2 = Math.min(2, c.columns() - 1 - l);
    int w3 = Math.min(3, c.columns() - 1 - l);
    for (int i = 0; i < count; i += 2 * S.length()) {
      long at = (long) Double.BYTES * i;
      long then = (long) Double.BYTES * Math.min(i + S.length(), count - S.length());
      DoubleVector s0 = load(to, c0 + at);
      DoubleVector t0 = load(to, c0 + then);
      DoubleVector s1 = load(to, c1 + at);
      DoubleVector t1 = load(to, c1 + then);
      DoubleVector s2 = load(to, c2 + at);
      DoubleVector t2 = load(to, c2 + then);
      DoubleVector s3 = load(to, c3 + at);
      DoubleVector t3 = load(to, c3 + then);
      for (int r = 0; r < columns; r++) {
        long column = v.at() + r * pitch;
        DoubleVector x = load(from, column + at);
        DoubleVector y = load(from, column + then);
        int row = r * WIDTH + l;
        DoubleVector factor = splat(w[row]);
        s0 = x.fma(factor, s0);
        t0 = y.fma(factor, t0);
        factor = splat(w[row + w1]);
        s1 = x.fma(factor, s1);
        t1 = y.fma(factor, t1);
        factor = splat(w[row + w2]);
        s2 = x.fma(factor, s2);
        t2 = y.fma(factor, t2);
        factor = splat(w[row + w3]);
        s3 = x.fma(factor, s3);
        t3 = y.fma(factor, t3);
      }
      store(s0, to, c0 + at);
      store(t0, to, c0 + then);
      store(s1, to, c1 + at);
      store(t1, to, c1 + then);
      store(s2, to, c2 + at);
      store(t2, to, c2 + then);
      store(s3, to, c3 + at);
      store(t3, to, c3 + then);
    }
  }

  @Override
  public void fold(MemorySegment sums, long at, long step, int chunks, double[] total, int first, int end) {
    double[] chains = new double[LANES];
    for (int n = first; n < end; n++) {
      for (int lane = 0; lane < LANES; lane += S.length()) {
        long from = at + STEP * n + (long) Double.BYTES * lane;
        DoubleVector sum = DoubleVector.zero(S);
        for (int chunk = 0; chunk < chunks; chunk++) {
          sum = sum.add(load(sums, from + chunk * step));
        }
        sum.intoArray(chains, lane);
      }
      double even = chains[0] + chains[4] + (chains[2] + chains[6]);
      total[n] = even + (chains[1] + chains[5] + (chains[3] + chains[7]));
    }
  }
}
