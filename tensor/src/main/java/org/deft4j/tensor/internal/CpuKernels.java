package org.deft4j.tensor.internal;

/** Which kernels this process runs on the CPU; found once. */
public final class CpuKernels {
  private static final Kernels CHOSEN = new ScalarKernels();

  private CpuKernels() {}

  /** The kernels. */
  public static Kernels get() {
    return CHOSEN;
  }
}
