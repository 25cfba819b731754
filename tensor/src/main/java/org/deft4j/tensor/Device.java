package org.deft4j.tensor;

import java.util.Locale;

/** Where a tensor's data is and its operations run. */
public enum Device {
  /** Native memory of this process, computed by the scalar or vector kernels. */
  CPU,
  /** Nowhere: only shapes, types and bytes are followed. A program run on it is its own memory estimate. */
  META;

  /**
   * Reads {@code cpu} or {@code cuda[:n]}.
   *
   * @throws IllegalArgumentException for another name, or for {@code cuda}, which has no kernels yet
   */
  public static Device parse(String name) {
    String text = name.toLowerCase(Locale.ROOT);
    if (text.equals("cpu")) {
      return CPU;
    }
    if (text.matches("cuda(:\\d+)?")) {
      throw new IllegalArgumentException("device " + name + ": there are no CUDA kernels yet ("
          + (jcudaPresent() ? "JCuda was found" : "and JCuda is not on the class path") + "); use --device cpu");
    }
    throw new IllegalArgumentException("device '" + name + "' is unknown; use cpu");
  }

  /** Whether JCuda is there; asked by name, so that nothing needs its jars. */
  private static boolean jcudaPresent() {
    try {
      Class.forName("jcuda.driver.JCudaDriver", false, Device.class.getClassLoader());
      return true;
    } catch (ClassNotFoundException e) {
      return false;
    }
  }
}
