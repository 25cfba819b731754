package org.deft4j.tensor.internal.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.NumericException;

/**
 * Where kernels tell that they met an index out of range, or an integer that a conversion refuses. A kernel cannot refuse, and nobody waits
 * for it: it leaves the first such number on the card, goes on without it, and the next that reads results finds it.
 */
final class Faults {
  /** Its kind, 0 if there was none, the number, and for an index the range: {@code struct Fault} of {@code common.cuh}. */
  private static final long WORDS = 3;
  private static final long U64 = 2;

  private final Card card;
  private final long address;
  private volatile boolean possible;

  Faults(Card card) {
    this.card = card;
    this.address = card.allocate(WORDS * Long.BYTES);
    clear();
  }

  private void clear() {
    try (Arena arena = Arena.ofConfined()) {
      card.upload(arena.allocate(ValueLayout.JAVA_LONG, WORDS), address);
    }
  }

  /** The argument for a kernel that may leave one. */
  Long address() {
    possible = true;
    return address;
  }

  /** Throws if there was one since the last time; waits for the card only if there can have been. */
  void check() {
    if (!possible) {
      return;
    }
    possible = false;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment words = arena.allocate(ValueLayout.JAVA_LONG, WORDS);
      card.download(address, words);
      long kind = words.getAtIndex(ValueLayout.JAVA_LONG, 0);
      if (kind != 0) {
        clear();
        throw new NumericException("on the card: an operation since results were last read met "
            + described(kind, words.getAtIndex(ValueLayout.JAVA_LONG, 1), words.getAtIndex(ValueLayout.JAVA_LONG, 2)));
      }
    }
  }

  private static String described(long kind, long number, long range) {
    return kind == U64 ? "the U64 value " + Long.toUnsignedString(number) + ", which exceeds 2^63 - 1, in a cast"
        : "the index " + number + " where indices run from 0 to " + (range - 1);
  }
}
