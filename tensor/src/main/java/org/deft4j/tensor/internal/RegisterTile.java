package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

import static jdk.incubator.vector.FloatVector.broadcast;
import static jdk.incubator.vector.FloatVector.fromArray;

/**
 * The innermost loops of every product: a tile of C stays in registers while a panel of A and a panel of B stream past.
 *
 * <pre>
 *                      B panel: depth x WIDTH, two vectors a row
 *                      k=0  [ b_0 ............ b_31 ]
 *                      k=1  [ b_0 ............ b_31 ]
 *   A panel: depth x pitch             |
 *   k=0 [ a_0 a_1 .. a_12 - - ]        v             for every k:  C[i][:] = fma(a_i, B[k][:], C[i][:])
 *   k=1 [ a_0 a_1 .. a_12 - - ] ->  C tile
 * </pre>
 *
 * <p>A fused multiply-add takes 4 cycles and one or two start in each, so at least 8 independent accumulators are needed;
 * more rows mean fewer loads for each of them. With 32 vector registers 13 rows x 2 vectors leave room for the two
 * vectors of B and for some spread elements of A at a time, which the compiler likes to load together (with 14 rows it then keeps
 * some of the tile in memory, or does not, as it happens to be compiled); with 16 registers 6 rows x 2 do. The narrow tile serves the
 * last rows on every machine.
 *
 * <p>All three are arrays: on them the compiler proves the indices of the whole loop at once, and neither of its stages
 * runs out of nodes. Memory segments are as fast when all goes well, but spill half of the tile when it does not.
 */
final class RegisterTile {
  /** Rows of the wide and of the narrow tile. */
  static final int WIDE = 13;
  static final int NARROW = 6;
  /** Columns of a tile: two vectors. */
  static final int WIDTH = 2 * Simd.LANES;
  /** Floats from one k to the next in a panel of A: whole vectors, so that packing may store whole vectors. */
  static final int WIDE_PITCH = 16;
  static final int NARROW_PITCH = Math.max(8, Simd.LANES);
  /** Floats of the next panel that are brought near for each step. */
  static final int AHEAD = 2;
  /** Steps from one read ahead to the next: {@link #AHEAD} times as many floats are a cache line, of which one read brings all. */
  private static final int PAUSE = 8;
  /** Whether this processor has registers for the wide tile; those with 512-bit vectors and those of ARM have 32. */
  static final boolean HAS_WIDE = Simd.LANES == 16 || System.getProperty("os.arch").equals("aarch64");

  private static final VectorSpecies<Float> S = Simd.FLOATS;
  private static final int L = Simd.LANES;

  private RegisterTile() {}

  /**
   * {@code C += A B}, or {@code C = A B} if {@code first}, on {@code rows} (WIDE or NARROW) x WIDTH elements, which lie side by
   * side in {@code c}. The chain of each element starts from what C holds (or from 0), and runs over k ascending.
   */
  static void run(int rows, float[] a, int aAt, float[] b, int bAt, int depth, float[] c, int cAt, boolean first) {
    run(rows, a, aAt, b, bAt, depth, c, cAt, first, a, aAt, a, aAt);
  }

  /**
   * The same, and reads ahead what the next tiles will want, a little of it now and then: the cache lines of {@link #AHEAD} floats for each step
   * of {@code next} from {@code nextAt} on, and of one float for each of {@code tiles} from {@code nextTile} on. A panel or a tile that no
   * cache near by holds would stop the first multiplications that need it; these reads fall into the shadow of multiplications that do
   * not, if only few of them are under way at a time. Both arrays must have room for all steps.
   *
   * @return what was read ahead, in no useful form: that the reads have a result keeps the compiler from dropping them
   */
  static int run(int rows, float[] a, int aAt, float[] b, int bAt, int depth, float[] c, int cAt, boolean first, float[] next, int nextAt,
      float[] tiles, int nextTile) {
    if (rows == WIDE) {
      return wide(a, aAt, b, bAt, depth, c, cAt, first, next, nextAt, tiles, nextTile);
    }
    narrow(a, aAt, b, bAt, depth, c, cAt, first);
    return 0;
  }

  private static int wide(float[] a, int aAt, float[] b, int bAt, int depth, float[] c, int cAt, boolean first, float[] next, int nextAt,
      float[] tiles, int nextTile) {
    FloatVector c0l;
    FloatVector c0r;
    FloatVector c1l;
    FloatVector c1r;
    FloatVector c2l;
    FloatVector c2r;
    FloatVector c3l;
    FloatVector c3r;
    FloatVector c4l;
    FloatVector c4r;
    FloatVector c5l;
    FloatVector c5r;
    FloatVector c6l;
    FloatVector c6r;
    FloatVector c7l;
    FloatVector c7r;
    FloatVector c8l;
    FloatVector c8r;
    FloatVector c9l;
    FloatVector c9r;
    FloatVector c10l;
    FloatVector c10r;
    FloatVector c11l;
    FloatVector c11r;
    FloatVector c12l;
    FloatVector c12r;
    if (first) {
      FloatVector zero = FloatVector.zero(S);
      c0l = zero;
      c0r = zero;
      c1l = zero;
      c1r = zero;
      c2l = zero;
      c2r = zero;
      c3l = zero;
      c3r = zero;
      c4l = zero;
      c4r = zero;
      c5l = zero;
      c5r = zero;
      c6l = zero;
      c6r = zero;
      c7l = zero;
      c7r = zero;
      c8l = zero;
      c8r = zero;
      c9l = zero;
      c9r = zero;
      c10l = zero;
      c10r = zero;
      c11l = zero;
      c11r = zero;
      c12l = zero;
      c12r = zero;
    } else {
      c0l = fromArray(S, c, cAt + 0 * L);
      c0r = fromArray(S, c, cAt + 1 * L);
      c1l = fromArray(S, c, cAt + 2 * L);
      c1r = fromArray(S, c, cAt + 3 * L);
      c2l = fromArray(S, c, cAt + 4 * L);
      c2r = fromArray(S, c, cAt + 5 * L);
      c3l = fromArray(S, c, cAt + 6 * L);
      c3r = fromArray(S, c, cAt + 7 * L);
      c4l = fromArray(S, c, cAt + 8 * L);
      c4r = fromArray(S, c, cAt + 9 * L);
      c5l = fromArray(S, c, cAt + 10 * L);
      c5r = fromArray(S, c, cAt + 11 * L);
      c6l = fromArray(S, c, cAt + 12 * L);
      c6r = fromArray(S, c, cAt + 13 * L);
      c7l = fromArray(S, c, cAt + 14 * L);
      c7r = fromArray(S, c, cAt + 15 * L);
      c8l = fromArray(S, c, cAt + 16 * L);
      c8r = fromArray(S, c, cAt + 17 * L);
      c9l = fromArray(S, c, cAt + 18 * L);
      c9r = fromArray(S, c, cAt + 19 * L);
      c10l = fromArray(S, c, cAt + 20 * L);
      c10r = fromArray(S, c, cAt + 21 * L);
      c11l = fromArray(S, c, cAt + 22 * L);
      c11r = fromArray(S, c, cAt + 23 * L);
      c12l = fromArray(S, c, cAt + 24 * L);
      c12r = fromArray(S, c, cAt + 25 * L);
    }
    int read = 0;
    for (int k = 0; k < depth; k++) {
      if (k % PAUSE == 0) {
        read ^= Float.floatToRawIntBits(next[nextAt + AHEAD * k]) ^ Float.floatToRawIntBits(tiles[nextTile + k]);
      }
      int kb = bAt + k * WIDTH;
      int ka = aAt + k * WIDE_PITCH;
      FloatVector l = fromArray(S, b, kb);
      FloatVector r = fromArray(S, b, kb + L);
      FloatVector x = broadcast(S, a[ka]);
      c0l = x.fma(l, c0l);
      c0r = x.fma(r, c0r);
      x = broadcast(S, a[ka + 1]);
      c1l = x.fma(l, c1l);
      c1r = x.fma(r, c1r);
      x = broadcast(S, a[ka + 2]);
      c2l = x.fma(l, c2l);
      c2r = x.fma(r, c2r);
      x = broadcast(S, a[ka + 3]);
      c3l = x.fma(l, c3l);
      c3r = x.fma(r, c3r);
      x = broadcast(S, a[ka + 4]);
      c4l = x.fma(l, c4l);
      c4r = x.fma(r, c4r);
      x = broadcast(S, a[ka + 5]);
      c5l = x.fma(l, c5l);
      c5r = x.fma(r, c5r);
      x = broadcast(S, a[ka + 6]);
      c6l = x.fma(l, c6l);
      c6r = x.fma(r, c6r);
      x = broadcast(S, a[ka + 7]);
      c7l = x.fma(l, c7l);
      c7r = x.fma(r, c7r);
      x = broadcast(S, a[ka + 8]);
      c8l = x.fma(l, c8l);
      c8r = x.fma(r, c8r);
      x = broadcast(S, a[ka + 9]);
      c9l = x.fma(l, c9l);
      c9r = x.fma(r, c9r);
      x = broadcast(S, a[ka + 10]);
      c10l = x.fma(l, c10l);
      c10r = x.fma(r, c10r);
      x = broadcast(S, a[ka + 11]);
      c11l = x.fma(l, c11l);
      c11r = x.fma(r, c11r);
      x = broadcast(S, a[ka + 12]);
      c12l = x.fma(l, c12l);
      c12r = x.fma(r, c12r);
    }
    c0l.intoArray(c, cAt + 0 * L);
    c0r.intoArray(c, cAt + 1 * L);
    c1l.intoArray(c, cAt + 2 * L);
    c1r.intoArray(c, cAt + 3 * L);
    c2l.intoArray(c, cAt + 4 * L);
    c2r.intoArray(c, cAt + 5 * L);
    c3l.intoArray(c, cAt + 6 * L);
    c3r.intoArray(c, cAt + 7 * L);
    c4l.intoArray(c, cAt + 8 * L);
    c4r.intoArray(c, cAt + 9 * L);
    c5l.intoArray(c, cAt + 10 * L);
    c5r.intoArray(c, cAt + 11 * L);
    c6l.intoArray(c, cAt + 12 * L);
    c6r.intoArray(c, cAt + 13 * L);
    c7l.intoArray(c, cAt + 14 * L);
    c7r.intoArray(c, cAt + 15 * L);
    c8l.intoArray(c, cAt + 16 * L);
    c8r.intoArray(c, cAt + 17 * L);
    c9l.intoArray(c, cAt + 18 * L);
    c9r.intoArray(c, cAt + 19 * L);
    c10l.intoArray(c, cAt + 20 * L);
    c10r.intoArray(c, cAt + 21 * L);
    c11l.intoArray(c, cAt + 22 * L);
    c11r.intoArray(c, cAt + 23 * L);
    c12l.intoArray(c, cAt + 24 * L);
    c12r.intoArray(c, cAt + 25 * L);
    return read;
  }

  private static void narrow(float[] a, int aAt, float[] b, int bAt, int depth, float[] c, int cAt, boolean first) {
    FloatVector c0l;
    FloatVector c0r;
    FloatVector c1l;
    FloatVector c1r;
    FloatVector c2l;
    FloatVector c2r;
    FloatVector c3l;
    FloatVector c3r;
    FloatVector c4l;
    FloatVector c4r;
    FloatVector c5l;
    FloatVector c5r;
    if (first) {
      FloatVector zero = FloatVector.zero(S);
      c0l = zero;
      c0r = zero;
      c1l = zero;
      c1r = zero;
      c2l = zero;
      c2r = zero;
      c3l = zero;
      c3r = zero;
      c4l = zero;
      c4r = zero;
      c5l = zero;
      c5r = zero;
    } else {
      c0l = fromArray(S, c, cAt + 0 * L);
      c0r = fromArray(S, c, cAt + 1 * L);
      c1l = fromArray(S, c, cAt + 2 * L);
      c1r = fromArray(S, c, cAt + 3 * L);
      c2l = fromArray(S, c, cAt + 4 * L);
      c2r = fromArray(S, c, cAt + 5 * L);
      c3l = fromArray(S, c, cAt + 6 * L);
      c3r = fromArray(S, c, cAt + 7 * L);
      c4l = fromArray(S, c, cAt + 8 * L);
      c4r = fromArray(S, c, cAt + 9 * L);
      c5l = fromArray(S, c, cAt + 10 * L);
      c5r = fromArray(S, c, cAt + 11 * L);
    }
    for (int k = 0; k < depth; k++) {
      int kb = bAt + k * WIDTH;
      int ka = aAt + k * NARROW_PITCH;
      FloatVector l = fromArray(S, b, kb);
      FloatVector r = fromArray(S, b, kb + L);
      FloatVector x = broadcast(S, a[ka]);
      c0l = x.fma(l, c0l);
      c0r = x.fma(r, c0r);
      x = broadcast(S, a[ka + 1]);
      c1l = x.fma(l, c1l);
      c1r = x.fma(r, c1r);
      x = broadcast(S, a[ka + 2]);
      c2l = x.fma(l, c2l);
      c2r = x.fma(r, c2r);
      x = broadcast(S, a[ka + 3]);
      c3l = x.fma(l, c3l);
      c3r = x.fma(r, c3r);
      x = broadcast(S, a[ka + 4]);
      c4l = x.fma(l, c4l);
      c4r = x.fma(r, c4r);
      x = broadcast(S, a[ka + 5]);
      c5l = x.fma(l, c5l);
      c5r = x.fma(r, c5r);
    }
    c0l.intoArray(c, cAt + 0 * L);
    c0r.intoArray(c, cAt + 1 * L);
    c1l.intoArray(c, cAt + 2 * L);
    c1r.intoArray(c, cAt + 3 * L);
    c2l.intoArray(c, cAt + 4 * L);
    c2r.intoArray(c, cAt + 5 * L);
    c3l.intoArray(c, cAt + 6 * L);
    c3r.intoArray(c, cAt + 7 * L);
    c4l.intoArray(c, cAt + 8 * L);
    c4r.intoArray(c, cAt + 9 * L);
    c5l.intoArray(c, cAt + 10 * L);
    c5r.intoArray(c, cAt + 11 * L);
  }

  /**
   * {@code C += A B}, or {@code C = A B} if {@code first}, on WIDE rows and the left vector of each alone, for panels of at most LANES
   * columns: half the multiplications. What lies in the right vectors is neither read nor written.
   */
  static void left(float[] a, int aAt, float[] b, int bAt, int depth, float[] c, int cAt, boolean first) {
    FloatVector c0;
    FloatVector c1;
    FloatVector c2;
    FloatVector c3;
    FloatVector c4;
    FloatVector c5;
    FloatVector c6;
    FloatVector c7;
    FloatVector c8;
    FloatVector c9;
    FloatVector c10;
    FloatVector c11;
    FloatVector c12;
    if (first) {
      FloatVector zero = FloatVector.zero(S);
      c0 = zero;
      c1 = zero;
      c2 = zero;
      c3 = zero;
      c4 = zero;
      c5 = zero;
      c6 = zero;
      c7 = zero;
      c8 = zero;
      c9 = zero;
      c10 = zero;
      c11 = zero;
      c12 = zero;
    } else {
      c0 = fromArray(S, c, cAt + 0 * WIDTH);
      c1 = fromArray(S, c, cAt + 1 * WIDTH);
      c2 = fromArray(S, c, cAt + 2 * WIDTH);
      c3 = fromArray(S, c, cAt + 3 * WIDTH);
      c4 = fromArray(S, c, cAt + 4 * WIDTH);
      c5 = fromArray(S, c, cAt + 5 * WIDTH);
      c6 = fromArray(S, c, cAt + 6 * WIDTH);
      c7 = fromArray(S, c, cAt + 7 * WIDTH);
      c8 = fromArray(S, c, cAt + 8 * WIDTH);
      c9 = fromArray(S, c, cAt + 9 * WIDTH);
      c10 = fromArray(S, c, cAt + 10 * WIDTH);
      c11 = fromArray(S, c, cAt + 11 * WIDTH);
      c12 = fromArray(S, c, cAt + 12 * WIDTH);
    }
    for (int k = 0; k < depth; k++) {
      int ka = aAt + k * WIDE_PITCH;
      FloatVector l = fromArray(S, b, bAt + k * WIDTH);
      c0 = broadcast(S, a[ka]).fma(l, c0);
      c1 = broadcast(S, a[ka + 1]).fma(l, c1);
      c2 = broadcast(S, a[ka + 2]).fma(l, c2);
      c3 = broadcast(S, a[ka + 3]).fma(l, c3);
      c4 = broadcast(S, a[ka + 4]).fma(l, c4);
      c5 = broadcast(S, a[ka + 5]).fma(l, c5);
      c6 = broadcast(S, a[ka + 6]).fma(l, c6);
      c7 = broadcast(S, a[ka + 7]).fma(l, c7);
      c8 = broadcast(S, a[ka + 8]).fma(l, c8);
      c9 = broadcast(S, a[ka + 9]).fma(l, c9);
      c10 = broadcast(S, a[ka + 10]).fma(l, c10);
      c11 = broadcast(S, a[ka + 11]).fma(l, c11);
      c12 = broadcast(S, a[ka + 12]).fma(l, c12);
    }
    c0.intoArray(c, cAt + 0 * WIDTH);
    c1.intoArray(c, cAt + 1 * WIDTH);
    c2.intoArray(c, cAt + 2 * WIDTH);
    c3.intoArray(c, cAt + 3 * WIDTH);
    c4.intoArray(c, cAt + 4 * WIDTH);
    c5.intoArray(c, cAt + 5 * WIDTH);
    c6.intoArray(c, cAt + 6 * WIDTH);
    c7.intoArray(c, cAt + 7 * WIDTH);
    c8.intoArray(c, cAt + 8 * WIDTH);
    c9.intoArray(c, cAt + 9 * WIDTH);
    c10.intoArray(c, cAt + 10 * WIDTH);
    c11.intoArray(c, cAt + 11 * WIDTH);
    c12.intoArray(c, cAt + 12 * WIDTH);
  }
}
