package org.deft4j.tensor.op;

import java.util.List;

/**
 * Along some dimensions. {@code dims} are sorted, distinct and non-negative; {@code keep} leaves each as size 1. Sums
 * run in a fixed tree (see {@code docs/numerics.md}).
 */
public sealed interface Reduction extends Op {
  /** The sum. */
  record Sum(List<Integer> dims, boolean keep) implements Reduction {}

  /** The largest element; NaN if any is. */
  record Max(List<Integer> dims, boolean keep) implements Reduction {}

  /** The smallest element; NaN if any is. */
  record Min(List<Integer> dims, boolean keep) implements Reduction {}

  /** The product. */
  record Prod(int dim, boolean keep) implements Reduction {}

  /** The index (I64) of the first largest element. */
  record ArgMax(int dim, boolean keep) implements Reduction {}

  /** The index (I64) of the first smallest element. */
  record ArgMin(int dim, boolean keep) implements Reduction {}

  /** {@code y_i = x_0 + ... + x_i}; the shape stays. */
  record CumSum(int dim) implements Reduction {}

  /** {@code e^(x_i - m) / sum_j e^(x_j - m)} with {@code m} the largest; the shape stays. */
  record Softmax(int dim) implements Reduction {}

  /** {@code log softmax}; the shape stays. */
  record LogSoftmax(int dim) implements Reduction {}

  /** {@code log sum_j e^(x_j)}, computed with the largest taken out. */
  record LogSumExp(int dim, boolean keep) implements Reduction {}
}
