package org.deft4j.tensor.internal;

import java.util.List;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Op;

/** A row-major tensor seen as [outer, n, inner], to be worked on along n. */
public record Slab(long outer, long n, long inner) {
  /** Reduces {@code from} along n into {@code to} [outer, inner]. */
  @FunctionalInterface
  public interface Step {
    /** Does it. */
    void run(Slab slab, Tensor from, Tensor to);
  }

  /** {@code shape} with the dimensions {@code first} to {@code last}, both inclusive, as n. */
  public static Slab of(Shape shape, int first, int last) {
    return new Slab(shape.sub(0, first).elementCount(), shape.sub(first, last + 1).elementCount(),
        shape.sub(last + 1, shape.rank()).elementCount());
  }

  /** {@code shape} with one dimension as n. */
  public static Slab of(Shape shape, int dim) {
    return of(shape, dim, dim);
  }

  /** Elements that the steps of n are apart in memory from the first of result {@code index}. */
  long start(long index) {
    return index / inner * n * inner + index % inner;
  }

  /** How many results. */
  public long results() {
    return outer * inner;
  }

  /** Results that make a piece of work worth a thread. */
  long grain() {
    return Math.max(1, ScalarElementwise.GRAIN / Math.max(1, n));
  }

  /** Refuses to choose among no elements. */
  public Slab requireElements(Op op) {
    if (n == 0 && results() > 0) {
      throw new ShapeException(op.label() + ": the dimension to choose along has no elements; at least one is needed");
    }
    return this;
  }

  /**
   * Reduces {@code x} over {@code dims} (ascending) into {@code y}: dimensions next to each other in one step, the
   * innermost group first. What is between steps is of the type that arithmetic on {@code x} runs in.
   */
  public static void reduce(Tensor x, List<Integer> dims, Tensor y, Step step) {
    if (dims.isEmpty()) {
      step.run(new Slab(x.elementCount(), 1, 1), x, y);
      return;
    }
    int end = dims.size() - 1;
    int start = end;
    while (start > 0 && dims.get(start - 1) == dims.get(start) - 1) {
      start--;
    }
    Slab slab = of(x.shape(), dims.get(start), dims.get(end));
    if (start == 0) {
      step.run(slab, x, y);
      return;
    }
    Shape rest = x.shape();
    for (int i = start; i <= end; i++) {
      rest = rest.with(dims.get(i), 1);
    }
    try (Tensor partial = Tensor.empty(x.device(), x.dtype().wide(), rest)) {
      step.run(slab, x, partial);
      reduce(partial, dims.subList(0, start), y, step);
    }
  }
}
