package org.deft4j.tensor.internal.cuda;

import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** Ranges of addresses against a bit for each address. */
class RangesTest {
  private static final int ALL = 200;

  @Test
  void meetsWhatASetOfBitsMeets() {
    Random random = new Random(5);
    for (int round = 0; round < 200; round++) {
      Ranges ranges = new Ranges();
      BitSet bits = new BitSet();
      for (int i = 0; i < 30; i++) {
        int start = random.nextInt(ALL);
        int end = start + 1 + random.nextInt(20);
        assertEquals(!bits.get(start, end).isEmpty(), ranges.meets(start, end), start + " to " + end);
        if (random.nextBoolean()) {
          ranges.add(start, end);
          bits.set(start, end);
        }
      }
    }
  }
}
