package org.deft4j.tensor.internal;

/**
 * How the rows or columns of a product are cut into panels: first {@code wide} panels of {@code size} lines, then narrow ones of
 * {@link RegisterTile#NARROW}; the last may be shorter, and its tile computes lines that nobody reads.
 *
 * @param lines how many there are
 * @param size lines in a wide panel
 * @param pitch floats from one k to the next in a wide panel
 * @param wide how many wide panels
 * @param count how many panels
 */
record Cut(long lines, int size, int pitch, long wide, long count) {
  /** Rows: as many wide tiles as fit; a rest that a narrow one holds is cheaper there. */
  static Cut rows(long lines) {
    int size = RegisterTile.WIDE;
    long wide = RegisterTile.HAS_WIDE ? lines / size : 0;
    long rest = lines - wide * size;
    if (RegisterTile.HAS_WIDE && rest > RegisterTile.NARROW) {
      wide++;
      rest = 0;
    }
    long narrow = (rest + RegisterTile.NARROW - 1) / RegisterTile.NARROW;
    return new Cut(lines, size, RegisterTile.WIDE_PITCH, wide, wide + narrow);
  }

  /**
   * Rows in the wide and narrow tiles that together compute the fewest, a narrow one counting as a quarter of a row more than it has: for few rows
   * that many columns are multiplied by.
   */
  static Cut fewestRows(long lines) {
    Cut best = rows(lines);
    long least = quarters(best);
    // As many narrow ones as a wide one has rows are never needed: wide ones in their place are as many rows.
    for (long narrow = 0; narrow < best.size && RegisterTile.HAS_WIDE; narrow++) {
      long rest = Math.max(0, lines - narrow * RegisterTile.NARROW);
      long wide = (rest + best.size - 1) / best.size;
      Cut cut = new Cut(lines, best.size, best.pitch, wide, wide + narrow);
      if (quarters(cut) < least) {
        least = quarters(cut);
        best = cut;
      }
    }
    return best;
  }

  private static long quarters(Cut cut) {
    long narrow = cut.count - cut.wide;
    return 4 * (cut.wide * cut.size + narrow * RegisterTile.NARROW) + narrow;
  }

  /** Columns: two vectors each. */
  static Cut columns(long lines) {
    long count = (lines + RegisterTile.WIDTH - 1) / RegisterTile.WIDTH;
    return new Cut(lines, RegisterTile.WIDTH, RegisterTile.WIDTH, count, count);
  }

  /** The first line of a panel. */
  long start(long panel) {
    return panel <= wide ? panel * size : wide * size + (panel - wide) * RegisterTile.NARROW;
  }

  /** The lines that a panel has room for. */
  int room(long panel) {
    return panel < wide ? size : RegisterTile.NARROW;
  }

  /** The lines of a panel. */
  int lines(long panel) {
    return (int) Math.min(room(panel), lines - start(panel));
  }

  /** Floats from one k to the next in a panel. */
  int pitch(long panel) {
    return panel < wide ? pitch : RegisterTile.NARROW_PITCH;
  }

  /** Floats for each k in all panels before this one. */
  long before(long panel) {
    return panel <= wide ? panel * pitch : wide * pitch + (panel - wide) * RegisterTile.NARROW_PITCH;
  }
}
