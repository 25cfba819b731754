package org.deft4j.tensor.internal;

import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Op;

/** The plain kernels: one loop a formula. */
public final class ScalarKernels implements Kernels {
  @Override
  public void run(Op op, Tensor[] in, Tensor[] out) {
    throw new IllegalStateException(op.label());
  }
}
