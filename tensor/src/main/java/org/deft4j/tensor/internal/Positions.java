package org.deft4j.tensor.internal;

import org.deft4j.tensor.Shape;

/** From a row-major index to where an element is. */
final class Positions {
  private Positions() {}

  /** {@code sum_d i_d * stride_d} of the element whose row-major index is {@code index}. */
  static long offset(long index, Shape shape, long[] strides) {
    long offset = 0;
    long rest = index;
    for (int d = shape.rank() - 1; d >= 0; d--) {
      long size = shape.size(d);
      offset += rest % size * strides[d];
      rest /= size;
    }
    return offset;
  }
}
