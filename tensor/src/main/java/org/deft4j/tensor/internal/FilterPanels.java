package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;

/**
 * The filters [O, C, taps] of a convolution as the left side of its input's gradient: a line for each channel c, which runs over
 * the filters o and, in each, over some of the taps.
 *
 * <p>Of one filter, the taps of neighbouring channels lie side by side. Those of some filters are first put together channel by channel, with
 * little else between the reads, so that many of them wait for memory at a time; then all are turned:
 *
 * <pre>
 *   filter 0  [ a0 a1 a2  b0 b1 b2 ... ]        [ a0 a1 a2  a0 a1 a2 ... ]        filter 0, tap 0  [ a0 b0 ... ]
 *   filter 1  [ a0 a1 a2  b0 b1 b2 ... ]   ->   [ b0 b1 b2  b0 b1 b2 ... ]   ->   filter 0, tap 1  [ a1 b1 ... ]
 *             ...                               ...                               ...
 * </pre>
 */
final class FilterPanels implements Panels {
  private static final int LANES = Simd.LANES;
  /** Filters whose channels are packed before the next ones are read. */
  static final int FILTERS = 8;
  /** Of filters with more taps than this each element is fetched by itself: no working memory is promised for them. */
  static final int MOST_TAPS = 25;

  /** Floats from channel to channel where taps are gathered: those of all filters, and a vector that may be written beyond them. */
  private static final int GATHERED = FILTERS * MOST_TAPS + 16;
  /** Where rows are turned to in working memory, before those of some taps are copied. */
  private static final int TURNED = RegisterTile.WIDE * GATHERED;

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
  public void readAhead(long line, int lines, long k, int depth) {
    for (long filter = k / taps.length; filter * taps.length < k + depth; filter++) {
      ReadAhead.bring(memory, type.bytes() * (offset + (filter * channels + line) * size), (long) type.bytes() * lines * size);
    }
  }

  @Override
  public void pack(long line, int lines, long k, int depth, float[] to, int at, int pitch, float[] room) {
    if (size > MOST_TAPS) {
      fetch(line, lines, k, depth, to, at, pitch);
      return;
    }
    for (int j = 0; j < depth;) {
      long filter = (k + j) / taps.length;
      int first = (int) ((k + j) % taps.length);
      int count = Math.min(FILTERS * taps.length - first, depth - j);
      int filters = Math.ceilDiv(first + count, taps.length);
      gather(line, lines, filter, filters, room);
      if (taps.length == size) {
        Transpose.lines(room, first, GATHERED, lines, count, to, at + j * pitch, pitch);
      } else {
        Transpose.lines(room, 0, GATHERED, lines, filters * size, room, TURNED, pitch);
        copy(room, taps, first, first + count, to, at + j * pitch, pitch);
      }
      j += count;
    }
  }

  /**
   * Packs all taps of some filters, part by part: first the rows of the taps {@code parts[0]} of every filter, then those of
   * {@code parts[1]}, and so on, so that each part is the left side of a product.
   *
   * @param parts which taps make a part, ascending
   * @param filter the first filter of the block of {@code block} that is laid out from {@code at} on
   * @param first the first filter of the block that is packed now, up to {@code end}, at most FILTERS
   */
  void packParts(int[][] parts, long line, int lines, long filter, int first, int end, int block, float[] to, int at, int pitch,
      float[] room) {
    gather(line, lines, filter + first, end - first, room);
    Transpose.lines(room, 0, GATHERED, lines, (end - first) * size, room, TURNED, pitch);
    int start = at;
    for (int[] part : parts) {
      copy(room, part, 0, (end - first) * part.length, to, start + first * part.length * pitch, pitch);
      start += block * part.length * pitch;
    }
  }

  /** All taps of {@code count} filters, side by side for each channel. */
  private void gather(long line, int lines, long filter, int count, float[] room) {
    int bytes = type.bytes();
    int whole = Math.ceilDiv(size, LANES) * LANES;
    for (int i = 0; i < count; i++) {
      long start = bytes * (offset + ((filter + i) * channels + line) * size);
      boolean mayReadOn = start + bytes * ((lines - 1L) * size + whole) <= memory.byteSize();
      for (int tap = 0; tap < size; tap += LANES) {
        // What a vector holds beyond the taps is overwritten by the next filter.
        if (mayReadOn && type == DType.F32) {
          copyVectors(start + (long) Float.BYTES * tap, lines, room, i * size + tap);
        } else if (mayReadOn && type == DType.BF16) {
          copyHalves(start + (long) Short.BYTES * tap, lines, room, i * size + tap);
        } else {
          for (int c = 0; c < lines; c++) {
            HalfFloats.copy(type, memory, start + (long) bytes * (c * size + tap), Math.min(LANES, size - tap), room,
                c * GATHERED + i * size + tap);
          }
        }
      }
    }
  }

  private void copyVectors(long from, int lines, float[] to, int at) {
    for (int c = 0; c < lines; c++) {
      Simd.load(memory, from + (long) Float.BYTES * c * size).intoArray(to, at + c * GATHERED);
    }
  }

  /** From BF16. */
  private void copyHalves(long from, int lines, float[] to, int at) {
    for (int c = 0; c < lines; c++) {
      HalfFloats.bf16(memory, from + (long) Short.BYTES * c * size).intoArray(to, at + c * GATHERED);
    }
  }

  /** The rows {@code first .. end} of some taps of all filters that were turned. */
  private void copy(float[] rows, int[] some, int first, int end, float[] to, int at, int pitch) {
    for (int row = first; row < end; row++) {
      int from = TURNED + (row / some.length * size + some[row % some.length]) * pitch;
      for (int i = 0; i < pitch; i += LANES) {
        FloatVector.fromArray(Simd.FLOATS, rows, from + i).intoArray(to, at + (row - first) * pitch + i);
      }
    }
  }

  private void fetch(long line, int lines, long k, int depth, float[] to, int at, int pitch) {
    for (int j = 0; j < depth; j++) {
      long filter = (k + j) / taps.length;
      int tap = taps[(int) ((k + j) % taps.length)];
      for (int i = 0; i < lines; i++) {
        to[at + j * pitch + i] = HalfFloats.get(type, memory, type.bytes() * (offset + (filter * channels + line + i) * size + tap));
      }
    }
  }
}
