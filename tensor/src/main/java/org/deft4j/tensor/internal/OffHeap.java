package org.deft4j.tensor.internal;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Tells the compiler that a tensor's memory lies outside the Java heap.
 *
 * <p>The Vector API itself writes vectors to segments over byte arrays as long as a reinterpreted vector is not compiled, so that
 * HotSpot, which goes by what it has seen, expects arrays wherever a vector is written to a segment. It then compiles every such
 * write as one that may change any object: nothing that a loop needs stays in a register, bounds are checked for each
 * vector, and the loop counts as one without a known end. Where the class of a segment is compared with a constant it goes by that.
 */
final class OffHeap {
  private static final Class<? extends MemorySegment> KIND = Arena.global().allocate(1).getClass();

  private OffHeap() {}

  /** {@code memory}, which is a pool's. */
  static MemorySegment known(MemorySegment memory) {
    if (memory.getClass() != KIND) {
      throw new IllegalStateException(memory + " is not outside the heap");
    }
    return memory;
  }
}
