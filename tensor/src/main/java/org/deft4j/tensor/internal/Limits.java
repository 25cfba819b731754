package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.List;

/** Loops that keep one part of the machine busy and do nothing else: what {@link org.deft4j.tensor.Machine} times. */
public interface Limits {
  /**
   * A loop of fused multiply-adds that do not wait for each other.
   *
   * @param flopPerStep operations in one step; a multiply-add counts as two
   */
  record MultiplyAdds(double flopPerStep, Loop loop) {}

  /** Runs so many steps; returns something that depends on each. */
  @FunctionalInterface
  interface Loop {
    /** Runs. */
    float run(int steps);
  }

  /** The forms that may be the fastest here: few chains where registers are few, many where the units are many or slow. */
  List<MultiplyAdds> multiplyAdds();

  /** Reads the bytes {@code from} (inclusive) to {@code to} (exclusive), multiples of 256; returns something that depends on each. */
  long read(MemorySegment memory, long from, long to);
}
