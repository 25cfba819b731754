package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import org.deft4j.tensor.DType;

/**
 * A matrix in memory as one side of a product. Element (line, k) is at {@code start(line) + k kStep}; the lines may be
 * the rows of several matrices, one after another.
 *
 * @param offset the first element, in elements
 * @param sizes the dimensions whose product is the number of lines, outermost first
 * @param steps elements from one index to the next of each
 * @param kStep elements from one k to the next
 */
record MatrixPanels(MemorySegment memory, DType type, long offset, long[] sizes, long[] steps, long kStep)
    implements Panels {
  /** Elements of a line that are copied before they are turned. */
  private static final int STRETCH = 512;
  /** Rows of adjacent lines that are read at a time. */
  private static final int ROWS = 32;

  /** Neighbouring dimensions that one step walks through become one dimension. */
  MatrixPanels {
    int last = 0;
    long[] mergedSizes = new long[Math.max(1, sizes.length)];
    long[] mergedSteps = new long[mergedSizes.length];
    mergedSizes[0] = 1;
    for (int i = 0; i < sizes.length; i++) {
      if (sizes[i] == 1) {
        continue;
      }
      if (mergedSizes[last] == 1 || mergedSteps[last] == sizes[i] * steps[i]) {
        mergedSizes[last] *= sizes[i];
      } else {
        mergedSizes[++last] = sizes[i];
      }
      mergedSteps[last] = steps[i];
    }
    sizes = java.util.Arrays.copyOf(mergedSizes, last + 1);
    steps = java.util.Arrays.copyOf(mergedSteps, last + 1);
  }

  /** A matrix of {@code lines} lines. */
  static MatrixPanels of(MemorySegment memory, DType type, long offset, long lines, long lineStep, long kStep) {
    return new MatrixPanels(memory, type, offset, new long[] {lines}, new long[] {lineStep}, kStep);
  }

  /** In elements. */
  private long start(long line) {
    long at = offset;
    long rest = line;
    for (int i = sizes.length - 1; i > 0; i--) {
      at += rest % sizes[i] * steps[i];
      rest /= sizes[i];
    }
    return at + rest * steps[0];
  }

  /** Whether these lines lie one step apart, {@code steps[last]}. */
  private boolean areEven(long line, int lines) {
    int inner = sizes.length - 1;
    return line % sizes[inner] + lines <= sizes[inner];
  }

  @Override
  public int stretch() {
    return kStep == 1 ? Integer.MAX_VALUE : ROWS;
  }

  @Override
  public void readAhead(long line, int lines, long k, int depth) {
    for (int i = 0; i < lines && kStep == 1; i++) {
      ReadAhead.bring(memory, (start(line + i) + k) * type.bytes(), (long) depth * type.bytes());
    }
  }

  @Override
  public void pack(long line, int lines, long k, int depth, float[] to, int at, int pitch, float[] room) {
    int bytes = type.bytes();
    long step = steps[steps.length - 1];
    if (step == 1 && areEven(line, lines)) {
      copyRows((start(line) + k * kStep) * bytes, kStep * bytes, lines, depth, to, at, pitch);
      return;
    }
    if (kStep == 1 && type == DType.F32 && areEven(line, lines)) {
      TransposeMemory.lines(memory, bytes * (start(line) + k), bytes * step, lines, depth, to, at, pitch);
      return;
    }
    if (kStep == 1) {
      // Other types, and lines of several matrices, are read to an array first, a stretch of every line at a time.
      for (int j = 0; j < depth; j += STRETCH) {
        int count = Math.min(STRETCH, depth - j);
        for (int i = 0; i < lines; i++) {
          HalfFloats.copy(type, memory, (start(line + i) + k + j) * bytes, count, room, i * count);
        }
        Transpose.lines(room, 0, count, lines, count, to, at + j * pitch, pitch);
      }
      return;
    }
    for (int i = 0; i < lines; i++) {
      long from = (start(line + i) + k * kStep) * bytes;
      for (int j = 0; j < depth; j++) {
        to[at + j * pitch + i] = HalfFloats.get(type, memory, from + j * kStep * bytes);
      }
    }
  }

  /** Lines side by side in memory: each k is a short copy, of whole vectors where memory does not end before. */
  private void copyRows(long from, long fromStep, int lines, int depth, float[] to, int at, int pitch) {
    int whole = (lines + Simd.LANES - 1) / Simd.LANES * Simd.LANES;
    boolean mayReadOn = from + (depth - 1L) * fromStep + (long) whole * type.bytes() <= memory.byteSize();
    if (mayReadOn && type != DType.F16) {
      for (int i = 0; i < whole; i += Simd.LANES) {
        if (type == DType.F32) {
          copyVectors(from + (long) i * Float.BYTES, fromStep, depth, to, at + i, pitch);
        } else {
          copyHalves(from + (long) i * Short.BYTES, fromStep, depth, to, at + i, pitch);
        }
      }
      return;
    }
    for (int k = 0; k < depth; k++) {
      HalfFloats.copy(type, memory, from + k * fromStep, mayReadOn ? whole : lines, to, at + k * pitch);
    }
  }

  private void copyVectors(long from, long fromStep, int depth, float[] to, int at, int pitch) {
    for (int k = 0; k < depth; k++) {
      Simd.load(memory, from + k * fromStep).intoArray(to, at + k * pitch);
    }
  }

  /** From BF16. */
  private void copyHalves(long from, long fromStep, int depth, float[] to, int at, int pitch) {
    for (int k = 0; k < depth; k++) {
      HalfFloats.bf16(memory, from + k * fromStep).intoArray(to, at + k * pitch);
    }
  }
}
