package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorOperators;
import org.deft4j.tensor.internal.ColumnMatrix.Block;

/**
 * Rows of a matrix to parts of columns in float64, and back, in squares of four by four: of lines i and i + h, where i lacks bit h, the
 * halves of every 2 h elements change places, for h = 2 and 1. The last square of a line is moved back to end with it, and so is the last of a
 * column.
 */
final class VectorTurns {
  private static final int SIDE = 4;
  /** For h = 2 and 1, where the lanes of the upper line and of the lower line come from; +4: the other line. */
  private static final LongVector LOW2 = lanes(0, 1, 4, 5);
  private static final LongVector HIGH2 = lanes(2, 3, 6, 7);
  private static final LongVector LOW1 = lanes(0, 4, 2, 6);
  private static final LongVector HIGH1 = lanes(1, 5, 3, 7);

  private static final ScalarReflectors PLAIN = new ScalarReflectors();

  private VectorTurns() {}

  private static LongVector lanes(long... from) {
    return LongVector.fromArray(LongVector.SPECIES_256, from, 0);
  }

  /** {@link ReflectorLoops#load}. */
  static void load(MemorySegment x, boolean single, long from, long pitch, Block a, int count) {
    if (!fits(a, count)) {
      PLAIN.load(x, single, from, pitch, a, count);
      return;
    }
    squares(x, single, from, pitch, a, count, true);
  }

  /** {@link ReflectorLoops#store}. */
  static void store(Block a, int count, MemorySegment x, boolean single, long to, long pitch) {
    if (!fits(a, count)) {
      PLAIN.store(a, count, x, single, to, pitch);
      return;
    }
    squares(x, single, to, pitch, a, count, false);
  }

  /** All squares, from the rows of x to columns where {@code loads}, otherwise back. */
  private static void squares(MemorySegment x, boolean single, long start, long pitch, Block a, int count, boolean loads) {
    long bytes = single ? Float.BYTES : Double.BYTES;
    for (int c = 0; c < a.columns(); c += SIDE) {
      int column = Math.min(c, a.columns() - SIDE);
      for (int i = 0; i < count; i += SIDE) {
        int row = Math.min(i, count - SIDE);
        long inRows = start + row * pitch + bytes * column;
        long inColumns = a.column(column) + (long) Double.BYTES * row;
        if (loads) {
          square(x, single, inRows, pitch, a.memory(), false, inColumns, a.pitch());
        } else {
          square(a.memory(), false, inColumns, a.pitch(), x, single, inRows, pitch);
        }
      }
    }
  }

  private static boolean fits(Block a, int count) {
    return Simd.BYTES >= SIDE * Double.BYTES && a.columns() >= SIDE && count >= SIDE;
  }

  /** Four lines of four numbers, F32 or F64, to four lines of one number of each. */
  private static void square(MemorySegment from, boolean narrow, long at, long pitch, MemorySegment to, boolean narrows, long target,
      long step) {
    LongVector r0 = narrow ? widened(from, at) : line(from, at);
    LongVector r1 = narrow ? widened(from, at + pitch) : line(from, at + pitch);
    LongVector r2 = narrow ? widened(from, at + 2 * pitch) : line(from, at + 2 * pitch);
    LongVector r3 = narrow ? widened(from, at + 3 * pitch) : line(from, at + 3 * pitch);
    LongVector s0 = LOW2.selectFrom(r0, r2);
    LongVector s1 = LOW2.selectFrom(r1, r3);
    LongVector s2 = HIGH2.selectFrom(r0, r2);
    LongVector s3 = HIGH2.selectFrom(r1, r3);
    r0 = LOW1.selectFrom(s0, s1);
    r1 = HIGH1.selectFrom(s0, s1);
    r2 = LOW1.selectFrom(s2, s3);
    r3 = HIGH1.selectFrom(s2, s3);
    if (narrows) {
      narrow(r0, to, target);
      narrow(r1, to, target + step);
      narrow(r2, to, target + 2 * step);
      narrow(r3, to, target + 3 * step);
    } else {
      store(r0, to, target);
      store(r1, to, target + step);
      store(r2, to, target + 2 * step);
      store(r3, to, target + 3 * step);
    }
  }

  private static LongVector line(MemorySegment memory, long at) {
    return LongVector.fromMemorySegment(LongVector.SPECIES_256, OffHeap.known(memory), at, Simd.ORDER);
  }

  private static void store(LongVector line, MemorySegment memory, long at) {
    line.intoMemorySegment(OffHeap.known(memory), at, Simd.ORDER);
  }

  private static LongVector widened(MemorySegment memory, long at) {
    return ((DoubleVector) FloatVector.fromMemorySegment(FloatVector.SPECIES_128, OffHeap.known(memory), at, Simd.ORDER)
        .convertShape(VectorOperators.F2D, DoubleVector.SPECIES_256, 0)).reinterpretAsLongs();
  }

  private static void narrow(LongVector line, MemorySegment memory, long at) {
    ((FloatVector) line.reinterpretAsDoubles().convertShape(VectorOperators.D2F, FloatVector.SPECIES_128, 0))
        .intoMemorySegment(OffHeap.known(memory), at, Simd.ORDER);
  }
}
