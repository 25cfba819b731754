package org.deft4j.deft.bench;

import java.util.Optional;
import org.deft4j.tensor.Tensor;

/**
 * Something to measure, ready to run.
 *
 * @param limit what bounds it
 * @param bytes that must be read or written, where that is its work; otherwise its operations are counted as it runs
 * @param body does it once; what it makes is closed after each run
 * @param reference what it is compared with in the same run, in turn
 */
record Job(Limit limit, double bytes, Body body, Optional<Reference> reference) {
  /** What is timed. */
  @FunctionalInterface
  interface Body {
    /** Does it; yields what was computed, tensors or a number. */
    Object run();
  }

  /** Another way to do the same, or something alike. */
  record Reference(String name, Body body) {}

  /** Work of multiply-adds. */
  static Job arithmetic(Body body) {
    return new Job(Limit.ARITHMETIC, 0, body, Optional.empty());
  }

  /** Work that must read or write each of {@code tensors} once, and {@code more} bytes. */
  static Job memory(double more, Body body, Tensor... tensors) {
    double bytes = more;
    for (Tensor tensor : tensors) {
      bytes += bytes(tensor);
    }
    return new Job(Limit.MEMORY, bytes, body, Optional.empty());
  }

  /** The same, compared with {@code other}. */
  Job against(String name, Body other) {
    return new Job(limit, bytes, body, Optional.of(new Reference(name, other)));
  }

  /** The bytes of the elements. */
  static double bytes(Tensor tensor) {
    return (double) tensor.elementCount() * tensor.dtype().bytes();
  }
}
