package org.deft4j.tensor.internal;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Which kernels are chosen in which Java, and that the choice does not show in a single bit. */
class CpuKernelsTest {
  private static final String VECTOR_API = "--add-modules=jdk.incubator.vector";

  /** Starts Java on {@link KernelHash}. */
  private static Process start(String... flags) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(flags));
    command.addAll(List.of("-Xmx1g", "-cp", System.getProperty("java.class.path"), KernelHash.class.getName()));
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  private static String output(Process process) throws IOException, InterruptedException {
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(5, TimeUnit.MINUTES), text);
    return text;
  }

  private static String lastLine(String text) {
    return text.substring(text.stripTrailing().lastIndexOf('\n') + 1).strip();
  }

  @Test
  void sameBitsForEveryWidthAndNumberOfThreads() throws Exception {
    List<Process> processes = new ArrayList<>();
    List<String> expected = new ArrayList<>();
    processes.add(start("-Ddeft4j.threads=1"));
    expected.add("scalar threads1");
    for (int bits = 128; bits <= Math.min(512, VectorKernels.preferredBits()); bits *= 2) {
      int threads = bits == 256 ? 1 : 2;
      processes.add(start(VECTOR_API, "-Ddeft4j.vectorBits=" + bits, "-Ddeft4j.threads=" + threads));
      expected.add("vector" + bits + " threads" + threads);
    }
    String hash = null;
    for (int i = 0; i < processes.size(); i++) {
      String text = output(processes.get(i));
      String line = lastLine(text);
      assertTrue(line.startsWith(expected.get(i)), text);
      String found = line.substring(line.lastIndexOf(' ') + 1);
      assertEquals(hash == null ? found : hash, found, line);
      hash = found;
    }
  }

  @Test
  void withoutTheModuleTheLogTellsWhichFlagToPass() throws Exception {
    String text = output(start("-Ddeft4j.kernels=vector"));
    assertTrue(text.contains("the module jdk.incubator.vector is missing; pass --add-modules jdk.incubator.vector"), text);
    assertTrue(text.contains("IllegalStateException"), text);
  }

  @Test
  void anUnknownChoiceIsRefused() throws Exception {
    String text = output(start(VECTOR_API, "-Ddeft4j.kernels=fast"));
    assertTrue(text.contains("deft4j.kernels: fast, expected auto, scalar or vector"), text);
  }
}
