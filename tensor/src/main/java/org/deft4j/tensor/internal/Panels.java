package org.deft4j.tensor.internal;

/**
 * One side of a product, seen as lines (rows of the left side, columns of the right) of depth k: it knows how to lay a
 * few of them side by side for {@link RegisterTile}.
 */
interface Panels {
  /** Floats of working memory that a product gives to every packing at least: enough for {@link FilterPanels}. */
  long ROOM = 1 << 13;

  /**
   * Writes element (line + i, k + j), for i below {@code lines} and j below {@code depth}, to {@code to[at + j * pitch + i]}. The floats from there to the end of
   * each row of {@code pitch} may be overwritten with anything.
   *
   * @param room working memory, at least {@link RegisterTile#WIDTH} x depth floats
   */
  void pack(long line, int lines, long k, int depth, float[] to, int at, int pitch, float[] room);

  /** Brings elements (line .. line + lines, k .. k + depth) near, in the order in which they lie in memory; or does nothing. */
  default void readAhead(long line, int lines, long k, int depth) {}

  /** How many k are packed for all panels of a group before the next ones, so that memory is read in long runs. */
  default int stretch() {
    return Integer.MAX_VALUE;
  }

  /** Packs the panels {@code first .. end} of {@code cut}, one after the other from {@code start} on. */
  default void packAll(Cut cut, long first, long end, long k, int depth, float[] to, int start, float[] room) {
    for (int j = 0; j < depth;) {
      int count = (int) Math.min(depth - j, stretch() - (k + j) % stretch());
      for (long panel = first; panel < end; panel++) {
        int pitch = cut.pitch(panel);
        int at = start + (int) (cut.before(panel) - cut.before(first)) * depth + j * pitch;
        pack(cut.start(panel), cut.lines(panel), k + j, count, to, at, pitch, room);
      }
      j += count;
    }
  }
}
