package org.deft4j.nn;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/** Rows of a table: ids [...] to {@code table[ids]} [..., D]; table [count, D]. */
public final class Embedding extends Module {
  private final Parameter weight;

  /** A table of {@code count} rows of {@code dim}. */
  public Embedding(long count, long dim) {
    weight = parameter("weight", count, dim);
  }

  /** ids of type I64 or I32. A table in 16 bits gives F32: only the rows that are asked for are converted. */
  public Tensor forward(Tensor ids) {
    Tensor rows = weight.value().embedding(ids);
    return observed(rows.dtype().isComputable() ? rows : rows.cast(DType.F32));
  }

  /** The table. */
  public Parameter weight() {
    return weight;
  }
}
