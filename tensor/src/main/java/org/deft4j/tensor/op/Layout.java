package org.deft4j.tensor.op;

import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;

/** Copies that rearrange or convert. */
public sealed interface Layout extends Op {
  /** A row-major copy. */
  record Contiguous() implements Layout {}

  /**
   * Conversion between any two types: to fewer bits rounds to nearest even and overflows to infinity, to integers
   * truncates towards zero, to BOOL is {@code x != 0}.
   */
  record Cast(DType dtype) implements Layout {}

  /** A row-major copy on {@code device}. */
  record Transfer(Device device) implements Layout {}

  /** One after the other along {@code dim}; any number of inputs. */
  record Concat(int dim) implements Layout {}

  /** {@code before[i]} and {@code after[i]} elements of {@code value} around dimension i. */
  record Pad(List<Long> before, List<Long> after, double value) implements Layout {}

  /** Reversed along {@code dims}. */
  record Flip(List<Integer> dims) implements Layout {}

  /**
   * Of the last two dimensions, the elements on and above ({@code upper}) or on and below the diagonal
   * {@code column - row = diagonal}; zero elsewhere.
   */
  record Triangle(boolean upper, long diagonal) implements Layout {}
}
