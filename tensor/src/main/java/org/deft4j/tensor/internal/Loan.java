package org.deft4j.tensor.internal;

import java.lang.ref.SoftReference;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/**
 * An array for working memory, so that an operation allocates nothing it has had before: close it, and the next of the
 * same thread may have it. The garbage collector may take those that lie idle when the heap is short.
 *
 * @param array at least as long as was asked for, with anything in it
 * @param home where it lies when idle
 */
record Loan<A>(A array, Deque<SoftReference<A>> home) implements AutoCloseable {
  /** Idle arrays of one type. */
  static final class Shelf<A> {
    private final IntFunction<A> maker;
    /**
     * Those of 2^i numbers, kept for the thread that made them: what another one has written last would first have to come out of that
     * one's cache.
     */
    private final ThreadLocal<List<Deque<SoftReference<A>>>> idle =
        ThreadLocal.withInitial(() -> IntStream.range(0, 31).<Deque<SoftReference<A>>>mapToObj(i -> new ConcurrentLinkedDeque<>()).toList());

    Shelf(IntFunction<A> maker) {
      this.maker = maker;
    }

    /** An array of at least so many numbers. */
    Loan<A> take(long count) {
      int size = count <= 1 ? 0 : 64 - Long.numberOfLeadingZeros(count - 1);
      Deque<SoftReference<A>> home = idle.get().get(size);
      for (SoftReference<A> last = home.pollLast(); last != null; last = home.pollLast()) {
        A array = last.get();
        if (array != null) {
          return new Loan<>(array, home);
        }
      }
      return new Loan<>(maker.apply(1 << size), home);
    }
  }

  @Override
  public void close() {
    home.addLast(new SoftReference<>(array));
  }
}
