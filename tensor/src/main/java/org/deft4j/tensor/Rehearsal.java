package org.deft4j.tensor;

/**
 * A run of a program for its memory alone. While one is open, what its thread would put into the CPU's memory is made on
 * {@link Device#META}: every operation checks its shapes and makes its outputs, none is computed, and a pool without memory
 * keeps the accounts. So the program is its own estimate, with the same requests in the same order from the same
 * allocator. Elements that the program asks for are zeros; those it gives are dropped.
 *
 * <pre>{@code
 * try (Rehearsal rehearsal = Rehearsal.open()) {
 *   program.run();
 *   long bytes = rehearsal.pool().peakReservedBytes();
 * }
 * }</pre>
 */
public final class Rehearsal implements AutoCloseable {
  private static final ThreadLocal<Rehearsal> CURRENT = new ThreadLocal<>();

  private final MemoryPool pool = MemoryPool.withoutMemory();
  private final MemoryPool kept = MemoryPool.withoutMemory();
  private final boolean offloads;
  private long largestVisit;

  private Rehearsal(boolean offloads) {
    this.offloads = offloads;
  }

  /** Opens one on this thread, which has none. */
  public static Rehearsal open() {
    return open(false);
  }

  /**
   * Opens one on this thread, which has none.
   *
   * @param offloads whether the program is run with an {@link Offload}, which keeps its weights beside a card
   */
  public static Rehearsal open(boolean offloads) {
    if (CURRENT.get() != null) {
      throw new IllegalStateException("a rehearsal is already open on this thread");
    }
    Rehearsal rehearsal = new Rehearsal(offloads);
    CURRENT.set(rehearsal);
    return rehearsal;
  }

  /** Whether one is open on this thread. */
  public static boolean isOpen() {
    return CURRENT.get() != null;
  }

  /** The one that is open on this thread, or null. */
  static Rehearsal current() {
    return CURRENT.get();
  }

  /** The accounts. */
  public MemoryPool pool() {
    return pool;
  }

  /** The accounts of what an {@link Offload} keeps in the machine's memory, which {@link #pool} has nothing of. */
  public MemoryPool kept() {
    return kept;
  }

  /** Bytes that an {@link Offload}'s window must have for the operation that uses most of what is kept. */
  public long largestVisit() {
    return largestVisit;
  }

  boolean offloads() {
    return offloads;
  }

  /** An operation used so many bytes of what is kept. */
  void visited(long bytes) {
    largestVisit = Math.max(largestVisit, bytes);
  }

  /** Ends it; tensors made in it may still be closed. */
  @Override
  public void close() {
    if (CURRENT.get() == this) {
      CURRENT.remove();
    }
  }
}
