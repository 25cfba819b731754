package org.deft4j.tensor;

import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.deft4j.tensor.internal.cuda.Card;
import org.deft4j.tensor.internal.cuda.Cuda;

/** One piece of memory from the system or a card, cut into {@link Block}s from its first byte to its last. */
final class Segment {
  /** Where the segments of a pool come from. */
  @FunctionalInterface
  interface Source {
    /**
     * One of so many bytes.
     *
     * @throws OutOfMemoryError if there is no more
     */
    Segment segment(FreeBlocks home, long number, long size);
  }

  private final FreeBlocks home;
  /** Tells segments of one pool apart, and orders them by age. */
  private final long number;
  private final long size;
  /** Null where this process cannot reach it. */
  private final MemorySegment memory;
  private final long address;
  private final Runnable giveBack;

  private Segment(FreeBlocks home, long number, long size, MemorySegment memory, long address, Runnable giveBack) {
    this.home = home;
    this.number = number;
    this.size = size;
    this.memory = memory;
    this.address = address;
    this.giveBack = giveBack;
  }

  /**
   * Memory of the operating system.
   *
   * @throws OutOfMemoryError if it has no more
   */
  static Segment ofSystem(FreeBlocks home, long number, long size) {
    Arena arena = Arena.ofShared();
    try {
      MemorySegment memory = arena.allocate(size, MemoryPool.ALIGNMENT);
      return new Segment(home, number, size, memory, memory.address(), arena::close);
    } catch (OutOfMemoryError e) {
      arena.close();
      throw e;
    }
  }

  /** A size, and no memory: for the accounts of a {@link Rehearsal}. */
  static Segment hollow(FreeBlocks home, long number, long size) {
    return new Segment(home, number, size, null, 0, () -> {});
  }

  /**
   * Memory of the card: addresses that only its kernels may follow.
   *
   * @throws OutOfMemoryError if it has no more
   */
  static Segment ofCard(FreeBlocks home, long number, long size) {
    Card card = Cuda.card();
    long address = card.allocate(size);
    return new Segment(home, number, size, null, address, () -> card.free(address));
  }

  /**
   * Memory of this process that the card reads by itself. Where the system locks no more, usual memory, which is copied from more slowly; it
   * is said in the log.
   *
   * @throws OutOfMemoryError if there is no more of that either
   */
  static Segment ofPinned(FreeBlocks home, long number, long size) {
    Card card = Cuda.card();
    MemorySegment memory;
    try {
      memory = card.allocatePinned(size);
    } catch (OutOfMemoryError _) {
      System.getLogger("org.deft4j.tensor").log(Level.WARNING, () -> "the system locks no " + MemoryPool.describe(size)
          + " of memory for the card, so weights go there from usual memory, more slowly; raise its limit (ulimit -l), or that of the container");
      return ofSystem(home, number, size);
    }
    return new Segment(home, number, size, memory, memory.address(), () -> card.freePinned(memory));
  }

  /** Where its free blocks are kept. */
  FreeBlocks home() {
    return home;
  }

  long number() {
    return number;
  }

  long size() {
    return size;
  }

  /** Where the first byte is, in this process's memory or the card's. */
  long address() {
    return address;
  }

  /** The bytes of a block; null where this process cannot reach them. */
  MemorySegment slice(long offset, long bytes) {
    return memory == null ? null : memory.asSlice(offset, bytes);
  }

  /** Gives the memory back. */
  void close() {
    giveBack.run();
  }
}
