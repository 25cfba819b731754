package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Brings memory into the cache in the order in which it lies, for loops that go along it in short runs. Processors read ahead what is read
 * one cache line after another, and from memory that is two to four times as fast as to wait for each line; each jump to another run, of several
 * kilobytes even, makes them begin anew. A pass over everything first, which reads one number of each line, has no jumps.
 */
final class ReadAhead {
  /** Bytes of a cache line. */
  private static final int LINE = 64;
  /** Bytes that are brought at a time at most: a part of a second-level cache, since what follows needs room there too. */
  static final int BLOCK = 1 << 17;

  private ReadAhead() {}

  /** Brings so many bytes from {@code from} on. */
  static void bring(MemorySegment memory, long from, long bytes) {
    int lines = (int) (bytes / LINE);
    int seen = 0;
    for (int i = 0; i < lines; i++) {
      seen |= memory.get(ValueLayout.JAVA_BYTE, from + (long) i * LINE);
    }
    // Without a use of what was read the compiler drops the reads; this use does nothing.
    if (seen == 0) {
      Thread.onSpinWait();
    }
  }
}
