package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.Comparator;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Op;

/** Elements chosen by other tensors. A tensor is seen as [outer, size of dim, inner]. */
final class ScalarIndexing {
  /** Added, it makes -0 the 0 that it is equal to. */
  private static final double ZERO = 0;

  private ScalarIndexing() {}

  static void run(Indexing op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Indexing.IndexSelect(var dim) -> select(op, dim, in[0], in[1], out[0]);
      case Indexing.IndexAdd(var dim) -> indexAdd(op, dim, in, out[0]);
      case Indexing.Gather(var dim) -> gather(op, dim, in[0], in[1], out[0]);
      case Indexing.ScatterAdd(var dim) -> scatterAdd(op, dim, in, out[0]);
      case Indexing.Sort(var dim, var descending) -> sort(dim, descending, in[0], out);
      case Indexing.Where() -> where(in, out[0]);
    }
  }

  private static long checked(Op op, long index, long size) {
    if (index < 0 || index >= size) {
      throw new ShapeException(op.label() + ": index " + index + " is outside 0 .. " + (size - 1)
          + ", the dimension has size " + size);
    }
    return index;
  }

  private static long inner(Shape shape, int dim) {
    return shape.sub(dim + 1, shape.rank()).elementCount();
  }

  private static void select(Op op, int dim, Tensor x, Tensor index, Tensor y) {
    long size = x.size(dim);
    long[] strides = x.strides();
    Access picks = Access.of(index);
    Shape slice = y.shape().with(dim, 1);
    long[] target = y.strides();
    for (long i = 0; i < index.elementCount(); i++) {
      long pick = checked(op, picks.getLong(i), size);
      StridedCopy.copy(x, strides, x.offset() + pick * strides[dim], y, slice, target, y.offset() + i * target[dim]);
    }
  }

  private static void indexAdd(Op op, int dim, Tensor[] in, Tensor y) {
    StridedCopy.copy(in[0], y);
    Access picks = Access.of(in[1]);
    Access source = Access.of(in[2]);
    Access sums = Access.of(y);
    long inner = inner(y.shape(), dim);
    long outer = y.shape().sub(0, dim).elementCount();
    long n = in[1].elementCount();
    for (long o = 0; o < outer; o++) {
      for (long i = 0; i < n; i++) {
        long row = o * y.size(dim) + checked(op, picks.getLong(i), y.size(dim));
        for (long j = 0; j < inner; j++) {
          sums.set(row * inner + j, sums.get(row * inner + j) + source.get((o * n + i) * inner + j));
        }
      }
    }
  }

  /** The offset in x of the element that position {@code i} of index names along {@code dim}. */
  private static long pointed(Op op, int dim, long i, Access picks, Shape shape, Tensor x, long[] strides) {
    long here = i / inner(shape, dim) % shape.size(dim);
    long pick = checked(op, picks.getLong(i), x.size(dim));
    return Positions.offset(i, shape, strides) + (pick - here) * strides[dim];
  }

  private static void gather(Op op, int dim, Tensor x, Tensor index, Tensor y) {
    Access picks = Access.of(index);
    Access from = Access.of(x);
    Access to = Access.of(y);
    long[] strides = x.strides();
    boolean whole = !x.dtype().isFloating();
    for (long i = 0; i < y.elementCount(); i++) {
      long at = pointed(op, dim, i, picks, index.shape(), x, strides);
      if (whole) {
        to.setLong(i, from.getLong(at));
      } else {
        to.set(i, from.get(at));
      }
    }
  }

  private static void scatterAdd(Op op, int dim, Tensor[] in, Tensor y) {
    StridedCopy.copy(in[0], y);
    Access picks = Access.of(in[1]);
    Access source = Access.of(in[2]);
    Access sums = Access.of(y);
    long[] strides = y.strides();
    for (long i = 0; i < in[1].elementCount(); i++) {
      long at = pointed(op, dim, i, picks, in[1].shape(), y, strides);
      sums.set(at, sums.get(at) + source.get(i));
    }
  }

  private static void sort(int dim, boolean descending, Tensor x, Tensor[] out) {
    Access from = Access.of(x);
    Access values = Access.of(out[0]);
    Access indices = Access.of(out[1]);
    long inner = inner(x.shape(), dim);
    int n = Math.toIntExact(x.size(dim));
    long lines = n == 0 ? 0 : x.elementCount() / n;
    for (long line = 0; line < lines; line++) {
      long start = line / inner * n * inner + line % inner;
      Integer[] order = new Integer[n];
      Arrays.setAll(order, i -> i);
      Comparator<Integer> ascending = Comparator.comparingDouble(i -> from.get(start + i * inner) + ZERO);
      Arrays.sort(order, descending ? ascending.reversed() : ascending);
      for (int i = 0; i < n; i++) {
        values.set(start + i * inner, from.get(start + order[i] * inner));
        indices.setLong(start + i * inner, order[i]);
      }
    }
  }

  private static void where(Tensor[] in, Tensor y) {
    Access condition = Access.of(in[0]);
    Access a = Access.of(in[1]);
    Access b = Access.of(in[2]);
    Access to = Access.of(y);
    Shape shape = y.shape();
    long[] stridesC = StridedCopy.stretched(in[0], shape.rank());
    long[] stridesA = StridedCopy.stretched(in[1], shape.rank());
    long[] stridesB = StridedCopy.stretched(in[2], shape.rank());
    boolean whole = !y.dtype().isFloating();
    for (long i = 0; i < y.elementCount(); i++) {
      boolean first = condition.getLong(Positions.offset(i, shape, stridesC)) != 0;
      Access from = first ? a : b;
      long at = Positions.offset(i, shape, first ? stridesA : stridesB);
      if (whole) {
        to.setLong(i, from.getLong(at));
      } else {
        to.set(i, from.get(at));
      }
    }
  }
}
