package org.deft4j.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** One piece of memory from the system, cut into {@link Block}s from its first byte to its last. */
final class Segment {
  private final FreeBlocks home;
  /** Tells segments of one pool apart, and orders them by age. */
  private final long number;
  private final long size;
  private final Arena arena;
  private final MemorySegment memory;

  private Segment(FreeBlocks home, long number, long size, Arena arena, MemorySegment memory) {
    this.home = home;
    this.number = number;
    this.size = size;
    this.arena = arena;
    this.memory = memory;
  }

  /**
   * Memory of the operating system.
   *
   * @throws OutOfMemoryError if it has no more
   */
  static Segment ofSystem(FreeBlocks home, long number, long size) {
    Arena arena = Arena.ofShared();
    try {
      return new Segment(home, number, size, arena, arena.allocate(size, MemoryPool.ALIGNMENT));
    } catch (OutOfMemoryError e) {
      arena.close();
      throw e;
    }
  }

  /** A size, and no memory: for the accounts of a {@link Rehearsal}. */
  static Segment hollow(FreeBlocks home, long number, long size) {
    return new Segment(home, number, size, null, null);
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

  /** The bytes of a block; null where there is no memory. */
  MemorySegment slice(long offset, long bytes) {
    return memory == null ? null : memory.asSlice(offset, bytes);
  }

  /** Gives the memory back. */
  void close() {
    if (arena != null) {
      arena.close();
    }
  }
}
