package org.deft4j.deft.bench;

/** What bounds a piece of work on this machine. */
enum Limit {
  /** The rate of independent fused multiply-adds; work counts operations, a multiply-add as two. */
  ARITHMETIC("GFLOP/s"),
  /** The speed of copying memory, in buffers of the same size; work counts the bytes that must be read and written. */
  MEMORY("GB/s");

  private final String unit;

  Limit(String unit) {
    this.unit = unit;
  }

  /** The unit of a rate, 10^9 a second. */
  String unit() {
    return unit;
  }
}
