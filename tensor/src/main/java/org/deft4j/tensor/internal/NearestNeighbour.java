package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/**
 * Resampling of planes [H,W] to planes [H',W'] by nearest neighbour, and its adjoint, plane by plane. Row h' shows row {@code
 * rows[h']}, column w' column {@code columns[w']}; both ascend, so that a pixel's copies are neighbours.
 */
final class NearestNeighbour {
  /** Elements of a result that make a piece of work worth a thread. */
  private static final long GRAIN = 1 << 14;

  private final Tensor small;
  private final Tensor large;
  private final int[] rows;
  private final int[] columns;
  private final int height;
  private final int width;

  private NearestNeighbour(Tensor small, Tensor large) {
    this.small = small;
    this.large = large;
    height = Math.toIntExact(small.size(2));
    width = Math.toIntExact(small.size(3));
    rows = sources(height, large.size(2));
    columns = sources(width, large.size(3));
  }

  /** Between {@code source} [N,C,H,W] and {@code target} [N,C,H',W'], which may also be smaller. */
  static NearestNeighbour of(Tensor source, Tensor target) {
    return new NearestNeighbour(source, target);
  }

  /** {@code floor(target * in / out)}, in float32 as PyTorch has it. */
  private static int[] sources(int in, long out) {
    int[] from = new int[Math.toIntExact(out)];
    for (int i = 0; i < from.length; i++) {
      from[i] = (int) Math.min((long) Math.floor(i * ((float) in / out)), in - 1);
    }
    return from;
  }

  private long planes() {
    return small.size(0) * small.size(1);
  }

  private static long grain(Tensor of) {
    return Math.max(1, GRAIN / Math.max(1, of.size(2) * of.size(3)));
  }

  /** {@code target[h', w'] = source[rows[h'], columns[w']]}. */
  void upsample() {
    int bytes = small.dtype().bytes();
    MemorySegment from = small.bytes();
    MemorySegment to = large.bytes();
    long line = (long) columns.length * bytes;
    Parallel.forRange(planes(), grain(large), (first, last) -> {
      for (long plane = first; plane < last; plane++) {
        for (int h = 0; h < rows.length; h++) {
          long at = (plane * rows.length + h) * line;
          if (h > 0 && rows[h] == rows[h - 1]) {
            MemorySegment.copy(to, at - line, to, at, line);
          } else if (bytes == 4) {
            row32(from, (plane * height + rows[h]) * width, to, at / 4);
          } else {
            row64(from, (plane * height + rows[h]) * width, to, at / 8);
          }
        }
      }
    });
  }

  private void row32(MemorySegment from, long start, MemorySegment to, long at) {
    for (int w = 0; w < columns.length; w++) {
      to.setAtIndex(ValueLayout.JAVA_INT, at + w, from.getAtIndex(ValueLayout.JAVA_INT, start + columns[w]));
    }
  }

  private void row64(MemorySegment from, long start, MemorySegment to, long at) {
    for (int w = 0; w < columns.length; w++) {
      to.setAtIndex(ValueLayout.JAVA_LONG, at + w, from.getAtIndex(ValueLayout.JAVA_LONG, start + columns[w]));
    }
  }

  /** {@code dsource} from {@code dtarget}: each pixel's sum over its copies, row after row; 0 for a pixel without copies. */
  void gradient() {
    boolean f32 = small.dtype() == DType.F32;
    int[] firstRow = firsts(rows, height);
    int[] firstColumn = firsts(columns, width);
    Parallel.forRange(planes(), grain(large), (first, last) -> {
      for (long plane = first; plane < last; plane++) {
        for (int h = 0; h < height; h++) {
          long from = plane * rows.length * columns.length;
          long to = (plane * height + h) * width;
          if (f32) {
            sums(Floats.of(large), from, firstRow[h], firstRow[h + 1], firstColumn, Floats.of(small), to);
          } else {
            sums(Doubles.of(large), from, firstRow[h], firstRow[h + 1], firstColumn, Doubles.of(small), to);
          }
        }
      }
    });
  }

  /** For each source the first target that shows it or a later one; ends with the number of targets. */
  private static int[] firsts(int[] sources, int count) {
    int[] first = new int[count + 1];
    int target = 0;
    for (int i = 0; i <= count; i++) {
      while (target < sources.length && sources[target] < i) {
        target++;
      }
      first[i] = target;
    }
    return first;
  }

  private void sums(Floats dy, long plane, int top, int bottom, int[] firstColumn, Floats dx, long at) {
    if (columns.length == 2 * width && bottom == top + 2) {
      sumsOfFours(dy, plane + (long) top * columns.length, dx, at);
    } else {
      sumsOfAny(dy, plane, top, bottom, firstColumn, dx, at);
    }
  }

  /** The most frequent case, twice as high and as wide. */
  private void sumsOfFours(Floats dy, long row, Floats dx, long at) {
    long below = row + columns.length;
    for (int w = 0; w < width; w++) {
      int k = 2 * w;
      dx.set(at + w, ((0f + dy.get(row + k) + dy.get(row + k + 1)) + dy.get(below + k)) + dy.get(below + k + 1));
    }
  }

  private void sumsOfAny(Floats dy, long plane, int top, int bottom, int[] firstColumn, Floats dx, long at) {
    for (int w = 0; w < width; w++) {
      float sum = 0f;
      for (int h = top; h < bottom; h++) {
        long row = plane + (long) h * columns.length;
        for (int k = firstColumn[w]; k < firstColumn[w + 1]; k++) {
          sum += dy.get(row + k);
        }
      }
      dx.set(at + w, sum);
    }
  }

  private void sums(Doubles dy, long plane, int top, int bottom, int[] firstColumn, Doubles dx, long at) {
    for (int w = 0; w < width; w++) {
      double sum = 0;
      for (int h = top; h < bottom; h++) {
        long row = plane + (long) h * columns.length;
        for (int k = firstColumn[w]; k < firstColumn[w + 1]; k++) {
          sum += dy.get(row + k);
        }
      }
      dx.set(at + w, sum);
    }
  }
}
