package org.deft4j.tensor.internal.cuda;

/**
 * How the threads of a block are divided into teams that find one result each: {@code struct Team} of {@code common.cuh}. It follows from
 * shapes alone, so that sums run in the same order on every card.
 *
 * @param lanes threads of a team, a power of two
 * @param across whether neighbouring threads belong to neighbouring results, as where sums run across rows; else to one
 */
record Teams(int lanes, boolean across) {
  /** Threads of a block. */
  private static final int THREADS = Launcher.THREADS;
  private static final int WARP = 32;
  /** A team grows beyond a warp where each of its threads would take more elements. */
  private static final long EACH = 8;
  /** Across rows a result is one thread's up to so many elements, in their order as on the CPU. */
  private static final long EACH_OF_COLUMN = 16;
  /** The columns that a warp reads side by side, so that what memory gives at once is used whole. */
  private static final long COLUMNS = 32;

  /** For results over n elements that lie {@code inner} apart. */
  static Teams of(long n, long inner) {
    return inner == 1 ? along(n) : across(n, inner);
  }

  /** For results over n elements side by side. */
  static Teams along(long n) {
    return along(n, EACH);
  }

  /** The same where each thread takes up to {@code each} elements before there are more threads than a warp's. */
  static Teams along(long n, long each) {
    long wanted = n <= WARP ? n : Math.max(WARP, (n + each - 1) / each);
    return new Teams((int) power(Math.min(wanted, THREADS)), false);
  }

  /** Few rows leave their block to more columns, few columns to more rows. */
  private static Teams across(long n, long inner) {
    if (n <= EACH_OF_COLUMN) {
      return new Teams(1, true);
    }
    long rows = power(Math.min(n, THREADS));
    long columns = Math.max(COLUMNS, THREADS * EACH_OF_COLUMN / rows);
    long count = Math.max(Math.min(power(Math.min(inner, THREADS)), columns), THREADS / rows);
    return new Teams((int) (THREADS / count), true);
  }

  /** The least power of two that is not below {@code n}. */
  private static long power(long n) {
    return n <= 1 ? 1 : Long.highestOneBit(n - 1) << 1;
  }

  /** Blocks of so many results, one for each team. */
  long blocks(long results) {
    long count = THREADS / lanes;
    return (results + count - 1) / count;
  }
}
