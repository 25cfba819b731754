package org.deft4j.tensor.internal;

/** {@link Kernels} of the processor. */
public interface ProcessorKernels extends Kernels {
  /** The loops that the speed of {@link #run} is compared with. */
  Limits limits();
}
