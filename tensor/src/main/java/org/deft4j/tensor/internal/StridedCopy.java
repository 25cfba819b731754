package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * Copies between any two layouts of one shape. Dimensions that both sides step through evenly are merged first; the inner
 * runs are bulk copies where both are dense, and work is split over the outer ones.
 */
final class StridedCopy {
  /** Elements below which a second thread costs more than it saves. */
  private static final long GRAIN = 1 << 15;

  private final long[] sizes;
  private final long[] from;
  private final long[] to;
  private final int rank;

  private StridedCopy(Shape shape, long[] fromStrides, long[] toStrides) {
    sizes = new long[Math.max(1, shape.rank())];
    from = new long[sizes.length];
    to = new long[sizes.length];
    sizes[0] = 1;
    int r = 0;
    for (int d = 0; d < shape.rank(); d++) {
      long size = shape.size(d);
      if (size == 1) {
        continue;
      }
      if (r > 0 && from[r - 1] == size * fromStrides[d] && to[r - 1] == size * toStrides[d]) {
        sizes[r - 1] *= size;
      } else {
        sizes[r++] = size;
      }
      from[r - 1] = fromStrides[d];
      to[r - 1] = toStrides[d];
    }
    rank = Math.max(1, r);
  }

  /** Copies {@code source} to {@code target}, which has the same type and a shape that source broadcasts to. */
  static void copy(Tensor source, Tensor target) {
    copy(source, target, target.shape(), target.strides(), target.offset());
  }

  /** Copies {@code source} into a part of {@code target}: of this shape, by these strides, from this element on. */
  static void copy(Tensor source, Tensor target, Shape shape, long[] targetStrides, long targetOffset) {
    copy(source, stretched(source, shape.rank()), source.offset(), target, shape, targetStrides, targetOffset);
  }

  /** Copies the part of {@code source} that starts at an element and has these strides. */
  static void copy(Tensor source, long[] sourceStrides, long sourceOffset, Tensor target, Shape shape,
      long[] targetStrides, long targetOffset) {
    if (shape.elementCount() == 0) {
      return;
    }
    StridedCopy plan = new StridedCopy(shape, sourceStrides, targetStrides);
    MemorySegment read = source.memory();
    MemorySegment write = target.memory();
    int bytes = source.dtype().bytes();
    plan.forEachRun((a, b, n, stepA, stepB) ->
        run(read, sourceOffset + a, stepA, write, targetOffset + b, stepB, n, bytes));
  }

  /** Copies with conversion between types; source broadcasts to the target's shape. */
  static void convert(Tensor source, Tensor target) {
    if (source.dtype() == target.dtype()) {
      copy(source, target);
      return;
    }
    if (target.elementCount() == 0) {
      return;
    }
    StridedCopy plan = new StridedCopy(target.shape(), stretched(source, target.rank()), target.strides());
    Access read = Access.of(source);
    Access write = Access.of(target);
    boolean integers = isWhole(source.dtype()) && isWhole(target.dtype());
    DenseCast dense = DenseCast.of(source, target);
    plan.forEachRun((a, b, n, stepA, stepB) -> {
      if (dense != null && stepA == 1 && stepB == 1) {
        dense.run(source.offset() + a, target.offset() + b, n);
        return;
      }
      for (long i = 0; i < n; i++) {
        if (integers) {
          write.setLong(b + i * stepB, read.getLong(a + i * stepA));
        } else {
          write.set(b + i * stepB, read.get(a + i * stepA));
        }
      }
    });
  }

  private static boolean isWhole(DType dtype) {
    return !dtype.isFloating();
  }

  /** Strides over the last {@code rank} dimensions: 0 where a size of 1 stretches or a dimension is missing. */
  static long[] stretched(Tensor tensor, int rank) {
    long[] strides = tensor.strides();
    long[] result = new long[rank];
    for (int d = 0; d < strides.length; d++) {
      result[rank - strides.length + d] = tensor.size(d) == 1 ? 0 : strides[d];
    }
    return result;
  }

  /** A run of {@code n} elements, from offsets a and b by their steps. */
  @FunctionalInterface
  private interface Run {
    void run(long a, long b, long n, long stepA, long stepB);
  }

  private void forEachRun(Run body) {
    long inner = sizes[rank - 1];
    long rows = 1;
    for (int d = 0; d < rank - 1; d++) {
      rows *= sizes[d];
    }
    if (rows == 1) {
      Parallel.forRange(inner, GRAIN, (first, last) -> body.run(first * from[rank - 1], first * to[rank - 1],
          last - first, from[rank - 1], to[rank - 1]));
      return;
    }
    Parallel.forRange(rows, Math.max(1, GRAIN / inner), (first, last) -> {
      for (long row = first; row < last; row++) {
        long a = 0;
        long b = 0;
        long rest = row;
        for (int d = rank - 2; d >= 0; d--) {
          long index = rest % sizes[d];
          rest /= sizes[d];
          a += index * from[d];
          b += index * to[d];
        }
        body.run(a, b, inner, from[rank - 1], to[rank - 1]);
      }
    });
  }

  private static void run(MemorySegment read, long a, long stepA, MemorySegment write, long b, long stepB, long n,
      int bytes) {
    if (stepA == 1 && stepB == 1) {
      MemorySegment.copy(read, a * bytes, write, b * bytes, n * bytes);
      return;
    }
    switch (bytes) {
      case 8 -> {
        for (long i = 0; i < n; i++) {
          write.setAtIndex(ValueLayout.JAVA_LONG, b + i * stepB, read.getAtIndex(ValueLayout.JAVA_LONG, a + i * stepA));
        }
      }
      case 4 -> {
        for (long i = 0; i < n; i++) {
          write.setAtIndex(ValueLayout.JAVA_INT, b + i * stepB, read.getAtIndex(ValueLayout.JAVA_INT, a + i * stepA));
        }
      }
      case 2 -> {
        for (long i = 0; i < n; i++) {
          write.setAtIndex(ValueLayout.JAVA_SHORT, b + i * stepB,
              read.getAtIndex(ValueLayout.JAVA_SHORT, a + i * stepA));
        }
      }
      default -> {
        for (long i = 0; i < n; i++) {
          write.set(ValueLayout.JAVA_BYTE, b + i * stepB, read.get(ValueLayout.JAVA_BYTE, a + i * stepA));
        }
      }
    }
  }
}
