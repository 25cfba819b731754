package org.deft4j.tensor;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** The sizes of a tensor's dimensions, outermost first; immutable. A scalar has rank 0 and one element. */
public final class Shape {
  private final long[] sizes;
  private final long elementCount;

  private Shape(long[] sizes) {
    long count = 1;
    boolean empty = false;
    for (long size : sizes) {
      if (size < 0) {
        throw new ShapeException("shape " + Arrays.toString(sizes) + ": sizes must not be negative");
      }
      empty |= size == 0;
    }
    for (int i = 0; i < sizes.length && !empty; i++) {
      try {
        count = Math.multiplyExact(count, sizes[i]);
      } catch (ArithmeticException e) {
        throw new ShapeException("shape " + Arrays.toString(sizes) + ": more than 2^63 - 1 elements", e);
      }
    }
    this.sizes = sizes;
    this.elementCount = empty ? 0 : count;
  }

  /** A shape of these sizes. */
  public static Shape of(long... sizes) {
    return new Shape(sizes.clone());
  }

  /** The number of dimensions. */
  public int rank() {
    return sizes.length;
  }

  /** The size of dimension {@code dim}; negative counts from the last. */
  public long size(int dim) {
    return sizes[axis(dim)];
  }

  /** {@code dim} as 0 .. rank-1, where negative counts from the last. */
  public int axis(int dim) {
    int axis = dim < 0 ? dim + sizes.length : dim;
    if (axis < 0 || axis >= sizes.length) {
      throw new ShapeException("dimension " + dim + " does not exist in shape " + this + " of rank " + sizes.length);
    }
    return axis;
  }

  /** The product of all sizes; 1 for a scalar. */
  public long elementCount() {
    return elementCount;
  }

  /** The sizes, as a copy. */
  public long[] toArray() {
    return sizes.clone();
  }

  /** This shape with one size replaced. */
  public Shape with(int dim, long size) {
    long[] copy = sizes.clone();
    copy[axis(dim)] = size;
    return new Shape(copy);
  }

  /** The dimensions {@code from} (inclusive) to {@code to} (exclusive). */
  public Shape sub(int from, int to) {
    return new Shape(Arrays.copyOfRange(sizes, from, to));
  }

  /** This shape followed by {@code tail}. */
  public Shape append(long... tail) {
    long[] all = Arrays.copyOf(sizes, sizes.length + tail.length);
    System.arraycopy(tail, 0, all, sizes.length, tail.length);
    return new Shape(all);
  }

  /** Strides, in elements, of a contiguous tensor of this shape: the last dimension varies fastest. */
  public long[] contiguousStrides() {
    long[] strides = new long[sizes.length];
    long step = 1;
    for (int i = sizes.length - 1; i >= 0; i--) {
      strides[i] = step;
      step *= Math.max(1, sizes[i]);
    }
    return strides;
  }

  /** The axes named by {@code dims} as sorted, distinct, non-negative numbers; none means all. */
  public List<Integer> axes(int... dims) {
    if (dims.length == 0) {
      return java.util.stream.IntStream.range(0, rank()).boxed().toList();
    }
    List<Integer> axes = Arrays.stream(dims).map(this::axis).sorted().boxed().toList();
    if (axes.stream().distinct().count() != axes.size()) {
      throw new ShapeException("dimensions " + Arrays.toString(dims) + " name one dimension twice");
    }
    return axes;
  }

  /** The shape both broadcast to: aligned at the last dimension, a size of 1 (or a missing one) stretches. */
  public static Shape broadcast(String op, Shape a, Shape b) {
    int rank = Math.max(a.rank(), b.rank());
    long[] sizes = new long[rank];
    for (int i = 1; i <= rank; i++) {
      long m = i <= a.rank() ? a.sizes[a.rank() - i] : 1;
      long n = i <= b.rank() ? b.sizes[b.rank() - i] : 1;
      if (m != n && m != 1 && n != 1) {
        throw new ShapeException(op + ": shapes " + a + " and " + b + " do not broadcast: dimension " + -i + " is " + m
            + " and " + n + "; each pair, aligned at the last dimension, must be equal or contain a 1");
      }
      sizes[rank - i] = m == 1 ? n : m;
    }
    return new Shape(sizes);
  }

  /** Whether repeating along dimensions of size 1, or missing ones, makes this shape {@code target}. */
  public boolean broadcastsTo(Shape target) {
    for (int i = 1; i <= rank(); i++) {
      long size = sizes[rank() - i];
      if (i > target.rank() || (size != 1 && size != target.sizes[target.rank() - i])) {
        return false;
      }
    }
    return true;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Shape shape && Arrays.equals(sizes, shape.sizes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(sizes);
  }

  @Override
  public String toString() {
    return Arrays.stream(sizes).mapToObj(Long::toString).collect(Collectors.joining(", ", "[", "]"));
  }
}
