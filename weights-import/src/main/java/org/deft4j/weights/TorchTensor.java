package org.deft4j.weights;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.deft4j.tensor.Shape;

/**
 * A tensor as torch stores it: element {@code [i0, ..., in]} is element {@code offset + i0 strides[0] + ... + in strides[n]} of
 * its storage. All counts are of elements.
 */
record TorchTensor(TorchStorage storage, long offset, Shape shape, long[] strides) implements PickleValue {
  /** Torch's own limit. */
  private static final int MAX_RANK = 64;

  /** What forbids such a tensor, in words; null where nothing does. */
  static String fault(TorchStorage storage, long offset, long[] sizes, long[] strides) {
    if (sizes.length > MAX_RANK) {
      return "has " + sizes.length + " dimensions, torch allows " + MAX_RANK;
    }
    if (sizes.length != strides.length) {
      return "has " + sizes.length + " sizes and " + strides.length + " strides";
    }
    if (offset < 0 || Arrays.stream(sizes).anyMatch(n -> n < 0) || Arrays.stream(strides).anyMatch(n -> n < 0)) {
      return "has a negative offset, size or stride: " + offset + ", " + Arrays.toString(sizes) + ", " + Arrays.toString(strides);
    }
    boolean empty = Arrays.stream(sizes).anyMatch(n -> n == 0);
    try {
      long count = 1;
      long last = offset;
      for (int i = 0; i < sizes.length && !empty; i++) {
        count = Math.multiplyExact(count, sizes[i]);
        last = Math.addExact(last, Math.multiplyExact(sizes[i] - 1, strides[i]));
      }
      if (empty ? offset > storage.count() : last >= storage.count()) {
        return "offset " + offset + ", sizes " + Arrays.toString(sizes) + " and strides " + Arrays.toString(strides)
            + " reach element " + last + " of a storage of " + storage.count();
      }
      return empty || count <= storage.count() ? null : "shows the " + storage.count() + " elements of its storage as " + count
          + " in shape " + Arrays.toString(sizes) + " (an expanded view); save its contiguous()";
    } catch (ArithmeticException _) {
      return "sizes " + Arrays.toString(sizes) + " and strides " + Arrays.toString(strides) + " go beyond 2^63 - 1 elements";
    }
  }

  /** Whether the elements lie in row-major order without gaps. */
  boolean isContiguous() {
    long expected = 1;
    for (int i = strides.length - 1; i >= 0; i--) {
      if (shape.size(i) != 1 && strides[i] != expected) {
        return shape.elementCount() == 0;
      }
      expected *= shape.size(i);
    }
    return true;
  }

  /** Elements of the storage from this tensor's first to its last. */
  long span() {
    long span = shape.elementCount() == 0 ? 0 : 1;
    for (int i = 0; i < strides.length && span > 0; i++) {
      span += (shape.size(i) - 1) * strides[i];
    }
    return span;
  }

  /**
   * Copies the elements into row-major order.
   *
   * @param from the {@link #span} of the storage
   * @param to as many bytes as the elements have
   */
  void gather(MemorySegment from, MemorySegment to) {
    int bytes = storage.dtype().bytes();
    long[] index = new long[strides.length];
    long at = 0;
    for (long i = 0; i < shape.elementCount(); i++) {
      MemorySegment.copy(from, at * bytes, to, i * bytes, bytes);
      int dim = strides.length - 1;
      while (dim >= 0 && ++index[dim] == shape.size(dim)) {
        at -= (shape.size(dim) - 1) * strides[dim];
        index[dim--] = 0;
      }
      at += dim < 0 ? 0 : strides[dim];
    }
  }
}
