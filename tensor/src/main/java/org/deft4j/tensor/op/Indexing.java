package org.deft4j.tensor.op;

/** Elements chosen by other tensors. Indices are I32 or I64, not negative, and checked. */
public sealed interface Indexing extends Op {
  /** {@code x, index [n]}: the slices {@code index[0], index[1], ...} of dimension {@code dim}; dim 0 of a table is an embedding. */
  record IndexSelect(int dim) implements Indexing {}

  /** {@code x, index [n], source}: a copy of x in which slice {@code index[i]} of {@code dim} has gained slice i of source. */
  record IndexAdd(int dim) implements Indexing {}

  /** {@code x, index}: {@code y[..., i, ...] = x[..., index[..., i, ...], ...]} along {@code dim}; the shape of index. */
  record Gather(int dim) implements Indexing {}

  /** {@code x, index, source}: a copy of x with {@code y[..., index[..., i, ...], ...] += source[..., i, ...]}, i ascending. */
  record ScatterAdd(int dim) implements Indexing {}

  /** Two outputs: the values sorted along {@code dim}, stably, and the index (I64) each came from. */
  record Sort(int dim, boolean descending) implements Indexing {}

  /** {@code condition (BOOL), a, b}, broadcast: a where true, else b. */
  record Where() implements Indexing {}
}
