package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** That what is slower by far is left, whichever way it is, and that each piece of work is done once. */
class ReadAheadTest {
  private static final int PIECES = 1000;
  private static final long SLOW = 300_000;

  private int brought;
  private long done;

  @Test
  void bringsNothingWhereThatTakesLonger() {
    run((_, _) -> {
      brought++;
      LockSupport.parkNanos(SLOW);
    }, (from, to) -> done += to - from);
    assertTrue(brought < 50, () -> "brought " + brought + " times");
  }

  @Test
  void bringsWhatIsMissedMore() {
    boolean[] isNear = new boolean[1];
    run((_, _) -> {
      brought++;
      isNear[0] = true;
    }, (from, to) -> {
      done += to - from;
      if (!isNear[0]) {
        LockSupport.parkNanos(SLOW);
      }
      isNear[0] = false;
    });
    assertTrue(brought > PIECES - 50, () -> "brought " + brought + " times");
  }

  @Test
  void triesTwoHalvesAndNoSingleItem() {
    List<Long> halves = new ArrayList<>();
    ReadAhead ahead = new ReadAhead();
    ahead.run(5, 12, (_, _) -> brought++, (from, to) -> halves.addAll(List.of(from, to)));
    assertEquals(List.of(5L, 8L, 8L, 12L), halves);
    assertEquals(1, brought);
    halves.clear();
    ahead.run(12, 13, (_, _) -> {}, (from, to) -> halves.addAll(List.of(from, to)));
    assertEquals(List.of(12L, 13L), halves);
  }

  private void run(Parallel.Range bring, Parallel.Range body) {
    ReadAhead ahead = new ReadAhead();
    for (int i = 0; i < PIECES; i++) {
      ahead.run(0, 10, bring, body);
    }
    assertEquals(10L * PIECES, done);
  }
}
