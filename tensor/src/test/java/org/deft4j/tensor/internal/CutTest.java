package org.deft4j.tensor.internal;

import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** That panels hold every line once, one after another, and few lines more. */
class CutTest {
  @Test
  void panelsHoldEveryLineOnce() {
    for (long lines = 1; lines < 2000; lines++) {
      check(Cut.rows(lines), lines);
      check(Cut.fewestRows(lines), lines);
      check(Cut.columns(lines), lines);
    }
    check(Cut.rows(0), 0);
    check(Cut.fewestRows(0), 0);
  }

  private static void check(Cut cut, long lines) {
    long line = 0;
    long before = 0;
    for (long panel = 0; panel < cut.count(); panel++) {
      assertEquals(line, cut.start(panel), () -> cut.toString());
      assertEquals(before, cut.before(panel), () -> cut.toString());
      assertTrue(cut.lines(panel) > 0 && cut.lines(panel) <= cut.room(panel) && cut.room(panel) <= cut.pitch(panel), () -> cut.toString());
      line += cut.lines(panel);
      before += cut.pitch(panel);
    }
    assertEquals(lines, line, () -> cut.toString());
  }

  @Test
  void fewRowsAreComputedThatNobodyReads() {
    for (long lines = 1; lines < 2000; lines++) {
      Cut cut = Cut.fewestRows(lines);
      long most = computed(Cut.rows(lines));
      assertTrue(computed(cut) <= most && computed(cut) - lines < RegisterTile.NARROW, () -> cut.toString());
    }
    if (RegisterTile.HAS_WIDE) {
      for (long exact : new long[] {64, 80, 96, 160}) {
        assertEquals(exact, computed(Cut.fewestRows(exact)));
      }
      assertEquals(42, computed(Cut.fewestRows(40)));
    }
  }

  private static long computed(Cut cut) {
    return cut.start(cut.count() - 1) + cut.room(cut.count() - 1);
  }
}
