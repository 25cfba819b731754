package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Indexing;

/**
 * {@link Indexing}: {@code indexing.cu}. Additions sort the index first, so that whatever is added to one element is added by one thread,
 * in the order of the index. An index out of range is left to {@link Faults}; its element is 0, or not added.
 */
final class CudaIndexing {
  private static final String SOURCE = CudaSort.SOURCE;

  private final Launcher launcher;
  private final CudaSort sort;
  private final CudaCopies copies;
  private final Faults faults;

  CudaIndexing(Launcher launcher, CudaCopies copies, Faults faults) {
    this.launcher = launcher;
    this.sort = new CudaSort(launcher);
    this.copies = copies;
    this.faults = faults;
  }

  void run(Indexing op, Tensor[] in, Tensor[] out) {
    Tensor y = out[0];
    switch (op) {
      case Indexing.IndexSelect(var dim) -> select(dim, in[0], in[1], y);
      case Indexing.IndexAdd(var dim) -> {
        copies.copy(in[0], y);
        add(dim, in[1], in[2], y);
      }
      case Indexing.Gather(var dim) -> gather(dim, in[0], in[1], y);
      case Indexing.ScatterAdd(var dim) -> {
        copies.copy(in[0], y);
        Shape lines = without(in[1].shape(), dim);
        long[] steps = without(y.strides(), dim);
        addLines(in[1], in[2], in[1].size(dim), inner(in[1].shape(), dim), y, y.size(dim), y.strides()[dim], Walk.over(lines, steps));
      }
      case Indexing.Sort(var dim, var descending) ->
          sort.sort(in[0], in[0].size(dim), inner(in[0].shape(), dim), descending, y, out[1]);
      case Indexing.Where() -> launcher.each(y.elementCount(), SOURCE, "where_" + y.dtype().bytes(), in[0], in[1], in[2], y,
          y.elementCount(), Walk.over(y.shape(), in));
    }
  }

  private static long inner(Shape shape, int dim) {
    return shape.sub(dim + 1, shape.rank()).elementCount();
  }

  private static Shape without(Shape shape, int dim) {
    Shape result = shape.sub(0, dim);
    for (int d = dim + 1; d < shape.rank(); d++) {
      result = result.append(shape.size(d));
    }
    return result;
  }

  private static long[] without(long[] strides, int dim) {
    long[] result = new long[strides.length - 1];
    System.arraycopy(strides, 0, result, 0, dim);
    System.arraycopy(strides, dim + 1, result, dim, result.length - dim);
    return result;
  }

  private static boolean isWide(Tensor index) {
    return index.dtype() == DType.I64;
  }

  /** Slices are moved by as many bytes at a time as they are a multiple of. */
  private void select(int dim, Tensor x, Tensor index, Tensor y) {
    int bytes = y.dtype().bytes();
    long slice = inner(y.shape(), dim) * bytes;
    int unit = Walk.WIDE;
    while (unit > bytes && (slice % unit != 0 || x.address() % unit != 0 || y.address() % unit != 0)) {
      unit /= 2;
    }
    long count = y.elementCount() * bytes / unit;
    launcher.each(count, SOURCE, "select_" + unit, isWide(index), x, index, y, count, index.elementCount(), slice / unit, x.size(dim),
        faults.address());
  }

  private void gather(int dim, Tensor x, Tensor index, Tensor y) {
    long[] steps = x.strides();
    long step = steps[dim];
    steps[dim] = 0;
    launcher.each(y.elementCount(), SOURCE, "gather_" + y.dtype().bytes(), isWide(index), x, index, y, y.elementCount(), step, x.size(dim),
        Walk.over(y.shape(), steps), faults.address());
  }

  /** {@code y[..., index[i], ...] += source[..., i, ...]}. */
  private void add(int dim, Tensor index, Tensor source, Tensor y) {
    if (source.elementCount() == 0) {
      return;
    }
    long n = index.elementCount();
    long inner = inner(y.shape(), dim);
    try (Scope _ = Scope.open()) {
      CudaSort.Order order = sort.order(index, n, 1);
      launcher.each(source.elementCount(), SOURCE, Launcher.variant("index_add", y.dtype()), order.key(), order.position(), source, y,
          source.elementCount() / n / inner, n, inner, y.size(dim), faults.address());
    }
  }

  /**
   * Adds lines of {@code source} [outer, n, inner] to lines of y, each by its own line of {@code index}.
   *
   * @param size how long a line of y is
   * @param step between its elements
   * @param starts where the lines start in y, over [outer, inner]
   */
  void addLines(Tensor index, Tensor source, long n, long inner, Tensor y, long size, long step, Walk starts) {
    long count = source.elementCount();
    if (count == 0) {
      return;
    }
    try (Scope _ = Scope.open()) {
      CudaSort.Order order = sort.order(index, n, inner);
      launcher.each(count, SOURCE, Launcher.variant("scatter_add", y.dtype()), order.key(), order.position(), source, y, count, n, inner,
          size, step, starts, faults.address());
    }
  }
}
