package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * Turns LANES lines of LANES elements each, wherever the lines start, into LANES rows that hold one element of every line.
 *
 * <p>Element (i, k) goes to (k, i) by exchanging one bit of i with the same bit of k at a time: lines i and i + h, of which i
 * lacks bit h, swap the halves of every 2 h elements. 16 lanes take the steps h = 8, 4, 2, 1; shorter vectors start at
 * their half. The elements are moved as integers, whose shuffle of two vectors is one instruction where there is one.
 */
final class Transpose {
  private static final int LANES = Simd.LANES;

  /** For each step, where the lanes of the upper line (LOW) and of the lower line (HIGH) come from; +LANES: the other. */
  static final IntVector LOW8 = low(8);
  static final IntVector HIGH8 = high(8);
  static final IntVector LOW4 = low(4);
  static final IntVector HIGH4 = high(4);
  static final IntVector LOW2 = low(2);
  static final IntVector HIGH2 = high(2);
  static final IntVector LOW1 = low(1);
  static final IntVector HIGH1 = high(1);

  private Transpose() {}

  private static IntVector low(int h) {
    int[] from = new int[LANES];
    java.util.Arrays.setAll(from, lane -> (lane & h) == 0 ? lane : LANES + (lane ^ h));
    return IntVector.fromArray(Simd.INTS, from, 0);
  }

  private static IntVector high(int h) {
    int[] from = new int[LANES];
    java.util.Arrays.setAll(from, lane -> (lane & h) == 0 ? (lane | h) % LANES : LANES + lane);
    return IntVector.fromArray(Simd.INTS, from, 0);
  }

  /**
   * Writes element k of line i, which is {@code from[start + i * length + k]}, to {@code to[at + k * pitch + i]}.
   *
   * @param pitch the length of a row; it holds whole vectors, so that what is written beyond the last line stays in it
   */
  static void lines(float[] from, int start, int length, int lines, int depth, float[] to, int at, int pitch) {
    if (depth < LANES) {
      for (int i = 0; i < lines; i++) {
        for (int k = 0; k < depth; k++) {
          to[at + k * pitch + i] = from[start + i * length + k];
        }
      }
      return;
    }
    for (int i = 0; i < lines; i += LANES) {
      // Beyond the last line the last is repeated.
      int last = Math.min(LANES, lines - i) - 1;
      for (int k = 0; k < depth; k += LANES) {
        // The last square is moved back to end with the lines, and writes some rows a second time.
        int first = Math.min(k, depth - LANES);
        square(from, start + i * length + first, length, last, to, at + first * pitch + i, pitch);
      }
    }
  }

  private static IntVector line(float[] from, int start, int length, int index) {
    return FloatVector.fromArray(Simd.FLOATS, from, start + index * length).reinterpretAsInts();
  }

  /** Line min(i, last), from {@code start + i * length}, becomes column i of the rows at {@code at}, {@code at + pitch}, .... */
  private static void square(float[] from, int start, int length, int last, float[] to, int at, int pitch) {
    IntVector r0 = line(from, start, length, 0);
    IntVector r1 = line(from, start, length, Math.min(1, last));
    IntVector r2 = line(from, start, length, Math.min(2, last));
    IntVector r3 = line(from, start, length, Math.min(3, last));
    IntVector r4 = LANES > 4 ? line(from, start, length, Math.min(4, last)) : r0;
    IntVector r5 = LANES > 4 ? line(from, start, length, Math.min(5, last)) : r0;
    IntVector r6 = LANES > 4 ? line(from, start, length, Math.min(6, last)) : r0;
    IntVector r7 = LANES > 4 ? line(from, start, length, Math.min(7, last)) : r0;
    IntVector r8 = LANES > 8 ? line(from, start, length, Math.min(8, last)) : r0;
    IntVector r9 = LANES > 8 ? line(from, start, length, Math.min(9, last)) : r0;
    IntVector r10 = LANES > 8 ? line(from, start, length, Math.min(10, last)) : r0;
    IntVector r11 = LANES > 8 ? line(from, start, length, Math.min(11, last)) : r0;
    IntVector r12 = LANES > 8 ? line(from, start, length, Math.min(12, last)) : r0;
    IntVector r13 = LANES > 8 ? line(from, start, length, Math.min(13, last)) : r0;
    IntVector r14 = LANES > 8 ? line(from, start, length, Math.min(14, last)) : r0;
    IntVector r15 = LANES > 8 ? line(from, start, length, Math.min(15, last)) : r0;
    IntVector t;
    if (LANES > 8) {
      t = r0;
      r0 = LOW8.selectFrom(t, r8);
      r8 = HIGH8.selectFrom(t, r8);
      t = r1;
      r1 = LOW8.selectFrom(t, r9);
      r9 = HIGH8.selectFrom(t, r9);
      t = r2;
      r2 = LOW8.selectFrom(t, r10);
      r10 = HIGH8.selectFrom(t, r10);
      t = r3;
      r3 = LOW8.selectFrom(t, r11);
      r11 = HIGH8.selectFrom(t, r11);
      t = r4;
      r4 = LOW8.selectFrom(t, r12);
      r12 = HIGH8.selectFrom(t, r12);
      t = r5;
      r5 = LOW8.selectFrom(t, r13);
      r13 = HIGH8.selectFrom(t, r13);
      t = r6;
      r6 = LOW8.selectFrom(t, r14);
      r14 = HIGH8.selectFrom(t, r14);
      t = r7;
      r7 = LOW8.selectFrom(t, r15);
      r15 = HIGH8.selectFrom(t, r15);
    }
    if (LANES > 4) {
      t = r0;
      r0 = LOW4.selectFrom(t, r4);
      r4 = HIGH4.selectFrom(t, r4);
      t = r1;
      r1 = LOW4.selectFrom(t, r5);
      r5 = HIGH4.selectFrom(t, r5);
      t = r2;
      r2 = LOW4.selectFrom(t, r6);
      r6 = HIGH4.selectFrom(t, r6);
      t = r3;
      r3 = LOW4.selectFrom(t, r7);
      r7 = HIGH4.selectFrom(t, r7);
    }
    if (LANES > 8) {
      t = r8;
      r8 = LOW4.selectFrom(t, r12);
      r12 = HIGH4.selectFrom(t, r12);
      t = r9;
      r9 = LOW4.selectFrom(t, r13);
      r13 = HIGH4.selectFrom(t, r13);
      t = r10;
      r10 = LOW4.selectFrom(t, r14);
      r14 = HIGH4.selectFrom(t, r14);
      t = r11;
      r11 = LOW4.selectFrom(t, r15);
      r15 = HIGH4.selectFrom(t, r15);
    }
    t = r0;
    r0 = LOW2.selectFrom(t, r2);
    r2 = HIGH2.selectFrom(t, r2);
    t = r1;
    r1 = LOW2.selectFrom(t, r3);
    r3 = HIGH2.selectFrom(t, r3);
    if (LANES > 4) {
      t = r4;
      r4 = LOW2.selectFrom(t, r6);
      r6 = HIGH2.selectFrom(t, r6);
      t = r5;
      r5 = LOW2.selectFrom(t, r7);
      r7 = HIGH2.selectFrom(t, r7);
    }
    if (LANES > 8) {
      t = r8;
      r8 = LOW2.selectFrom(t, r10);
      r10 = HIGH2.selectFrom(t, r10);
      t = r9;
      r9 = LOW2.selectFrom(t, r11);
      r11 = HIGH2.selectFrom(t, r11);
      t = r12;
      r12 = LOW2.selectFrom(t, r14);
      r14 = HIGH2.selectFrom(t, r14);
      t = r13;
      r13 = LOW2.selectFrom(t, r15);
      r15 = HIGH2.selectFrom(t, r15);
    }
    t = r0;
    r0 = LOW1.selectFrom(t, r1);
    r1 = HIGH1.selectFrom(t, r1);
    t = r2;
    r2 = LOW1.selectFrom(t, r3);
    r3 = HIGH1.selectFrom(t, r3);
    if (LANES > 4) {
      t = r4;
      r4 = LOW1.selectFrom(t, r5);
      r5 = HIGH1.selectFrom(t, r5);
      t = r6;
      r6 = LOW1.selectFrom(t, r7);
      r7 = HIGH1.selectFrom(t, r7);
    }
    if (LANES > 8) {
      t = r8;
      r8 = LOW1.selectFrom(t, r9);
      r9 = HIGH1.selectFrom(t, r9);
      t = r10;
      r10 = LOW1.selectFrom(t, r11);
      r11 = HIGH1.selectFrom(t, r11);
      t = r12;
      r12 = LOW1.selectFrom(t, r13);
      r13 = HIGH1.selectFrom(t, r13);
      t = r14;
      r14 = LOW1.selectFrom(t, r15);
      r15 = HIGH1.selectFrom(t, r15);
    }
    r0.reinterpretAsFloats().intoArray(to, at + 0 * pitch);
    r1.reinterpretAsFloats().intoArray(to, at + 1 * pitch);
    r2.reinterpretAsFloats().intoArray(to, at + 2 * pitch);
    r3.reinterpretAsFloats().intoArray(to, at + 3 * pitch);
    if (LANES > 4) {
      r4.reinterpretAsFloats().intoArray(to, at + 4 * pitch);
      r5.reinterpretAsFloats().intoArray(to, at + 5 * pitch);
      r6.reinterpretAsFloats().intoArray(to, at + 6 * pitch);
      r7.reinterpretAsFloats().intoArray(to, at + 7 * pitch);
    }
    if (LANES > 8) {
      r8.reinterpretAsFloats().intoArray(to, at + 8 * pitch);
      r9.reinterpretAsFloats().intoArray(to, at + 9 * pitch);
      r10.reinterpretAsFloats().intoArray(to, at + 10 * pitch);
      r11.reinterpretAsFloats().intoArray(to, at + 11 * pitch);
      r12.reinterpretAsFloats().intoArray(to, at + 12 * pitch);
      r13.reinterpretAsFloats().intoArray(to, at + 13 * pitch);
      r14.reinterpretAsFloats().intoArray(to, at + 14 * pitch);
      r15.reinterpretAsFloats().intoArray(to, at + 15 * pitch);
    }
  }
}
