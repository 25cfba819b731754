package org.deft4j.tensor.internal.cuda;

/**
 * A range of a {@link Window}: somebody's, or free. All that has to do with a free one is behind what the stream for copies waits for, so that
 * a copy may be asked for there at once.
 */
final class Place {
  final long address;
  long size;
  /** Whose bytes are here; null: free. */
  Kept kept;
  /** Operations that use it now: while there are any, it stays. */
  int pins;
  /** When it was last used, counted in uses of anything; before all of them where it never was. */
  long tick = -1;
  /** Where in the stream for copies its bytes are there, and whether what is computed from now on comes after that. */
  Card.Event loaded;
  boolean isAwaited;
  /** Behind the last operation that used it; null where there was none. */
  Card.Event used;

  Place(long address, long size) {
    this.address = address;
    this.size = size;
  }

  boolean isFree() {
    return kept == null;
  }
}
