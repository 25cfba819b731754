package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * Copies between any two layouts of one shape. Dimensions that both sides step through evenly are merged first. Where both
 * lie dense along one dimension, runs along it are copied; where each lies dense along one of its own, squares of these two
 * are turned; else it is one element after the other. Work is split over the target.
 */
final class StridedCopy {
  /** Elements below which a second thread costs more than it saves. */
  private static final long GRAIN = 1 << 15;
  /** Lines, and elements of a line, that are turned at a time: they and the result stay in the cache next to the processor. */
  static final int TILE = 64;

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
    copy(source, Strides.stretched(source, shape.rank()), source.offset(), target, shape, targetStrides, targetOffset);
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
    plan.copy(read, sourceOffset, write, targetOffset, bytes);
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
    StridedCopy plan = new StridedCopy(target.shape(), Strides.stretched(source, target.rank()), target.strides());
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

  /** Walks two tensors of one shape in the longest runs along which both advance evenly; offsets count from their first. */
  static void walk(Tensor a, Tensor b, Run body) {
    if (a.elementCount() > 0) {
      new StridedCopy(b.shape(), a.strides(), b.strides()).forEachRun(body);
    }
  }

  /** A run of {@code n} elements, from offsets a and b by their steps. */
  @FunctionalInterface
  interface Run {
    /** Works on it. */
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

  // ------------------------------------------------------------------------------------------------------ copies

  private void copy(MemorySegment read, long startA, MemorySegment write, long startB, int bytes) {
    int unitFrom = unit(from);
    int unitTo = unit(to);
    if (unitFrom >= 0 && unitFrom == unitTo && rank > 1) {
      copyRuns(unitTo, read, startA, write, startB, bytes);
    } else if (unitFrom >= 0 && unitTo >= 0 && unitFrom != unitTo) {
      turn(unitFrom, unitTo, read, startA, write, startB, bytes);
    } else {
      forEachRun((a, b, n, stepA, stepB) -> {
        if (stepA == 1 && stepB == 1) {
          MemorySegment.copy(read, (startA + a) * bytes, write, (startB + b) * bytes, n * bytes);
        } else {
          CopyBlocks.steps(read, startA + a, stepA, write, startB + b, stepB, n, bytes);
        }
      });
    }
  }

  /** The dimension along which elements lie side by side, or -1. */
  private int unit(long[] strides) {
    for (int d = rank - 1; d >= 0; d--) {
      if (strides[d] == 1 && sizes[d] > 1) {
        return d;
      }
    }
    return -1;
  }

  /** The dimension other than {@code a} and {@code b} along which the target advances least, or -1. */
  private int next(int a, int b) {
    int found = -1;
    for (int d = 0; d < rank; d++) {
      if (d != a && d != b && (found < 0 || Math.abs(to[d]) <= Math.abs(to[found]))) {
        found = d;
      }
    }
    return found;
  }

  /** Runs along one dimension, as many of them at a time as a thread should take. */
  private void copyRuns(int unit, MemorySegment read, long startA, MemorySegment write, long startB, int bytes) {
    int along = next(unit, unit);
    long length = sizes[unit];
    long piece = Math.clamp(GRAIN / length, 1, sizes[along]);
    long pieces = (sizes[along] + piece - 1) / piece;
    CopyBlocks blocks = CopyBlocks.get();
    forEachBlock(unit, along, pieces, Math.max(1, GRAIN / (piece * length)), (a, b, index) -> {
      long first = index * piece;
      blocks.runs(read, startA + a + first * from[along], from[along], write, startB + b + first * to[along], to[along],
          Math.min(piece, sizes[along] - first), length, bytes);
    });
  }

  /** Squares of the dimensions p, along which the source lies dense, and q, along which the target does. */
  private void turn(int p, int q, MemorySegment read, long startA, MemorySegment write, long startB, int bytes) {
    long across = (sizes[q] + TILE - 1) / TILE;
    long down = (sizes[p] + TILE - 1) / TILE;
    CopyBlocks blocks = CopyBlocks.get();
    forEachBlock(p, q, across * down, Math.max(1, GRAIN / (TILE * TILE)), (a, b, index) -> {
      long k = index / across * TILE;
      long i = index % across * TILE;
      blocks.turn(read, startA + a + k + i * from[q], from[q], write, startB + b + i + k * to[p], to[p],
          (int) Math.min(TILE, sizes[q] - i), (int) Math.min(TILE, sizes[p] - k), bytes);
    });
  }

  /** Block {@code index} of those at offsets a and b. */
  @FunctionalInterface
  private interface Block {
    void run(long a, long b, long index);
  }

  /** So many blocks for every index of the dimensions other than two. */
  private void forEachBlock(int one, int other, long count, long grain, Block body) {
    long outer = count;
    for (int d = 0; d < rank; d++) {
      outer *= d == one || d == other ? 1 : sizes[d];
    }
    Parallel.forRange(outer, grain, (first, last) -> {
      for (long block = first; block < last; block++) {
        long a = 0;
        long b = 0;
        long rest = block / count;
        for (int d = rank - 1; d >= 0; d--) {
          if (d != one && d != other) {
            long index = rest % sizes[d];
            rest /= sizes[d];
            a += index * from[d];
            b += index * to[d];
          }
        }
        body.run(a, b, block % count);
      }
    });
  }
}
