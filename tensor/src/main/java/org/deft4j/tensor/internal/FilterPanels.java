package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import org.deft4j.tensor.DType;

/**
 * The filters [O, C, taps] of a convolution as the left side of its input's gradient: a line for each channel c, which runs over
 * the filters o and, in each, over some of the taps.
 *
 * @param offset elements before the first filter
 * @param channels C
 * @param size taps of a filter
 * @param taps those that take part, ascending
 */
record FilterPanels(MemorySegment memory, DType type, long offset, long channels, int size, int[] taps) implements Panels {
  @Override
  public void pack(long line, int lines, long k, int depth, float[] to, int at, int pitch, float[] room) {
    long filter = k / taps.length;
    int tap = (int) (k % taps.length);
    for (int j = 0; j < depth; j++) {
      long from = offset + (filter * channels + line) * size + taps[tap];
      int row = at + j * pitch;
      for (int i = 0; i < lines; i++) {
        to[row + i] = HalfFloats.get(type, memory, type.bytes() * (from + (long) i * size));
      }
      if (++tap == taps.length) {
        tap = 0;
        filter++;
      }
    }
  }
}
