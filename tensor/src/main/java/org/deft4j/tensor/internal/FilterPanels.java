package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import org.deft4j.tensor.DType;

/**
 * The filters [O, C, taps] of a convolution as the left side of its input's gradient: a line for each channel c, which runs over
 * the filters o and, in each, over some of the taps.
 *
 * <p>Of one filter, the taps of neighbouring channels lie side by side; turned, each tap is a row with a lane for each channel, and lane i
 * of tap t is float {@code i size + t} of the stretch that holds them. A row is put together from the vectors of the stretch one after
 * another:
 *
 * <pre>
 *   3 taps   v0 = [ a0 a1 a2 b0 ]   v1 = [ b1 b2 c0 c1 ]   v2 = [ c2 d0 d1 d2 ]
 *   tap 1         [ a1 b1 c1 -  ] from v0 and v1, then [ a1 b1 c1 d1 ] from that and v2
 * </pre>
 */
final class FilterPanels implements Panels {
  private static final int LANES = Simd.LANES;
  /** Filters whose channels are packed before the next ones are read. */
  private static final int FILTERS = 8;
  /** Lines of the largest panel. */
  private static final int LINES = RegisterTile.HAS_WIDE ? RegisterTile.WIDE : RegisterTile.NARROW;
  /** In longer stretches a row has few lanes from each vector, and is picked one by one. */
  private static final int MOST_VECTORS = 8;

  private final MemorySegment memory;
  private final DType type;
  private final long offset;
  private final long channels;
  private final int size;
  private final int[] taps;
  /** Vectors of the stretch that holds the taps of all lines of a panel. */
  private final int vectors;
  /**
   * For each tap that takes part, and each vector of the stretch but the first: the lanes to take, of the row so far or, from LANES on, of the
   * vector. Empty where the lanes are picked one by one.
   */
  private final int[] lanes;

  /**
   * The lines of all channels.
   *
   * @param offset elements before the first filter
   * @param channels C
   * @param size taps of a filter, at least 2
   * @param taps those that take part, ascending
   */
  FilterPanels(MemorySegment memory, DType type, long offset, long channels, int size, int[] taps) {
    this.memory = memory;
    this.type = type;
    this.offset = offset;
    this.channels = channels;
    this.size = size;
    this.taps = taps;
    this.vectors = (LINES * size + LANES - 1) / LANES;
    // With shorter vectors a row has several, and is picked one by one too.
    boolean turns = vectors <= MOST_VECTORS && LINES <= LANES;
    this.lanes = turns ? lanes() : new int[0];
  }

  private int[] lanes() {
    int[] from = new int[taps.length * (vectors - 1) * LANES];
    int at = 0;
    for (int tap : taps) {
      for (int vector = 1; vector < vectors; vector++) {
        for (int lane = 0; lane < LANES; lane++, at++) {
          int source = lane < LINES ? lane * size + tap : 0;
          boolean here = source / LANES == vector;
          boolean first = vector == 1 && source < LANES;
          from[at] = here ? LANES + source % LANES : first ? source : lane;
        }
      }
    }
    return from;
  }

  /** The channels of all panels lie side by side in a filter. */
  @Override
  public int stretch() {
    return FILTERS * taps.length;
  }

  @Override
  public void pack(long line, int lines, long k, int depth, float[] to, int at, int pitch, float[] room) {
    for (int j = 0; j < depth;) {
      long filter = (k + j) / taps.length;
      int first = (int) ((k + j) % taps.length);
      int end = Math.min(taps.length, first + depth - j);
      long start = type.bytes() * (offset + (filter * channels + line) * size);
      // Whole vectors, where memory does not end before: what is stored in one piece is read again without delay.
      int whole = vectors * LANES;
      boolean mayReadOn = lanes.length > 0 && start + (long) type.bytes() * whole <= memory.byteSize();
      HalfFloats.copy(type, memory, start, mayReadOn ? whole : lines * size, room, 0);
      if (lanes.length > 0) {
        turn(room, first, end, to, at + j * pitch, pitch);
      } else {
        pick(room, first, end, lines, to, at + j * pitch, pitch);
      }
      j += end - first;
    }
  }

  /** The rows of the taps {@code first .. end}; lanes beyond the last line get what happens to follow it. */
  private void turn(float[] stretch, int first, int end, float[] to, int at, int pitch) {
    for (int tap = first; tap < end; tap++) {
      int inLanes = tap * (vectors - 1) * LANES;
      IntVector row = bits(stretch, 0);
      for (int vector = 1; vector < vectors; vector++, inLanes += LANES) {
        row = IntVector.fromArray(Simd.INTS, lanes, inLanes).selectFrom(row, bits(stretch, vector * LANES));
      }
      row.reinterpretAsFloats().intoArray(to, at + (tap - first) * pitch);
    }
  }

  private static IntVector bits(float[] floats, int at) {
    return FloatVector.fromArray(Simd.FLOATS, floats, at).reinterpretAsInts();
  }

  private void pick(float[] stretch, int first, int end, int lines, float[] to, int at, int pitch) {
    for (int tap = first; tap < end; tap++) {
      for (int i = 0; i < lines; i++) {
        to[at + (tap - first) * pitch + i] = stretch[i * size + taps[tap]];
      }
    }
  }
}
