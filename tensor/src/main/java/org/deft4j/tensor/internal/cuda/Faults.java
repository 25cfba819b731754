package org.deft4j.tensor.internal.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.NumericException;

/**
 * Where kernels tell that they met an index out of range. A kernel cannot refuse, and nobody waits for it: it leaves the first such index
 * and the range on the card, goes on without it, and the next that reads results finds it.
 */
final class Faults {
  /** Whether there was one, the index, and the range: {@code struct Fault} of {@code common.cuh}. */
  private static final long WORDS = 3;

  private final Card card;
  private final long address;

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

  /** The argument for kernels. */
  Long address() {
    return address;
  }

  /** Throws if there was one since the last time. */
  void check() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment words = arena.allocate(ValueLayout.JAVA_LONG, WORDS);
      card.download(address, words);
      if (words.getAtIndex(ValueLayout.JAVA_LONG, 0) != 0) {
        clear();
        throw new NumericException("on the card: an operation since results were last read met the index "
            + words.getAtIndex(ValueLayout.JAVA_LONG, 1) + " where indices run from 0 to "
            + (words.getAtIndex(ValueLayout.JAVA_LONG, 2) - 1));
      }
    }
  }
}
