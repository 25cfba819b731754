package org.deft4j.tensor.op;

/**
 * An operation: a small immutable record of its attributes (axes, stride, epsilon, ...), without its inputs. The family
 * is closed. Whoever must handle every operation (shapes, kernels, gradients) switches over it without a default, so
 * that a new one does not compile until each of them knows it.
 */
public sealed interface Op
    permits Unary, Binary, Reduction, View, Layout, Indexing, Contraction, Norm, Spatial, Fused, Decompose, InPlace {

  /** The name in error messages and profiles: the record's, as in {@code GroupNorm} becomes {@code group_norm}. */
  default String label() {
    return Labels.INSTANCE.get(getClass());
  }
}
