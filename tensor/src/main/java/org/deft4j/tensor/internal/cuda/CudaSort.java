package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * Stable sorts of lines: those of a tensor seen as [outer, n, inner] along its middle dimension. A bitonic network over 64-bit keys and
 * positions, {@code indexing.cu}: steps within a tile in shared memory, {@code O(log^2 n)} passes over the memory above.
 */
final class CudaSort {
  static final String SOURCE = "indexing";
  /** {@code SORT_TILE} of {@code indexing.cu}. */
  private static final long TILE = 1024;
  private static final int WARP = 32;

  private final Launcher launcher;

  CudaSort(Launcher launcher) {
    this.launcher = launcher;
  }

  /**
   * Lines in order, [outer * inner, n].
   *
   * @param key what was sorted by
   * @param position where in its line it was
   */
  record Order(Tensor key, Tensor position) {}

  /** The lines of {@code x} [outer, n, inner], of real numbers, sorted into {@code values} and the {@code indices} they came from. */
  void sort(Tensor x, long n, long inner, boolean descending, Tensor values, Tensor indices) {
    long count = x.elementCount();
    if (count == 0) {
      return;
    }
    try (Scope _ = Scope.open()) {
      Order order = unsorted(count);
      launcher.each(count, SOURCE, Launcher.variant("sort_keys", x.dtype()), descending, x, order.key, order.position, count, n, inner);
      sort(order, count / n, n);
      launcher.each(count, SOURCE, Launcher.variant("sort_values", x.dtype()), x, order.position, values, indices, count, n, inner);
    }
  }

  /** The lines of an index [outer, n, inner], not empty, sorted; in memory of the caller's scope. */
  Order order(Tensor index, long n, long inner) {
    long count = index.elementCount();
    Order order = unsorted(count);
    launcher.each(count, SOURCE, "sort_keys_of_index", index.dtype() == DType.I64, index, order.key, order.position, count, n, inner);
    sort(order, count / n, n);
    return order;
  }

  private static Order unsorted(long count) {
    return new Order(Tensor.empty(Device.CUDA, DType.U64, Shape.of(count)), Tensor.empty(Device.CUDA, DType.U32, Shape.of(count)));
  }

  /** Sorts within tiles, then merges pairs of what is sorted, until that is a line. */
  private void sort(Order order, long lines, long n) {
    if (n > 1L << 32) {
      throw new IllegalArgumentException("sort: a line of " + n + " elements, at most 2^32 have a position of 32 bits");
    }
    tiles(false, order, lines, n);
    for (long span = 2 * TILE; span / 2 < n; span *= 2) {
      step(true, order, lines, n, span);
      for (long half = span / 2; half > TILE; half /= 2) {
        step(false, order, lines, n, half);
      }
      tiles(true, order, lines, n);
    }
  }

  private void tiles(boolean tails, Order order, long lines, long n) {
    long pairs = Math.min(TILE, n) / 2;
    int threads = Math.clamp((pairs + WARP - 1) / WARP * WARP, WARP, Launcher.THREADS);
    launcher.rows(lines * ((n + TILE - 1) / TILE), threads, SOURCE, "sort_tiles", tails, order.key, order.position, lines, n);
  }

  private void step(boolean turned, Order order, long lines, long n, long span) {
    long pairs = (n + span - 1) / span * (span / 2);
    launcher.each(lines * pairs, SOURCE, "sort_step", turned, order.key, order.position, lines, n, span);
  }
}
