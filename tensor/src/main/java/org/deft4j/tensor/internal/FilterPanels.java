package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;

/**
 * The filters [O, C, taps] of a convolution as the left side of its input's gradient: a line for each channel c, which runs over
 * the filters o and, in each, over some of the taps.
 *
 * <p>Of one filter, the taps of neighbouring channels lie side by side. They are turned where they lie, all taps of a panel's channels
 * at once, and those that take part are copied to their rows:
 *
 * <pre>
 *   filter  [ a0 a1 a2  b0 b1 b2  c0 c1 c2 ... ]     tap 0  [ a0 b0 c0 ... ]
 *                                               ->   tap 1  [ a1 b1 c1 ... ]
 *                                                    tap 2  [ a2 b2 c2 ... ]
 * </pre>
 */
final class FilterPanels implements Panels {
  private static final int LANES = Simd.LANES;
  /** Filters whose channels are packed before the next ones are read. */
  static final int FILTERS = 8;
  /** Of filters with more taps than this each element is fetched by itself: no working memory is promised for them. */
  static final int MOST_TAPS = 64;

  private final MemorySegment memory;
  private final DType type;
  private final long offset;
  private final long channels;
  private final int size;
  private final int[] taps;

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
  }

  /** The lines of all channels, with all taps. */
  FilterPanels(MemorySegment memory, DType type, long offset, long channels, int size) {
    this(memory, type, offset, channels, size, IntStream.range(0, size).toArray());
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
      if (size <= MOST_TAPS) {
        turn(start, lines, room, pitch);
        copy(room, taps, first, end, to, at + j * pitch, pitch);
      } else {
        fetch(start, lines, first, end, to, at + j * pitch, pitch);
      }
      j += end - first;
    }
  }

  /**
   * Packs all taps of some filters, part by part: first the rows of the taps {@code parts[0]} of every filter, then those of
   * {@code parts[1]}, and so on, so that each part is the left side of a product.
   *
   * @param parts which taps make a part, ascending
   * @param filter the first filter of the block of {@code block} that is laid out from {@code at} on
   * @param first the first filter of the block that is packed now, up to {@code end}
   */
  void packParts(int[][] parts, long line, int lines, long filter, int first, int end, int block, float[] to, int at, int pitch,
      float[] room) {
    for (int i = first; i < end; i++) {
      turn(type.bytes() * (offset + ((filter + i) * channels + line) * size), lines, room, pitch);
      int start = at;
      for (int[] part : parts) {
        copy(room, part, 0, part.length, to, start + i * part.length * pitch, pitch);
        start += block * part.length * pitch;
      }
    }
  }

  /** Writes tap t of the lines that start at a byte of a filter to row t of {@code room}. */
  private void turn(long start, int lines, float[] room, int pitch) {
    // Squares are turned whole, where memory does not end before; what follows the taps becomes rows that nobody reads.
    int whole = Math.max(size, LANES);
    if (type == DType.F32) {
      boolean mayReadOn = start + Float.BYTES * ((lines - 1L) * size + whole) <= memory.byteSize();
      TransposeMemory.lines(memory, start, (long) Float.BYTES * size, lines, mayReadOn ? whole : size, room, 0, pitch);
    } else {
      int aside = whole * pitch;
      HalfFloats.copy(type, memory, start, lines * size, room, aside);
      Transpose.lines(room, aside, size, lines, whole, room, 0, pitch);
    }
  }

  private static void copy(float[] rows, int[] taps, int first, int end, float[] to, int at, int pitch) {
    for (int tap = first; tap < end; tap++) {
      for (int i = 0; i < pitch; i += LANES) {
        FloatVector.fromArray(Simd.FLOATS, rows, taps[tap] * pitch + i).intoArray(to, at + (tap - first) * pitch + i);
      }
    }
  }

  private void fetch(long start, int lines, int first, int end, float[] to, int at, int pitch) {
    for (int tap = first; tap < end; tap++) {
      for (int i = 0; i < lines; i++) {
        to[at + (tap - first) * pitch + i] = HalfFloats.get(type, memory, start + (long) type.bytes() * (i * size + taps[tap]));
      }
    }
  }
}
