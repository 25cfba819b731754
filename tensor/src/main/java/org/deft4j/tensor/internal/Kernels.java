package org.deft4j.tensor.internal;

import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Op;

/**
 * What a device computes. {@link ScalarKernels} is the plain implementation, documentation and oracle; {@link
 * VectorKernels} takes over what it can do faster, with the same bits; a card has kernels of its own.
 */
public interface Kernels {
  /**
   * Fills {@code outputs}, which are contiguous, of the shapes and types that {@code ShapeRules} found, and hold
   * arbitrary bytes before. Shapes and types have been checked; indices into tensors have not.
   */
  void run(Op op, Tensor[] inputs, Tensor[] outputs);

  /** Whether {@link #run} takes BF16 as the first of these inputs of {@code op}; if not, {@link Widened} gives it F32. */
  default boolean takesBf16(Op op, Tensor[] inputs) {
    return false;
  }

  /** Which kernels these are. */
  String describe();
}
