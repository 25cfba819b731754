package org.deft4j.tensor.internal;

import java.lang.ref.SoftReference;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.stream.IntStream;

/**
 * An array for packed panels on loan, so that a product allocates nothing it has had before: close it, and the next of the
 * same thread may have it. There are few (some for each thread at work on a product) of at most 32 MiB; the garbage collector may take those that lie idle
 * when the heap is short.
 */
final class Buffer implements AutoCloseable {
  /**
   * Where packed panels start in their array. With {@code -XX:ObjectAlignmentInBytes=64} an array's elements begin 16 bytes after a cache
   * line, so that this one begins a line, and no vector of a panel lies across two.
   */
  static final int START = 12;

  /**
   * Idle arrays of 2^i floats, kept for the thread that made them: what another one has written last would first have to come out of that
   * one's cache.
   */
  private static final ThreadLocal<List<Deque<SoftReference<float[]>>>> IDLE = ThreadLocal.withInitial(
      () -> IntStream.range(0, 31).<Deque<SoftReference<float[]>>>mapToObj(i -> new ConcurrentLinkedDeque<>()).toList());

  /** At least as many floats as were asked for, with anything in them. */
  final float[] floats;

  /** Where it lies when idle. */
  private final Deque<SoftReference<float[]>> home;

  private Buffer(float[] floats, Deque<SoftReference<float[]>> home) {
    this.floats = floats;
    this.home = home;
  }

  /** An array of at least so many floats. */
  static Buffer of(long count) {
    int size = sizeClass(count);
    Deque<SoftReference<float[]>> idle = IDLE.get().get(size);
    for (SoftReference<float[]> last = idle.pollLast(); last != null; last = idle.pollLast()) {
      float[] floats = last.get();
      if (floats != null) {
        return new Buffer(floats, idle);
      }
    }
    return new Buffer(new float[1 << size], idle);
  }

  private static int sizeClass(long count) {
    return count <= 1 ? 0 : 64 - Long.numberOfLeadingZeros(count - 1);
  }

  @Override
  public void close() {
    home.addLast(new SoftReference<>(floats));
  }
}
