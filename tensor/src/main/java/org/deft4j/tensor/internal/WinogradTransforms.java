package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.function.IntUnaryOperator;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

import static jdk.incubator.vector.FloatVector.fromArray;
import static jdk.incubator.vector.VectorOperators.FMA;
import static org.deft4j.tensor.internal.Simd.FLOATS;

/**
 * The three transforms of {@link ScalarWinograd} in every lane, with the same roundings: lanes are filters, or tiles. Sums and differences are
 * one method where a sign, 1 or -1, tells them apart: a fused multiply-add by it rounds once, as they do. No vector goes from method to
 * method (see {@link MathVector}).
 */
final class WinogradTransforms {
  private static final int LANES = Simd.LANES;

  /** Of two vectors every second lane, from the first or the second on; and their lanes by turns, the first halves or the second. */
  private static final IntVector EVEN = lanes(lane -> 2 * lane);
  private static final IntVector ODD = lanes(lane -> 2 * lane + 1);
  private static final IntVector FIRST = lanes(lane -> lane / 2 + lane % 2 * LANES);
  private static final IntVector SECOND = lanes(lane -> (LANES + lane) / 2 + lane % 2 * LANES);

  private WinogradTransforms() {}

  private static IntVector lanes(IntUnaryOperator from) {
    int[] lanes = new int[LANES];
    Arrays.setAll(lanes, from);
    return IntVector.fromArray(Simd.INTS, lanes, 0);
  }

  /**
   * {@code G g G^T} of one vector of filters.
   *
   * @param taps their nine taps, {@code pitch} floats apart
   * @param to where the 16 numbers go, {@code step} floats apart
   * @param places which of these places each goes to
   */
  static void filter(float[] taps, int from, int pitch, float[] to, int at, int step, int[] places) {
    outerRow(taps, from, pitch, to, at, step, places, 0);
    innerRow(taps, from, pitch, 1f, to, at, step, places, 4);
    innerRow(taps, from, pitch, -1f, to, at, step, places, 8);
    outerRow(taps, from + 6 * pitch, pitch, to, at, step, places, 12);
  }

  /** The first or the last row: that of g, times G^T. */
  private static void outerRow(float[] taps, int from, int pitch, float[] to, int at, int step, int[] places, int row) {
    FloatVector a = fromArray(FLOATS, taps, from);
    FloatVector b = fromArray(FLOATS, taps, from + pitch);
    FloatVector c = fromArray(FLOATS, taps, from + 2 * pitch);
    FloatVector outer = a.add(c);
    a.intoArray(to, at + places[row] * step);
    outer.add(b).mul(0.5f).intoArray(to, at + places[row + 1] * step);
    outer.sub(b).mul(0.5f).intoArray(to, at + places[row + 2] * step);
    c.intoArray(to, at + places[row + 3] * step);
  }

  /** A row between: {@code ((g_0 + g_2) + sign g_1) / 2} of the rows of g, times G^T. */
  private static void innerRow(float[] taps, int from, int pitch, float sign, float[] to, int at, int step, int[] places, int row) {
    FloatVector s = FloatVector.broadcast(FLOATS, sign);
    FloatVector a = fromArray(FLOATS, taps, from).add(fromArray(FLOATS, taps, from + 6 * pitch));
    a = s.lanewise(FMA, fromArray(FLOATS, taps, from + 3 * pitch), a).mul(0.5f);
    FloatVector b = fromArray(FLOATS, taps, from + pitch).add(fromArray(FLOATS, taps, from + 7 * pitch));
    b = s.lanewise(FMA, fromArray(FLOATS, taps, from + 4 * pitch), b).mul(0.5f);
    FloatVector c = fromArray(FLOATS, taps, from + 2 * pitch).add(fromArray(FLOATS, taps, from + 8 * pitch));
    c = s.lanewise(FMA, fromArray(FLOATS, taps, from + 5 * pitch), c).mul(0.5f);
    FloatVector outer = a.add(c);
    a.intoArray(to, at + places[row] * step);
    outer.add(b).mul(0.5f).intoArray(to, at + places[row + 1] * step);
    outer.sub(b).mul(0.5f).intoArray(to, at + places[row + 2] * step);
    c.intoArray(to, at + places[row + 3] * step);
  }

  /**
   * {@code B^T d B} of one vector of tiles in a row of tiles: number 4 i + j goes to {@code at + (4 i + j) step}.
   *
   * @param lines holds the four rows of the picture that these tiles see
   * @param r0 where the first tile begins in the first row, and r1, r2, r3 in the others
   */
  static void patches(float[] lines, int r0, int r1, int r2, int r3, float[] to, int at, int step) {
    patchRow(lines, r0, r2, -1f, to, at, step);
    patchRow(lines, r1, r2, 1f, to, at + 4 * step, step);
    patchRow(lines, r2, r1, -1f, to, at + 8 * step, step);
    patchRow(lines, r1, r3, -1f, to, at + 12 * step, step);
  }

  /** The row {@code a + sign b} of {@code B^T d}, times B. Neighbouring tiles begin two columns apart. */
  private static void patchRow(float[] lines, int a, int b, float sign, float[] to, int at, int step) {
    FloatVector s = FloatVector.broadcast(FLOATS, sign);
    IntVector p = s.lanewise(FMA, fromArray(FLOATS, lines, b), fromArray(FLOATS, lines, a)).reinterpretAsInts();
    IntVector q = s.lanewise(FMA, fromArray(FLOATS, lines, b + LANES), fromArray(FLOATS, lines, a + LANES)).reinterpretAsInts();
    FloatVector d0 = EVEN.selectFrom(p, q).reinterpretAsFloats();
    FloatVector d1 = ODD.selectFrom(p, q).reinterpretAsFloats();
    p = s.lanewise(FMA, fromArray(FLOATS, lines, b + 2), fromArray(FLOATS, lines, a + 2)).reinterpretAsInts();
    q = s.lanewise(FMA, fromArray(FLOATS, lines, b + 2 + LANES), fromArray(FLOATS, lines, a + 2 + LANES)).reinterpretAsInts();
    FloatVector d2 = EVEN.selectFrom(p, q).reinterpretAsFloats();
    FloatVector d3 = ODD.selectFrom(p, q).reinterpretAsFloats();
    d0.sub(d2).intoArray(to, at);
    d1.add(d2).intoArray(to, at + step);
    d2.sub(d1).intoArray(to, at + 2 * step);
    d1.sub(d3).intoArray(to, at + 3 * step);
  }

  /**
   * {@code A^T m A + bias} of one vector of tiles: 2 LANES numbers of the upper row of the outputs, and as many of the lower.
   *
   * @param m the 16 numbers of each, {@code step} floats apart
   */
  static void outputs(float[] m, int at, int step, float bias, float[] to, int upper, int lower) {
    outputRow(m, at, step, 1f, bias, to, upper);
    outputRow(m, at + 4 * step, step, -1f, bias, to, lower);
  }

  /** The row {@code (m_0 + sign m_1) + sign m_2} of the rows of m from {@code at} on, times A. */
  private static void outputRow(float[] m, int at, int step, float sign, float bias, float[] to, int out) {
    FloatVector s = FloatVector.broadcast(FLOATS, sign);
    FloatVector a0 = s.lanewise(FMA, fromArray(FLOATS, m, at + 4 * step), fromArray(FLOATS, m, at));
    a0 = s.lanewise(FMA, fromArray(FLOATS, m, at + 8 * step), a0);
    FloatVector a1 = s.lanewise(FMA, fromArray(FLOATS, m, at + 5 * step), fromArray(FLOATS, m, at + step));
    a1 = s.lanewise(FMA, fromArray(FLOATS, m, at + 9 * step), a1);
    FloatVector a2 = s.lanewise(FMA, fromArray(FLOATS, m, at + 6 * step), fromArray(FLOATS, m, at + 2 * step));
    a2 = s.lanewise(FMA, fromArray(FLOATS, m, at + 10 * step), a2);
    FloatVector a3 = s.lanewise(FMA, fromArray(FLOATS, m, at + 7 * step), fromArray(FLOATS, m, at + 3 * step));
    a3 = s.lanewise(FMA, fromArray(FLOATS, m, at + 11 * step), a3);
    IntVector even = a0.add(a1).add(a2).add(bias).reinterpretAsInts();
    IntVector odd = a1.sub(a2).sub(a3).add(bias).reinterpretAsInts();
    FIRST.selectFrom(even, odd).reinterpretAsFloats().intoArray(to, out);
    SECOND.selectFrom(even, odd).reinterpretAsFloats().intoArray(to, out + LANES);
  }
}
