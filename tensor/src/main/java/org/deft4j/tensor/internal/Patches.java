package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;

/**
 * The matrix that makes a convolution a product, without ever being stored: one row for each channel and tap of the kernel, one
 * column for each position where the kernel is laid down, the pictures of a batch one after another.
 *
 * <pre>
 *   row (c, t), column (n, p, q)  =  source[n, c, p strideH + down[t], q strideW + right[t]],   0 outside the picture
 * </pre>
 *
 * <p>Positions in one row of the grid read one row of the source: a run of them is copied at a time, for all channels of a tap.
 *
 * @param memory the pictures
 * @param offset elements before the first channel of the first picture
 * @param imageStep elements from picture to picture
 * @param height rows of the source
 * @param width columns of the source
 * @param gridHeight rows of positions
 * @param gridWidth columns of positions
 * @param strideH rows of the source from position to position
 * @param strideW columns of the source from position to position
 * @param down rows from a position to each tap
 * @param right columns from a position to each tap
 */
record Patches(MemorySegment memory, long offset, long imageStep, long height, long width, long gridHeight, long gridWidth,
    int strideH, int strideW, long[] down, long[] right) {

  private static final int LANES = Simd.LANES;
  /** Of two vectors, every second lane. */
  private static final IntVector EVEN = IntVector.broadcast(Simd.INTS, 0).addIndex(2);

  /** The columns as lines of a product, which runs along the rows: the right side of a convolution and of its input's gradient. */
  Panels columns() {
    return (line, lines, k, depth, to, at, pitch, room) -> {
      int taps = down.length;
      for (int i = 0; i < lines;) {
        Run run = run(line + i, lines - i);
        for (int tap = 0; tap < taps; tap++) {
          // The rows of this tap: one for each channel.
          int first = (int) Math.floorMod(tap - k, (long) taps);
          int channels = (depth - first + taps - 1) / taps;
          copy(run, (k + first) / taps, tap, channels, to, at + first * pitch + i, taps * pitch);
        }
        i += run.count;
      }
    };
  }

  /** The rows as lines of a product, which runs along the positions: both sides of the gradient of the weights. */
  Panels rows() {
    return (line, lines, k, depth, to, at, pitch, room) -> {
      for (int j = 0; j < depth;) {
        Run run = run(k + j, depth - j);
        for (int i = 0; i < lines; i++) {
          copy(run, (line + i) / down.length, (int) ((line + i) % down.length), 1, room, i * depth + j, 0);
        }
        j += run.count;
      }
      Transpose.lines(room, 0, depth, lines, depth, to, at, pitch);
    };
  }

  /** Positions side by side: what a tap at (0, 0) of channel 0 reads begins at row, column of the picture at {@code start}. */
  private record Run(long start, long row, long column, int count) {}

  /** The first of {@code count} positions and those after it in the same row of the grid. */
  private Run run(long position, int count) {
    long q = position % gridWidth;
    long p = position / gridWidth;
    return new Run(offset + p / gridHeight * imageStep, p % gridHeight * strideH, q * strideW,
        (int) Math.min(count, gridWidth - q));
  }

  /** What one tap reads in a run, of so many channels from one on; {@code step} floats from channel to channel in {@code to}. */
  private void copy(Run run, long channel, int tap, int channels, float[] to, int at, int step) {
    long row = run.row + down[tap];
    long column = run.column + right[tap];
    if (row < 0 || row >= height) {
      for (int c = 0; c < channels; c++) {
        Arrays.fill(to, at + c * step, at + c * step + run.count, 0f);
      }
      return;
    }
    long from = Float.BYTES * (run.start + (channel * height + row) * width + column);
    long plane = Float.BYTES * height * width;
    // The positions first .. end lie inside the row.
    int first = Math.clamp((-column + strideW - 1) / strideW, 0, run.count);
    int end = Math.clamp((width - column + strideW - 1) / strideW, first, run.count);
    if (strideW == 1) {
      copySideBySide(from, plane, first, end, run.count, channels, to, at, step);
    } else if (strideW == 2) {
      copyEverySecond(from, plane, first, end, run.count, channels, to, at, step);
    } else {
      for (int c = 0; c < channels; c++) {
        copyOneByOne(from + c * plane, first, end, 0, run.count, to, at + c * step);
      }
    }
  }

  /** Positions {@code i .. count}: those from {@code first} to {@code end} are read, the others 0. */
  private void copyOneByOne(long from, int first, int end, int i, int count, float[] to, int at) {
    for (int j = i; j < count; j++) {
      to[at + j] = j >= first && j < end ? memory.get(Simd.F32, from + (long) Float.BYTES * j * strideW) : 0f;
    }
  }

  private void copySideBySide(long from, long plane, int first, int end, int count, int channels, float[] to, int at, int step) {
    for (int i = 0; i < count; i += LANES) {
      long source = from + (long) Float.BYTES * i;
      if (i + LANES <= count && i >= first && i + LANES <= end) {
        for (int c = 0; c < channels; c++) {
          Simd.load(memory, source + c * plane).intoArray(to, at + i + c * step);
        }
        continue;
      }
      VectorMask<Float> inside = Simd.FLOATS.indexInRange(0, end - i).andNot(Simd.FLOATS.indexInRange(0, first - i));
      VectorMask<Float> written = Simd.FLOATS.indexInRange(0, count - i);
      for (int c = 0; c < channels; c++) {
        FloatVector.fromMemorySegment(Simd.FLOATS, OffHeap.known(memory), source + c * plane, Simd.ORDER, inside)
            .intoArray(to, at + i + c * step, written);
      }
    }
  }

  private void copyEverySecond(long from, long plane, int first, int end, int count, int channels, float[] to, int at, int step) {
    for (int i = 0; i < count; i += LANES) {
      long source = from + 2L * Float.BYTES * i;
      // The second vector ends one beyond the last position that is read.
      boolean whole = i + LANES <= count && i >= first && i + LANES <= end
          && source + (channels - 1) * plane + 2L * Simd.BYTES <= memory.byteSize();
      if (!whole) {
        for (int c = 0; c < channels; c++) {
          copyOneByOne(from + c * plane, first, end, i, Math.min(i + LANES, count), to, at + c * step);
        }
        continue;
      }
      for (int c = 0; c < channels; c++) {
        IntVector low = Simd.load(memory, source + c * plane).reinterpretAsInts();
        IntVector high = Simd.load(memory, source + c * plane + Simd.BYTES).reinterpretAsInts();
        EVEN.selectFrom(low, high).reinterpretAsFloats().intoArray(to, at + i + c * step);
      }
    }
  }
}
