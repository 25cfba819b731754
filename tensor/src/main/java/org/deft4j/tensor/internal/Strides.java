package org.deft4j.tensor.internal;

import org.deft4j.tensor.Tensor;

/** Strides of tensors that are broadcast. */
public final class Strides {
  private Strides() {}

  /** Strides over the last {@code rank} dimensions: 0 where a size of 1 stretches or a dimension is missing. */
  public static long[] stretched(Tensor tensor, int rank) {
    long[] strides = tensor.strides();
    long[] result = new long[rank];
    for (int d = 0; d < strides.length; d++) {
      result[rank - strides.length + d] = tensor.size(d) == 1 ? 0 : strides[d];
    }
    return result;
  }
}
