package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import org.deft4j.tensor.Tensor;

/**
 * The rows of one head of an F32 tensor [B, H, rows, D], wherever they lie: they are read from memory once, as they stand, and what
 * products want of them is laid out from there.
 *
 * @param start the first element, in elements
 * @param rowStep elements from one row to the next
 * @param step elements from one number of a row to the next
 * @param width numbers in a row
 */
record HeadRows(MemorySegment memory, long start, long rowStep, long step, int width) {
  /** Head {@code head} of B times H. */
  static HeadRows of(Tensor tensor, long head) {
    long[] steps = tensor.strides();
    long heads = tensor.size(1);
    long start = tensor.offset() + head / heads * steps[0] + head % heads * steps[1];
    return new HeadRows(tensor.memory(), start, steps[2], steps[3], Math.toIntExact(tensor.size(3)));
  }

  /** Floats from one row to the next where rows are read to: whole vectors. */
  static int pitch(int width) {
    return (width + Simd.LANES - 1) / Simd.LANES * Simd.LANES;
  }

  /** Writes rows {@code first .. first + count}, times {@code factor}, to {@code to} from {@code at} on, {@code pitch} floats each. */
  void read(long first, int count, float factor, float[] to, int at) {
    int pitch = pitch(width);
    long from = start + first * rowStep;
    if (step != 1 || width < Simd.LANES) {
      for (int i = 0; i < count; i++) {
        for (int d = 0; d < width; d++) {
          to[at + i * pitch + d] = memory.getAtIndex(Simd.F32, from + i * rowStep + d * step) * factor;
        }
      }
      return;
    }
    // A column of vectors at a time, the last one moved back to end with the rows: loops along single rows would be too short.
    for (int d = 0; d < width; d += Simd.LANES) {
      int column = Math.min(d, width - Simd.LANES);
      readColumn(memory, Float.BYTES * (from + column), Float.BYTES * rowStep, count, factor, to, at + column, pitch);
    }
  }

  private static void readColumn(MemorySegment memory, long from, long step, int count, float factor, float[] to, int at, int pitch) {
    for (int i = 0; i < count; i++) {
      Simd.load(memory, from + i * step).mul(factor).intoArray(to, at + i * pitch);
    }
  }
}
