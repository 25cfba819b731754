package org.deft4j.tensor.internal;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The products give the bits of the plain kernels with vectors of every width, each in a Java of its own. */
class TwinWidthsTest {
  @Test
  void sameBits() throws Exception {
    Map<Integer, Process> processes = new TreeMap<>();
    for (int bits = 128; bits <= Math.min(512, VectorKernels.preferredBits()); bits *= 2) {
      if (bits != VectorKernels.bits()) {
        processes.put(bits, new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--add-modules=jdk.incubator.vector", "-Ddeft4j.vectorBits=" + bits, "-Xmx1g", "-cp",
            System.getProperty("java.class.path"), TwinPrograms.class.getName()).redirectErrorStream(true).start());
      }
    }
    for (var process : processes.entrySet()) {
      String output = new String(process.getValue().getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(0, process.getValue().waitFor(), output);
      assertTrue(output.contains("same bits at " + process.getKey()), output);
    }
  }
}
