package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.IntVector;

/**
 * {@link Transpose} of lines in memory: the same network a second time, since the compiler keeps its lines in registers only where they
 * always come from one kind of source. Packing a matrix that is read in place takes half the time of one that is first copied to an array.
 */
final class TransposeMemory {
  private static final int LANES = Simd.LANES;

  private TransposeMemory() {}

  /**
   * Writes element k of line i, the float at byte {@code start + i * step + 4 k}, to {@code to[at + k * pitch + i]}.
   *
   * @param pitch the length of a row; it holds whole vectors, so that what is written beyond the last line stays in it
   */
  static void lines(MemorySegment from, long start, long step, int lines, int depth, float[] to, int at, int pitch) {
    if (depth < LANES) {
      for (int i = 0; i < lines; i++) {
        for (int k = 0; k < depth; k++) {
          to[at + k * pitch + i] = from.get(Simd.F32, start + i * step + (long) Float.BYTES * k);
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
        square(from, start + i * step + (long) Float.BYTES * first, step, last, to, at + first * pitch + i, pitch);
      }
    }
  }

  private static IntVector line(MemorySegment from, long start, long step, int index) {
    return IntVector.fromMemorySegment(Simd.INTS, OffHeap.known(from), start + index * step, Simd.ORDER);
  }

  /** Line min(i, last), from byte {@code start + i * step}, becomes column i of the rows at {@code at}, {@code at + pitch}, .... */
  private static void square(MemorySegment from, long start, long step, int last, float[] to, int at, int pitch) {
    IntVector r0 = line(from, start, step, 0);
    IntVector r1 = line(from, start, step, Math.min(1, last));
    IntVector r2 = line(from, start, step, Math.min(2, last));
    IntVector r3 = line(from, start, step, Math.min(3, last));
    IntVector r4 = LANES > 4 ? line(from, start, step, Math.min(4, last)) : r0;
    IntVector r5 = LANES > 4 ? line(from, start, step, Math.min(5, last)) : r0;
    IntVector r6 = LANES > 4 ? line(from, start, step, Math.min(6, last)) : r0;
    IntVector r7 = LANES > 4 ? line(from, start, step, Math.min(7, last)) : r0;
    IntVector r8 = LANES > 8 ? line(from, start, step, Math.min(8, last)) : r0;
    IntVector r9 = LANES > 8 ? line(from, start, step, Math.min(9, last)) : r0;
    IntVector r10 = LANES > 8 ? line(from, start, step, Math.min(10, last)) : r0;
    IntVector r11 = LANES > 8 ? line(from, start, step, Math.min(11, last)) : r0;
    IntVector r12 = LANES > 8 ? line(from, start, step, Math.min(12, last)) : r0;
    IntVector r13 = LANES > 8 ? line(from, start, step, Math.min(13, last)) : r0;
    IntVector r14 = LANES > 8 ? line(from, start, step, Math.min(14, last)) : r0;
    IntVector r15 = LANES > 8 ? line(from, start, step, Math.min(15, last)) : r0;
    IntVector t;
    if (LANES > 8) {
      t = r0;
      r0 = Transpose.LOW8.selectFrom(t, r8);
      r8 = Transpose.HIGH8.selectFrom(t, r8);
      t = r1;
      r1 = Transpose.LOW8.selectFrom(t, r9);
      r9 = Transpose.HIGH8.selectFrom(t, r9);
      t = r2;
      r2 = Transpose.LOW8.selectFrom(t, r10);
      r10 = Transpose.HIGH8.selectFrom(t, r10);
      t = r3;
      r3 = Transpose.LOW8.selectFrom(t, r11);
      r11 = Transpose.HIGH8.selectFrom(t, r11);
      t = r4;
      r4 = Transpose.LOW8.selectFrom(t, r12);
      r12 = Transpose.HIGH8.selectFrom(t, r12);
      t = r5;
      r5 = Transpose.LOW8.selectFrom(t, r13);
      r13 = Transpose.HIGH8.selectFrom(t, r13);
      t = r6;
      r6 = Transpose.LOW8.selectFrom(t, r14);
      r14 = Transpose.HIGH8.selectFrom(t, r14);
      t = r7;
      r7 = Transpose.LOW8.selectFrom(t, r15);
      r15 = Transpose.HIGH8.selectFrom(t, r15);
    }
    if (LANES > 4) {
      t = r0;
      r0 = Transpose.LOW4.selectFrom(t, r4);
      r4 = Transpose.HIGH4.selectFrom(t, r4);
      t = r1;
      r1 = Transpose.LOW4.selectFrom(t, r5);
      r5 = Transpose.HIGH4.selectFrom(t, r5);
      t = r2;
      r2 = Transpose.LOW4.selectFrom(t, r6);
      r6 = Transpose.HIGH4.selectFrom(t, r6);
      t = r3;
      r3 = Transpose.LOW4.selectFrom(t, r7);
      r7 = Transpose.HIGH4.selectFrom(t, r7);
    }
    if (LANES > 8) {
      t = r8;
      r8 = Transpose.LOW4.selectFrom(t, r12);
      r12 = Transpose.HIGH4.selectFrom(t, r12);
      t = r9;
      r9 = Transpose.LOW4.selectFrom(t, r13);
      r13 = Transpose.HIGH4.selectFrom(t, r13);
      t = r10;
      r10 = Transpose.LOW4.selectFrom(t, r14);
      r14 = Transpose.HIGH4.selectFrom(t, r14);
      t = r11;
      r11 = Transpose.LOW4.selectFrom(t, r15);
      r15 = Transpose.HIGH4.selectFrom(t, r15);
    }
    t = r0;
    r0 = Transpose.LOW2.selectFrom(t, r2);
    r2 = Transpose.HIGH2.selectFrom(t, r2);
    t = r1;
    r1 = Transpose.LOW2.selectFrom(t, r3);
    r3 = Transpose.HIGH2.selectFrom(t, r3);
    if (LANES > 4) {
      t = r4;
      r4 = Transpose.LOW2.selectFrom(t, r6);
      r6 = Transpose.HIGH2.selectFrom(t, r6);
      t = r5;
      r5 = Transpose.LOW2.selectFrom(t, r7);
      r7 = Transpose.HIGH2.selectFrom(t, r7);
    }
    if (LANES > 8) {
      t = r8;
      r8 = Transpose.LOW2.selectFrom(t, r10);
      r10 = Transpose.HIGH2.selectFrom(t, r10);
      t = r9;
      r9 = Transpose.LOW2.selectFrom(t, r11);
      r11 = Transpose.HIGH2.selectFrom(t, r11);
      t = r12;
      r12 = Transpose.LOW2.selectFrom(t, r14);
      r14 = Transpose.HIGH2.selectFrom(t, r14);
      t = r13;
      r13 = Transpose.LOW2.selectFrom(t, r15);
      r15 = Transpose.HIGH2.selectFrom(t, r15);
    }
    t = r0;
    r0 = Transpose.LOW1.selectFrom(t, r1);
    r1 = Transpose.HIGH1.selectFrom(t, r1);
    t = r2;
    r2 = Transpose.LOW1.selectFrom(t, r3);
    r3 = Transpose.HIGH1.selectFrom(t, r3);
    if (LANES > 4) {
      t = r4;
      r4 = Transpose.LOW1.selectFrom(t, r5);
      r5 = Transpose.HIGH1.selectFrom(t, r5);
      t = r6;
      r6 = Transpose.LOW1.selectFrom(t, r7);
      r7 = Transpose.HIGH1.selectFrom(t, r7);
    }
    if (LANES > 8) {
      t = r8;
      r8 = Transpose.LOW1.selectFrom(t, r9);
      r9 = Transpose.HIGH1.selectFrom(t, r9);
      t = r10;
      r10 = Transpose.LOW1.selectFrom(t, r11);
      r11 = Transpose.HIGH1.selectFrom(t, r11);
      t = r12;
      r12 = Transpose.LOW1.selectFrom(t, r13);
      r13 = Transpose.HIGH1.selectFrom(t, r13);
      t = r14;
      r14 = Transpose.LOW1.selectFrom(t, r15);
      r15 = Transpose.HIGH1.selectFrom(t, r15);
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
