package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Brings memory into the cache in the order in which it lies, for loops that go along it in short runs, where that makes them faster.
 *
 * <p>Processors read ahead what is read one cache line after another. Some begin anew at each jump to another run, of several kilobytes even: for
 * them a pass over everything first, which reads one number of each line and has no jumps, is two to four times as fast as to wait for each line. Others
 * follow several runs at once: they would only be kept from computing meanwhile. Which it is, is found out by doing: the first pieces of work, and now and
 * then another, are done half this way and half that way, and the faster half has a vote. Results are the same either way.
 *
 * <p>An instance belongs to a place in the code.
 */
final class ReadAhead {
  /** Bytes of a cache line. */
  private static final int LINE = 64;
  /** Bytes that rows are brought in at a time: a part of a second-level cache, since what follows needs room there too. */
  static final int BLOCK = 1 << 17;
  /** The first so many pieces of work are trials. */
  private static final int TRIALS = 16;
  /** Later, one of so many pieces is. */
  private static final int PIECES_PER_TRIAL = 64;
  /** The most votes that one way can be ahead. */
  private static final int LEAD = 8;

  private final AtomicLong pieces = new AtomicLong();
  /** How many more trials were faster with memory brought first than without. */
  private final AtomicInteger votes = new AtomicInteger();

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

  /** Runs {@code body} from {@code from} to {@code to}, and {@code bring}, which brings what it reads, before it, if that has been faster here. */
  void run(long from, long to, Parallel.Range bring, Parallel.Range body) {
    long piece = pieces.getAndIncrement();
    if (to - from > 1 && (piece < TRIALS || piece % PIECES_PER_TRIAL == 0)) {
      trial(from, to, bring, body, Long.bitCount(piece) % 2 == 0);
      return;
    }
    if (votes.get() > 0) {
      bring.run(from, to);
    }
    body.run(from, to);
  }

  /** Brings what one half reads, the first or the second, and compares how long both take. */
  private void trial(long from, long to, Parallel.Range bring, Parallel.Range body, boolean first) {
    long middle = from + (to - from) / 2;
    long start = System.nanoTime();
    if (first) {
      bring.run(from, middle);
    }
    body.run(from, middle);
    long half = System.nanoTime();
    if (!first) {
      bring.run(middle, to);
    }
    body.run(middle, to);
    long end = System.nanoTime();
    boolean firstIsFaster = (half - start) * (to - middle) < (end - half) * (middle - from);
    votes.accumulateAndGet(firstIsFaster == first ? 1 : -1, (lead, vote) -> Math.clamp((long) lead + vote, -LEAD, LEAD));
  }
}
