package org.deft4j.tensor.internal;

import java.lang.ref.SoftReference;
import java.util.ArrayDeque;
import java.util.List;
import java.util.stream.IntStream;

/**
 * An array for packed panels on loan, so that a product allocates nothing it has had before: close it, and the next may have
 * it. There are few (some for each product under way) of at most 32 MiB; the garbage collector may take those that lie idle
 * when the heap is short.
 */
final class Buffer implements AutoCloseable {
  /**
   * Where packed panels start in their array. With {@code -XX:ObjectAlignmentInBytes=64} an array's elements begin 16 bytes after a cache
   * line, so that this one begins a line, and no vector of a panel lies across two.
   */
  static final int START = 12;

  /** Idle arrays of 2^i floats. */
  private static final List<ArrayDeque<SoftReference<float[]>>> IDLE =
      IntStream.range(0, 31).mapToObj(i -> new ArrayDeque<SoftReference<float[]>>()).toList();

  /** At least as many floats as were asked for, with anything in them. */
  final float[] floats;

  private Buffer(float[] floats) {
    this.floats = floats;
  }

  /** An array of at least so many floats. */
  static Buffer of(long count) {
    int size = sizeClass(count);
    ArrayDeque<SoftReference<float[]>> idle = IDLE.get(size);
    synchronized (idle) {
      while (!idle.isEmpty()) {
        float[] floats = idle.pollLast().get();
        if (floats != null) {
          return new Buffer(floats);
        }
      }
    }
    return new Buffer(new float[1 << size]);
  }

  private static int sizeClass(long count) {
    return count <= 1 ? 0 : 64 - Long.numberOfLeadingZeros(count - 1);
  }

  @Override
  public void close() {
    ArrayDeque<SoftReference<float[]>> idle = IDLE.get(sizeClass(floats.length));
    synchronized (idle) {
      idle.addLast(new SoftReference<>(floats));
    }
  }
}
