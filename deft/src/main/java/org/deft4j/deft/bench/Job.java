package org.deft4j.deft.bench;

import org.deft4j.tensor.Tensor;

/**
 * Something to measure, ready to run.
 *
 * @param limit what bounds it
 * @param work how much it is, in operations or bytes
 * @param body does it once; what it makes is closed after each run
 */
record Job(Limit limit, double work, Body body) {
  /** What is timed. */
  @FunctionalInterface
  interface Body {
    /** Does it; nobody looks at the result. */
    Object run();
  }

  /** Work of so many operations. */
  static Job arithmetic(double flop, Body body) {
    return new Job(Limit.ARITHMETIC, flop, body);
  }

  /** Work that must read or write each of {@code tensors} once, and {@code more} bytes. */
  static Job memory(double more, Body body, Tensor... tensors) {
    double bytes = more;
    for (Tensor tensor : tensors) {
      bytes += bytes(tensor);
    }
    return new Job(Limit.MEMORY, bytes, body);
  }

  /** The bytes of the elements. */
  static double bytes(Tensor tensor) {
    return (double) tensor.elementCount() * tensor.dtype().bytes();
  }
}
