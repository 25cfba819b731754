package org.deft4j.tensor;

/** How many threads the CPU kernels use. The results do not depend on it, to the bit. */
public final class Threads {
  private static volatile int count = initial();

  private Threads() {}

  /** The number of threads in use; by default one per processor, or {@code -Ddeft4j.threads}. */
  public static int count() {
    return count;
  }

  /** Sets the number of threads. */
  public static void set(int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("threads: " + threads + ", at least 1 is needed");
    }
    count = threads;
  }

  private static int initial() {
    int given = Integer.getInteger("deft4j.threads", 0);
    return given > 0 ? given : Runtime.getRuntime().availableProcessors();
  }
}
