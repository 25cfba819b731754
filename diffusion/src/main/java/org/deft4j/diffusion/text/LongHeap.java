package org.deft4j.diffusion.text;

import java.util.Arrays;

/** A binary heap of longs, smallest first, without boxing. */
final class LongHeap {
  private long[] values;
  private int size;

  LongHeap(int capacity) {
    values = new long[Math.max(capacity, 4)];
  }

  boolean isEmpty() {
    return size == 0;
  }

  void add(long value) {
    if (size == values.length) {
      values = Arrays.copyOf(values, size + (size >> 1));
    }
    int i = size++;
    while (i > 0 && values[(i - 1) >> 1] > value) {
      values[i] = values[(i - 1) >> 1];
      i = (i - 1) >> 1;
    }
    values[i] = value;
  }

  /** Takes the smallest out; the heap must not be empty. */
  long removeSmallest() {
    long smallest = values[0];
    long last = values[--size];
    int i = 0;
    while (2 * i + 1 < size) {
      int child = 2 * i + 1;
      if (child + 1 < size && values[child + 1] < values[child]) {
        child++;
      }
      if (values[child] >= last) {
        break;
      }
      values[i] = values[child];
      i = child;
    }
    values[i] = last;
    return smallest;
  }
}
