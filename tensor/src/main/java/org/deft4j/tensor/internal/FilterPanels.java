package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
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
  /** So few taps are fetched one by one: turning brings all. */
  private static final int FEW = 2;
  /** Filters whose channels are packed before the next ones are read. */
  private static final int FILTERS = 8;

  /** The channels of all panels lie side by side in a filter. */
  @Override
  public int stretch() {
    return FILTERS * taps.length;
  }

  @Override
  public void pack(long line, int lines, long k, int depth, float[] to, int at, int pitch, float[] room) {
    // Of one filter, these channels lie side by side; they are turned at once, with a little of what follows them.
    int turned = Math.max(size, Simd.LANES);
    int aside = lines * size + Simd.LANES;
    if (aside + turned * pitch > room.length || taps.length <= FEW) {
      gather(line, lines, k, depth, to, at, pitch);
      return;
    }
    for (int j = 0; j < depth;) {
      long filter = (k + j) / taps.length;
      long start = offset + (filter * channels + line) * size;
      HalfFloats.copy(type, memory, type.bytes() * start, lines * size, room, 0);
      int first = (int) ((k + j) % taps.length);
      if (first == 0 && taps.length == size && j + turned <= depth) {
        // What is turned beyond the last tap is overwritten by the next filter.
        Transpose.lines(room, 0, size, lines, turned, to, at + j * pitch, pitch);
        j += size;
        continue;
      }
      Transpose.lines(room, 0, size, lines, turned, room, aside, pitch);
      for (int tap = first; tap < taps.length && j < depth; tap++, j++) {
        for (int i = 0; i < pitch; i += Simd.LANES) {
          FloatVector.fromArray(Simd.FLOATS, room, aside + taps[tap] * pitch + i).intoArray(to, at + j * pitch + i);
        }
      }
    }
  }

  private void gather(long line, int lines, long k, int depth, float[] to, int at, int pitch) {
    long filter = k / taps.length;
    int tap = (int) (k % taps.length);
    for (int j = 0; j < depth; j++) {
      long from = type.bytes() * (offset + (filter * channels + line) * size + taps[tap]);
      for (int i = 0; i < lines; i++) {
        to[at + j * pitch + i] = HalfFloats.get(type, memory, from + (long) i * size * type.bytes());
      }
      if (++tap == taps.length) {
        tap = 0;
        filter++;
      }
    }
  }
}
