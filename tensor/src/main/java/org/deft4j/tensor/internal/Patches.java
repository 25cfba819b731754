package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * The matrix that makes a convolution a product, without ever being stored: one row for each channel and tap of the kernel, one
 * column for each position where the kernel is laid down, the pictures of a batch one after another.
 *
 * <pre>
 *   row (c, t), column (n, p, q)  =  source[n, c, p strideH + down[t], q strideW + right[t]],   0 outside the picture
 * </pre>
 *
 * <p>Positions in one row of the grid read one row of the source: a run of them is copied at a time.
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

  /** The columns as lines of a product, which runs along the rows: the right side of a convolution and of its input's gradient. */
  Panels columns() {
    return (line, lines, k, depth, to, at, pitch, room) -> {
      int taps = down.length;
      for (int i = 0; i < lines;) {
        Run run = run(line + i, lines - i);
        long channel = k / taps;
        int tap = (int) (k % taps);
        for (int j = 0; j < depth; j++) {
          copy(run, channel, tap, to, at + j * pitch + i);
          if (++tap == taps) {
            tap = 0;
            channel++;
          }
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
          copy(run, (line + i) / down.length, (int) ((line + i) % down.length), room, i * depth + j);
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

  /** What one tap of one channel reads in a run. */
  private void copy(Run run, long channel, int tap, float[] to, int at) {
    int count = run.count;
    long row = run.row + down[tap];
    long column = run.column + right[tap];
    if (row < 0 || row >= height) {
      Arrays.fill(to, at, at + count, 0f);
      return;
    }
    long from = Float.BYTES * (run.start + (channel * height + row) * width + column);
    if (strideW != 1) {
      for (int i = 0; i < count; i++) {
        boolean inside = column + (long) i * strideW >= 0 && column + (long) i * strideW < width;
        to[at + i] = inside ? memory.get(Simd.F32, from + (long) Float.BYTES * i * strideW) : 0f;
      }
      return;
    }
    int first = Math.clamp(-column, 0, count);
    int end = Math.clamp(width - column, first, count);
    if (count >= Simd.LANES && from >= 0 && from + (long) Float.BYTES * count <= memory.byteSize()) {
      // Whole vectors, the last one moved back to end with the run; what they took from outside the row becomes 0.
      for (int i = 0; i < count; i += Simd.LANES) {
        int start = Math.min(i, count - Simd.LANES);
        Simd.load(memory, from + (long) Float.BYTES * start).intoArray(to, at + start);
      }
    } else {
      for (int i = first; i < end; i++) {
        to[at + i] = memory.get(Simd.F32, from + (long) Float.BYTES * i);
      }
    }
    for (int i = 0; i < first; i++) {
      to[at + i] = 0f;
    }
    for (int i = end; i < count; i++) {
      to[at + i] = 0f;
    }
  }
}
