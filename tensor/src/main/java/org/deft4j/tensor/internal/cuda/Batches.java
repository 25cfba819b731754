package org.deft4j.tensor.internal.cuda;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.Strides;

/**
 * The leading dimensions of a product, c = a b, as runs of matrices that lie evenly: what one batched product does. Mostly there is one run.
 *
 * @param count of matrices in a run
 * @param strideA elements from one matrix to the next, 0 where it is the same
 */
record Batches(List<Run> runs, long count, long strideA, long strideB, long strideC) {
  /** Where the first matrices of a run start, in elements. */
  record Run(long a, long b, long c) {}

  static Batches of(Tensor a, Tensor b, Tensor c) {
    int rank = c.rank() - 2;
    long[] sizes = new long[rank];
    long[][] steps = new long[3][];
    for (int d = 0; d < rank; d++) {
      sizes[d] = c.size(d);
    }
    steps[0] = Strides.stretched(a, c.rank());
    steps[1] = Strides.stretched(b, c.rank());
    steps[2] = Strides.stretched(c, c.rank());
    // The dimensions from `first` on step as one.
    int first = rank;
    long count = 1;
    long[] stride = new long[3];
    while (first > 0 && (sizes[first - 1] == 1 || count == 1 || follows(steps, first - 1, count, stride))) {
      first--;
      if (sizes[first] != 1 && count == 1) {
        for (int t = 0; t < 3; t++) {
          stride[t] = steps[t][first];
        }
      }
      count *= sizes[first];
    }
    List<Run> runs = new ArrayList<>();
    collect(runs, sizes, steps, 0, first, 0, 0, 0);
    return new Batches(runs, count, stride[0], stride[1], stride[2]);
  }

  private static boolean follows(long[][] steps, int d, long count, long[] stride) {
    for (int t = 0; t < 3; t++) {
      if (steps[t][d] != stride[t] * count) {
        return false;
      }
    }
    return true;
  }

  private static void collect(List<Run> runs, long[] sizes, long[][] steps, int d, int end, long a, long b, long c) {
    if (d == end) {
      runs.add(new Run(a, b, c));
      return;
    }
    for (long i = 0; i < sizes[d]; i++) {
      collect(runs, sizes, steps, d + 1, end, a + i * steps[0][d], b + i * steps[1][d], c + i * steps[2][d]);
    }
  }
}
