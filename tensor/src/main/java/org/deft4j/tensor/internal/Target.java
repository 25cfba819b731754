package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;

/** Where a product goes. */
interface Target {
  /** The memory that holds it. */
  MemorySegment memory();

  /** The byte of element (row, column). */
  long at(long row, long column);

  /** Bytes from a row to the next. */
  long rowStep();

  /** Bytes from a column to the next in a run. */
  long columnStep();

  /** How many columns from {@code column} on lie one step apart; at least 1, beyond the last column anything. */
  long run(long column);

  /** A matrix whose elements are {@code rowStep} and {@code columnStep} bytes apart. */
  record Matrix(MemorySegment memory, long start, long rowStep, long columnStep) implements Target {
    @Override
    public long at(long row, long column) {
      return start + row * rowStep + column * columnStep;
    }

    @Override
    public long run(long column) {
      return Long.MAX_VALUE;
    }
  }
}
