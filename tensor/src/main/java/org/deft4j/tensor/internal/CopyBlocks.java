package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How {@link StridedCopy} moves a piece of two dimensions, one element after the other; {@link VectorCopyBlocks} does it with
 * vectors. Addresses and steps count elements of {@code bytes} bytes.
 */
class CopyBlocks {
  /** Those of this process. */
  static CopyBlocks get() {
    return Holder.CHOSEN;
  }

  private static final class Holder {
    static final CopyBlocks CHOSEN = CpuKernels.haveVectors() ? new VectorCopyBlocks() : new CopyBlocks();
  }

  /** {@code count} runs of {@code length} elements side by side: run i from {@code a + i stepA} to {@code b + i stepB}. */
  void runs(MemorySegment read, long a, long stepA, MemorySegment write, long b, long stepB, long count, long length,
      int bytes) {
    for (long i = 0; i < count; i++) {
      MemorySegment.copy(read, (a + i * stepA) * bytes, write, (b + i * stepB) * bytes, length * bytes);
    }
  }

  /**
   * Turns lines into columns: element k of line i, at {@code a + i stepA + k}, goes to {@code b + k stepB + i}. At most {@link
   * StridedCopy#TILE} lines of as many elements.
   */
  void turn(MemorySegment read, long a, long stepA, MemorySegment write, long b, long stepB, int lines, int length,
      int bytes) {
    for (int k = 0; k < length; k++) {
      steps(read, a + k, stepA, write, b + k * stepB, 1, lines, bytes);
    }
  }

  /** {@code n} elements, from {@code a, a + stepA, ...} to {@code b, b + stepB, ...}. */
  static void steps(MemorySegment read, long a, long stepA, MemorySegment write, long b, long stepB, long n, int bytes) {
    switch (bytes) {
      case 8 -> {
        for (long i = 0; i < n; i++) {
          write.setAtIndex(ValueLayout.JAVA_LONG, b + i * stepB, read.getAtIndex(ValueLayout.JAVA_LONG, a + i * stepA));
        }
      }
      case 4 -> {
        for (long i = 0; i < n; i++) {
          write.setAtIndex(ValueLayout.JAVA_INT, b + i * stepB, read.getAtIndex(ValueLayout.JAVA_INT, a + i * stepA));
        }
      }
      case 2 -> {
        for (long i = 0; i < n; i++) {
          write.setAtIndex(ValueLayout.JAVA_SHORT, b + i * stepB,
              read.getAtIndex(ValueLayout.JAVA_SHORT, a + i * stepA));
        }
      }
      default -> {
        for (long i = 0; i < n; i++) {
          write.set(ValueLayout.JAVA_BYTE, b + i * stepB, read.get(ValueLayout.JAVA_BYTE, a + i * stepA));
        }
      }
    }
  }
}
