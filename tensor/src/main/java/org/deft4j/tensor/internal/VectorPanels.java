package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;
import org.deft4j.tensor.internal.PanelRows.Block;

import static org.deft4j.tensor.internal.PanelRows.WIDTH;

/**
 * The loops of a QR decomposition by vectors along the columns, two at a time. Where there is one, it is taken twice: all that a step writes
 * it has read before. So are columns of V, where there are fewer than a tile has.
 */
final class VectorPanels implements PanelLoops {
  private static final VectorSpecies<Double> S = Simd.DOUBLES;
  private static final int LANES = S.length();
  /** The lanes of floats that come from the second of two vectors of doubles. */
  private static final VectorMask<Float> UPPER = Simd.FLOATS.indexInRange(-LANES, Simd.LANES - LANES);
  /** Rows, or columns of V, that share two vectors in registers. */
  private static final int TILE = 8;

  @Override
  public void load(MemorySegment x, boolean single, long from, long pitch, Block a, int count) {
    int step = single ? Simd.LANES : LANES;
    for (int c = 0; c < a.width(); c += step) {
      int columns = a.columns() - c;
      if (single) {
        widen(x, from + (long) Float.BYTES * c, pitch, columns, a.numbers(), a.at() + c, Math.min(step, a.width() - c), count);
      } else {
        read(x, from + (long) Double.BYTES * c, pitch, columns, a.numbers(), a.at() + c, count);
      }
    }
  }

  private static void read(MemorySegment from, long start, long pitch, int columns, double[] to, int at, int count) {
    VectorMask<Double> some = S.indexInRange(0, columns);
    if (columns >= LANES) {
      for (int i = 0; i < count; i++) {
        DoubleVector.fromMemorySegment(S, OffHeap.known(from), start + i * pitch, Simd.ORDER).intoArray(to, at + i * WIDTH);
      }
      return;
    }
    for (int i = 0; i < count; i++) {
      DoubleVector.fromMemorySegment(S, OffHeap.known(from), start + i * pitch, Simd.ORDER, some).intoArray(to, at + i * WIDTH);
    }
  }

  /** A vector of floats is two of doubles, of which the first alone is wanted where {@code width} is LANES. */
  private static void widen(MemorySegment from, long start, long pitch, int columns, double[] to, int at, int width, int count) {
    VectorMask<Float> some = Simd.FLOATS.indexInRange(0, columns);
    if (columns >= Simd.LANES) {
      for (int i = 0; i < count; i++) {
        FloatVector x = FloatVector.fromMemorySegment(Simd.FLOATS, OffHeap.known(from), start + i * pitch, Simd.ORDER);
        wide(x, 0).intoArray(to, at + i * WIDTH);
        wide(x, 1).intoArray(to, at + i * WIDTH + LANES);
      }
      return;
    }
    for (int i = 0; i < count; i++) {
      FloatVector x = FloatVector.fromMemorySegment(Simd.FLOATS, OffHeap.known(from), start + i * pitch, Simd.ORDER, some);
      wide(x, 0).intoArray(to, at + i * WIDTH);
      if (width > LANES) {
        wide(x, 1).intoArray(to, at + i * WIDTH + LANES);
      }
    }
  }

  private static DoubleVector wide(FloatVector x, int half) {
    return (DoubleVector) x.convertShape(VectorOperators.F2D, S, half);
  }

  @Override
  public void store(Block a, int count, MemorySegment x, boolean single, long to, long pitch) {
    int step = single ? Simd.LANES : LANES;
    for (int c = 0; c < a.columns(); c += step) {
      int columns = a.columns() - c;
      if (single) {
        narrow(a.numbers(), a.at() + c, columns, x, to + (long) Float.BYTES * c, pitch, count);
      } else {
        write(a.numbers(), a.at() + c, columns, x, to + (long) Double.BYTES * c, pitch, count);
      }
    }
  }

  private static void write(double[] from, int at, int columns, MemorySegment to, long start, long pitch, int count) {
    VectorMask<Double> some = S.indexInRange(0, columns);
    if (columns >= LANES) {
      for (int i = 0; i < count; i++) {
        DoubleVector.fromArray(S, from, at + i * WIDTH).intoMemorySegment(OffHeap.known(to), start + i * pitch, Simd.ORDER);
      }
      return;
    }
    for (int i = 0; i < count; i++) {
      DoubleVector.fromArray(S, from, at + i * WIDTH).intoMemorySegment(OffHeap.known(to), start + i * pitch, Simd.ORDER, some);
    }
  }

  /** Two vectors of doubles are one of floats; what is beyond the columns is read, but not written. */
  private static void narrow(double[] from, int at, int columns, MemorySegment to, long start, long pitch, int count) {
    VectorMask<Float> some = Simd.FLOATS.indexInRange(0, columns);
    if (columns >= Simd.LANES) {
      for (int i = 0; i < count; i++) {
        narrow(from, at + i * WIDTH).intoMemorySegment(OffHeap.known(to), start + i * pitch, Simd.ORDER);
      }
      return;
    }
    for (int i = 0; i < count; i++) {
      narrow(from, at + i * WIDTH).intoMemorySegment(OffHeap.known(to), start + i * pitch, Simd.ORDER, some);
    }
  }

  private static FloatVector narrow(double[] from, int at) {
    FloatVector low = (FloatVector) DoubleVector.fromArray(S, from, at).convertShape(VectorOperators.D2F, Simd.FLOATS, 0);
    FloatVector high = (FloatVector) DoubleVector.fromArray(S, from, at + LANES).convertShape(VectorOperators.D2F, Simd.FLOATS, -1);
    return low.blend(high, UPPER);
  }

  @Override
  public void largest(Block a, int count, double[] largest, int at) {
    double[] most = new double[WIDTH];
    for (int c = 0; c < a.width(); c += LANES) {
      DoubleVector vector = DoubleVector.zero(S);
      for (int i = 0; i < count; i++) {
        vector = vector.max(DoubleVector.fromArray(S, a.numbers(), a.at() + c + i * WIDTH).abs());
      }
      vector.abs().intoArray(most, c);
    }
    System.arraycopy(most, 0, largest, at, a.columns());
  }

  @Override
  public void project(Block v, Block c, int count, double[] z, int at) {
    for (int l = 0; l < c.width(); l += 2 * LANES) {
      int second = Math.min(l + LANES, c.width() - LANES);
      for (int r = 0; r < v.columns(); r += TILE) {
        projectTile(v, r, c, l, second, count, z, at);
      }
    }
  }

  private static void projectTile(Block vs, int r, Block cs, int left, int right, int count, double[] z, int at) {
    double[] v = vs.numbers();
    double[] c = cs.numbers();
    int last = vs.columns() - 1;
    int r1 = Math.min(r + 1, last);
    int r2 = Math.min(r + 2, last);
    int r3 = Math.min(r + 3, last);
    int r4 = Math.min(r + 4, last);
    int r5 = Math.min(r + 5, last);
    int r6 = Math.min(r + 6, last);
    int r7 = Math.min(r + 7, last);
    int inV = vs.at();
    int inC = cs.at();
    DoubleVector z0l = DoubleVector.zero(S);
    DoubleVector z0r = z0l;
    DoubleVector z1l = z0l;
    DoubleVector z1r = z0l;
    DoubleVector z2l = z0l;
    DoubleVector z2r = z0l;
    DoubleVector z3l = z0l;
    DoubleVector z3r = z0l;
    DoubleVector z4l = z0l;
    DoubleVector z4r = z0l;
    DoubleVector z5l = z0l;
    DoubleVector z5r = z0l;
    DoubleVector z6l = z0l;
    DoubleVector z6r = z0l;
    DoubleVector z7l = z0l;
    DoubleVector z7r = z0l;
    for (int i = 0; i < count; i++) {
      int rowV = inV + i * WIDTH;
      int rowC = inC + i * WIDTH;
      DoubleVector cl = DoubleVector.fromArray(S, c, rowC + left);
      DoubleVector cr = DoubleVector.fromArray(S, c, rowC + right);
      DoubleVector x = DoubleVector.broadcast(S, v[rowV + r]);
      z0l = x.fma(cl, z0l);
      z0r = x.fma(cr, z0r);
      x = DoubleVector.broadcast(S, v[rowV + r1]);
      z1l = x.fma(cl, z1l);
      z1r = x.fma(cr, z1r);
      x = DoubleVector.broadcast(S, v[rowV + r2]);
      z2l = x.fma(cl, z2l);
      z2r = x.fma(cr, z2r);
      x = DoubleVector.broadcast(S, v[rowV + r3]);
      z3l = x.fma(cl, z3l);
      z3r = x.fma(cr, z3r);
      x = DoubleVector.broadcast(S, v[rowV + r4]);
      z4l = x.fma(cl, z4l);
      z4r = x.fma(cr, z4r);
      x = DoubleVector.broadcast(S, v[rowV + r5]);
      z5l = x.fma(cl, z5l);
      z5r = x.fma(cr, z5r);
      x = DoubleVector.broadcast(S, v[rowV + r6]);
      z6l = x.fma(cl, z6l);
      z6r = x.fma(cr, z6r);
      x = DoubleVector.broadcast(S, v[rowV + r7]);
      z7l = x.fma(cl, z7l);
      z7r = x.fma(cr, z7r);
    }
    put(z0l, z0r, z, at + r * WIDTH, left, right);
    put(z1l, z1r, z, at + r1 * WIDTH, left, right);
    put(z2l, z2r, z, at + r2 * WIDTH, left, right);
    put(z3l, z3r, z, at + r3 * WIDTH, left, right);
    put(z4l, z4r, z, at + r4 * WIDTH, left, right);
    put(z5l, z5r, z, at + r5 * WIDTH, left, right);
    put(z6l, z6r, z, at + r6 * WIDTH, left, right);
    put(z7l, z7r, z, at + r7 * WIDTH, left, right);
  }

  private static void put(DoubleVector l, DoubleVector r, double[] to, int row, int left, int right) {
    l.intoArray(to, row + left);
    r.intoArray(to, row + right);
  }

  /** Whoever needs columns j and j + 1 works out what becomes of them, so the vectors that change the latter are the last. */
  @Override
  public void eliminate(Block a, int j, double factor, double[] w, int count, double[] y) {
    int last = (j + 1) / (2 * LANES) * (2 * LANES);
    for (int c = 0; c < a.width(); c += 2 * LANES) {
      if (c != last) {
        eliminateTwo(a, j, factor, c, false, w, count, y);
      }
    }
    eliminateTwo(a, j, factor, last, true, w, count, y);
    y[j] *= factor;
  }

  private static void eliminateTwo(Block block, int j, double factor, int left, boolean last, double[] w, int count, double[] y) {
    double[] a = block.numbers();
    int at = block.at();
    int right = Math.min(left + LANES, block.width() - LANES);
    double next = w[j + 1];
    DoubleVector wl = DoubleVector.fromArray(S, w, left);
    DoubleVector wr = DoubleVector.fromArray(S, w, right);
    DoubleVector yl = DoubleVector.zero(S);
    DoubleVector yr = yl;
    for (int i = 0; i < count; i++) {
      int row = at + i * WIDTH;
      double own = a[row + j] * factor;
      DoubleVector v = DoubleVector.broadcast(S, own);
      DoubleVector x = DoubleVector.broadcast(S, Math.fma(own, next, a[row + j + 1]));
      DoubleVector l = v.fma(wl, DoubleVector.fromArray(S, a, row + left));
      DoubleVector r = v.fma(wr, DoubleVector.fromArray(S, a, row + right));
      l.intoArray(a, row + left);
      r.intoArray(a, row + right);
      if (last) {
        a[row + j] = own;
      }
      yl = x.fma(l, yl);
      yr = x.fma(r, yr);
    }
    put(yl, yr, y, 0, left, right);
  }

  @Override
  public void add(Block v, double[] w, int at, Block c, int count) {
    for (int l = 0; l < c.width(); l += 2 * LANES) {
      addTwo(v, w, at, c, l, Math.min(l + LANES, c.width() - LANES), count);
    }
  }

  private static void addTwo(Block vs, double[] w, int atW, Block cs, int left, int right, int count) {
    double[] v = vs.numbers();
    double[] c = cs.numbers();
    int columns = vs.columns();
    for (int i = 0; i < count; i += TILE) {
      int row = vs.at() + i * WIDTH;
      int l = cs.at() + i * WIDTH + left;
      int r = cs.at() + i * WIDTH + right;
      DoubleVector s0l = DoubleVector.fromArray(S, c, l);
      DoubleVector s0r = DoubleVector.fromArray(S, c, r);
      DoubleVector s1l = DoubleVector.fromArray(S, c, l + 1 * WIDTH);
      DoubleVector s1r = DoubleVector.fromArray(S, c, r + 1 * WIDTH);
      DoubleVector s2l = DoubleVector.fromArray(S, c, l + 2 * WIDTH);
      DoubleVector s2r = DoubleVector.fromArray(S, c, r + 2 * WIDTH);
      DoubleVector s3l = DoubleVector.fromArray(S, c, l + 3 * WIDTH);
      DoubleVector s3r = DoubleVector.fromArray(S, c, r + 3 * WIDTH);
      DoubleVector s4l = DoubleVector.fromArray(S, c, l + 4 * WIDTH);
      DoubleVector s4r = DoubleVector.fromArray(S, c, r + 4 * WIDTH);
      DoubleVector s5l = DoubleVector.fromArray(S, c, l + 5 * WIDTH);
      DoubleVector s5r = DoubleVector.fromArray(S, c, r + 5 * WIDTH);
      DoubleVector s6l = DoubleVector.fromArray(S, c, l + 6 * WIDTH);
      DoubleVector s6r = DoubleVector.fromArray(S, c, r + 6 * WIDTH);
      DoubleVector s7l = DoubleVector.fromArray(S, c, l + 7 * WIDTH);
      DoubleVector s7r = DoubleVector.fromArray(S, c, r + 7 * WIDTH);
      for (int n = 0; n < columns; n++) {
        int own = row + n;
        DoubleVector wl = DoubleVector.fromArray(S, w, atW + n * WIDTH + left);
        DoubleVector wr = DoubleVector.fromArray(S, w, atW + n * WIDTH + right);
        DoubleVector x = DoubleVector.broadcast(S, v[own]);
        s0l = x.fma(wl, s0l);
        s0r = x.fma(wr, s0r);
        x = DoubleVector.broadcast(S, v[own + 1 * WIDTH]);
        s1l = x.fma(wl, s1l);
        s1r = x.fma(wr, s1r);
        x = DoubleVector.broadcast(S, v[own + 2 * WIDTH]);
        s2l = x.fma(wl, s2l);
        s2r = x.fma(wr, s2r);
        x = DoubleVector.broadcast(S, v[own + 3 * WIDTH]);
        s3l = x.fma(wl, s3l);
        s3r = x.fma(wr, s3r);
        x = DoubleVector.broadcast(S, v[own + 4 * WIDTH]);
        s4l = x.fma(wl, s4l);
        s4r = x.fma(wr, s4r);
        x = DoubleVector.broadcast(S, v[own + 5 * WIDTH]);
        s5l = x.fma(wl, s5l);
        s5r = x.fma(wr, s5r);
        x = DoubleVector.broadcast(S, v[own + 6 * WIDTH]);
        s6l = x.fma(wl, s6l);
        s6r = x.fma(wr, s6r);
        x = DoubleVector.broadcast(S, v[own + 7 * WIDTH]);
        s7l = x.fma(wl, s7l);
        s7r = x.fma(wr, s7r);
      }
      s0l.intoArray(c, l);
      s0r.intoArray(c, r);
      s1l.intoArray(c, l + 1 * WIDTH);
      s1r.intoArray(c, r + 1 * WIDTH);
      s2l.intoArray(c, l + 2 * WIDTH);
      s2r.intoArray(c, r + 2 * WIDTH);
      s3l.intoArray(c, l + 3 * WIDTH);
      s3r.intoArray(c, r + 3 * WIDTH);
      s4l.intoArray(c, l + 4 * WIDTH);
      s4r.intoArray(c, r + 4 * WIDTH);
      s5l.intoArray(c, l + 5 * WIDTH);
      s5r.intoArray(c, r + 5 * WIDTH);
      s6l.intoArray(c, l + 6 * WIDTH);
      s6r.intoArray(c, r + 6 * WIDTH);
      s7l.intoArray(c, l + 7 * WIDTH);
      s7r.intoArray(c, r + 7 * WIDTH);
    }
  }
}
