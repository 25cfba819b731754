package org.deft4j.tensor;

import java.lang.foreign.ValueLayout;

/**
 * Where random numbers come from: given explicitly to whatever draws, never global. A source is one stream; the same calls
 * in the same order after the same seed give the same bits. Not for use by several threads at once.
 */
public interface RandomSource {
  /**
   * Fills {@code target} with draws from the normal distribution.
   *
   * @param target contiguous, F32 or F64
   * @throws DTypeException for another type
   * @throws ShapeException if {@code target} is not contiguous
   */
  void fillNormal(Tensor target, double mean, double deviation);

  /**
   * Fills {@code target} with draws spread evenly over {@code low} (inclusive) to {@code high} (exclusive up to rounding).
   *
   * @param target contiguous, F32 or F64
   * @throws DTypeException for another type
   * @throws ShapeException if {@code target} is not contiguous
   */
  void fillUniform(Tensor target, double low, double high);

  /**
   * One integer from {@code low} (inclusive) to {@code high} (exclusive).
   *
   * @throws IllegalArgumentException unless {@code low < high}
   */
  long between(long low, long high);

  /** The numbers 0 .. n-1 in random order, as I64 [n]. */
  Tensor permutation(long n);

  /** Everything that the next draws depend on, for {@link #restore}. */
  long[] state();

  /**
   * Goes on as the source did from which {@code state} came.
   *
   * @throws IllegalArgumentException if it is not the state of a source of this kind
   */
  void restore(long[] state);

  /** A tensor of draws from the standard normal distribution, F32 or F64. */
  default Tensor normal(DType dtype, long... sizes) {
    Tensor tensor = Tensor.empty(dtype, Shape.of(sizes));
    fillNormal(tensor, 0, 1);
    return tensor;
  }

  /** A tensor of draws spread evenly over 0 (inclusive) to 1 (exclusive), F32 or F64. */
  default Tensor uniform(DType dtype, long... sizes) {
    Tensor tensor = Tensor.empty(dtype, Shape.of(sizes));
    fillUniform(tensor, 0, 1);
    return tensor;
  }

  /**
   * An I64 tensor of integers from {@code low} (inclusive) to {@code high} (exclusive).
   *
   * @throws IllegalArgumentException unless {@code low < high}
   */
  default Tensor integers(long low, long high, long... sizes) {
    if (low >= high) {
      throw new IllegalArgumentException("integers: none lies from " + low + " (inclusive) to " + high + " (exclusive)");
    }
    Tensor tensor = Tensor.empty(DType.I64, Shape.of(sizes));
    tensor.write(bytes -> {
      for (long i = 0; i < tensor.elementCount(); i++) {
        bytes.setAtIndex(ValueLayout.JAVA_LONG, i, between(low, high));
      }
    });
    return tensor;
  }
}
