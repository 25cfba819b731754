package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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
    long[] strides = x.strides();
    long size = x.size(dim);
    int last = index.rank() - 1;
    MemorySegment from = x.memory();
    MemorySegment to = y.memory();
    int bytes = x.dtype().bytes();
    forRows(index.shape(), (start, length) -> {
      long here = start / inner(index.shape(), dim) % index.size(dim);
      long row = x.offset() + Positions.offset(start, index.shape(), strides) - here * strides[dim];
      long step = dim == last ? 0 : strides[last];
      for (long j = 0; j < length; j++) {
        long pick = checked(op, picks.getLong(start + j), size);
        copy(from, row + j * step + pick * strides[dim], to, y.offset() + start + j, bytes);
      }
    });
  }

  /** The elements from {@code start} on, {@code length} of them, which are a row along the last dimension. */
  @FunctionalInterface
  private interface Row {
    void run(long start, long length);
  }

  private static void forRows(Shape shape, Row body) {
    long length = shape.rank() == 0 ? 1 : shape.size(-1);
    if (shape.elementCount() == 0) {
      return;
    }
    Parallel.forRange(shape.elementCount() / length, Math.max(1, ScalarElementwise.GRAIN / length), (from, to) -> {
      for (long row = from; row < to; row++) {
        body.run(row * length, length);
      }
    });
  }

  /** One element. */
  private static void copy(MemorySegment from, long a, MemorySegment to, long b, int bytes) {
    switch (bytes) {
      case 8 -> to.setAtIndex(ValueLayout.JAVA_LONG, b, from.getAtIndex(ValueLayout.JAVA_LONG, a));
      case 4 -> to.setAtIndex(ValueLayout.JAVA_INT, b, from.getAtIndex(ValueLayout.JAVA_INT, a));
      case 2 -> to.setAtIndex(ValueLayout.JAVA_SHORT, b, from.getAtIndex(ValueLayout.JAVA_SHORT, a));
      default -> to.set(ValueLayout.JAVA_BYTE, b, from.get(ValueLayout.JAVA_BYTE, a));
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
    Shape shape = y.shape();
    Choice choice = new Choice(in[0].memory(), step(in[0], shape), in[1].memory(), step(in[1], shape), in[2].memory(),
        step(in[2], shape), y.memory());
    long[] stridesC = Strides.stretched(in[0], shape.rank());
    long[] stridesA = Strides.stretched(in[1], shape.rank());
    long[] stridesB = Strides.stretched(in[2], shape.rank());
    int bytes = y.dtype().bytes();
    forRows(shape, (start, length) -> {
      long c = in[0].offset() + Positions.offset(start, shape, stridesC);
      long a = in[1].offset() + Positions.offset(start, shape, stridesA);
      long b = in[2].offset() + Positions.offset(start, shape, stridesB);
      if (bytes == 4) {
        choice.ints(c, a, b, y.offset() + start, length);
      } else {
        for (long j = 0; j < length; j++) {
          boolean first = choice.condition.get(ValueLayout.JAVA_BYTE, c + j * choice.stepC) != 0;
          copy(first ? choice.a : choice.b, first ? a + j * choice.stepA : b + j * choice.stepB, choice.y,
              y.offset() + start + j, bytes);
        }
      }
    });
  }

  /** What the last dimension of {@code shape} steps by in a tensor that broadcasts to it. */
  private static long step(Tensor tensor, Shape shape) {
    return shape.rank() == 0 ? 0 : Strides.stretched(tensor, shape.rank())[shape.rank() - 1];
  }

  /** {@code y = condition ? a : b} along a row. */
  private record Choice(MemorySegment condition, long stepC, MemorySegment a, long stepA, MemorySegment b, long stepB,
      MemorySegment y) {
    /** Without a branch, which would go wrong half of the time: the mask has all bits set where a is chosen. */
    void ints(long atC, long atA, long atB, long at, long length) {
      for (long j = 0; j < length; j++) {
        int mask = -(condition.get(ValueLayout.JAVA_BYTE, atC + j * stepC) & 0xFF) >> 31;
        int first = a.getAtIndex(ValueLayout.JAVA_INT, atA + j * stepA);
        int second = b.getAtIndex(ValueLayout.JAVA_INT, atB + j * stepB);
        y.setAtIndex(ValueLayout.JAVA_INT, at + j, (first & mask) | (second & ~mask));
      }
    }
  }
}
