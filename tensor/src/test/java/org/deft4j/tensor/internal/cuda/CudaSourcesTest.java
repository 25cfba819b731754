package org.deft4j.tensor.internal.cuda;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** Every source compiles for both architectures that we write for, without a warning, where CUDA's compiler is. */
class CudaSourcesTest {
  private static final String NVCC = System.getProperty("deft4j.cuda.nvcc", "nvcc");
  private static final List<String> ARCHITECTURES = List.of("sm_80", "sm_90");

  @BeforeAll
  static void needsCompiler() throws Exception {
    Assumptions.assumeTrue(hasCompiler(), "no " + NVCC + " here: the sources of the kernels are not compiled for a card");
  }

  private static boolean hasCompiler() throws InterruptedException {
    try {
      return new ProcessBuilder(NVCC, "--version").redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start()
          .waitFor() == 0;
    } catch (IOException _) {
      return false;
    }
  }

  @Test
  void everySourceCompiles(@TempDir Path folder) throws Exception {
    List<Callable<String>> jobs = new ArrayList<>();
    for (String name : Sources.NAMES) {
      Path source = Files.writeString(folder.resolve(name + ".cu"), Sources.text(name));
      ARCHITECTURES.forEach(architecture -> jobs.add(() -> compile(source, architecture)));
    }
    List<String> failures = new ArrayList<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors())) {
      for (Future<String> result : threads.invokeAll(jobs)) {
        if (!result.get().isEmpty()) {
          failures.add(result.get());
        }
      }
    }
    assertEquals(List.of(), failures);
  }

  /** What the compiler says; its optimizer does as little as it can, which is several times as fast. */
  private static String compile(Path source, String architecture) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(NVCC, "-std=c++17", "-arch=" + architecture, "-ptx", "-Ofc", "max", "-Werror", "all-warnings", "-o",
        source + "." + architecture, source.toString()).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return process.waitFor() == 0 ? "" : source.getFileName() + " for " + architecture + ":\n" + output;
  }
}
