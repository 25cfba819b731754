package org.deft4j.tensor.internal;

import java.lang.System.Logger.Level;
import java.lang.management.ManagementFactory;
import java.util.Locale;

/**
 * Which kernels this process runs on the CPU; found once, and said in one line of the log. No class that
 * mentions the Vector API is touched before it is known to be there, so that without it the scalar kernels run.
 */
public final class CpuKernels {
  /** What {@code -Ddeft4j.kernels} may force. */
  private static final String FORCE = "deft4j.kernels";

  private static final String FLAG = "pass --add-modules jdk.incubator.vector to java";

  private CpuKernels() {}

  private static final class Holder {
    static final ProcessorKernels CHOSEN = choose(System.getProperty(FORCE, "auto"));
  }

  /** The kernels. */
  public static ProcessorKernels get() {
    return Holder.CHOSEN;
  }

  /** Whether they are those of the Vector API. */
  static boolean haveVectors() {
    return get() instanceof VectorKernels;
  }

  private static ProcessorKernels choose(String wanted) {
    if (!wanted.equals("auto") && !wanted.equals("scalar") && !wanted.equals("vector")) {
      throw new IllegalArgumentException(FORCE + ": " + wanted + ", expected auto, scalar or vector");
    }
    String obstacle = wanted.equals("scalar") ? "asked for by -D" + FORCE + "=scalar" : obstacle();
    if (obstacle == null) {
      ProcessorKernels kernels = new VectorKernels();
      log(kernels.describe());
      return kernels;
    }
    if (wanted.equals("vector")) {
      throw new IllegalStateException("-D" + FORCE + "=vector: " + obstacle);
    }
    ProcessorKernels kernels = new ScalarKernels();
    log(kernels.describe() + ": " + obstacle);
    return kernels;
  }

  private static void log(String line) {
    System.getLogger("org.deft4j.tensor").log(Level.INFO, line);
  }

  /** Why the vector kernels cannot run here, and what to do about it; null if they can. */
  private static String obstacle() {
    Module vector = ModuleLayer.boot().findModule("jdk.incubator.vector").orElse(null);
    if (vector == null) {
      return "the module jdk.incubator.vector is missing; " + FLAG;
    }
    Module own = CpuKernels.class.getModule();
    if (!own.canRead(vector)) {
      own.addReads(vector);
    }
    String name = System.getProperty("java.vm.name", "").toLowerCase(Locale.ROOT);
    String info = System.getProperty("java.vm.info", "").toLowerCase(Locale.ROOT);
    if (!(name.contains("hotspot") || name.contains("openjdk")) || info.contains("interpreted")) {
      return "this Java is not HotSpot with its compiler C2, without which vectors are objects; use OpenJDK without -Xint";
    }
    if (ManagementFactory.getRuntimeMXBean().getInputArguments().stream().anyMatch(CpuKernels::turnsC2Off)) {
      return "the compiler C2 is turned off; leave out -XX:TieredStopAtLevel and -XX:-UseCompiler";
    }
    int bits = VectorKernels.preferredBits();
    return bits < 128 ? "the vectors of this processor are " + bits + " bits wide; 128 are needed" : null;
  }

  private static boolean turnsC2Off(String flag) {
    return flag.matches("-XX:TieredStopAtLevel=[0-3]") || flag.equals("-XX:-UseCompiler") || flag.equals("-client");
  }
}
