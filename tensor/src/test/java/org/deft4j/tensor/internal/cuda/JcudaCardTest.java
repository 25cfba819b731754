package org.deft4j.tensor.internal.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * What talks to the driver, NVRTC and cuBLAS through JCuda's own native code, with stand-ins for those three in their place: a process of
 * its own, for which their folder is the first that the loader looks in.
 */
class JcudaCardTest {
  private static final List<String> LIBRARIES = List.of("libcuda.so.1", "libnvrtc.so.12", "libcublas.so.12");
  private static final String CARD = "stand-in, architecture 9.0, 4.0 GiB";

  @TempDir
  static Path folder;

  @BeforeAll
  static void build() throws Exception {
    boolean linux = System.getProperty("os.name").equals("Linux") && System.getProperty("os.arch").equals("amd64");
    Assumptions.assumeTrue(linux && EmulatedCard.isPossible(), "JCuda's natives with stand-ins run on Linux with g++ alone");
    for (String file : List.of("stand_in.cpp", "host.h", "host_tensor_cores.h")) {
      try (InputStream in = JcudaCardTest.class.getResourceAsStream("/org/deft4j/tensor/cuda/" + file)) {
        Files.write(folder.resolve(file), in.readAllBytes());
      }
    }
    Path first = folder.resolve(LIBRARIES.getFirst());
    Process compiler = new ProcessBuilder("g++", "-O1", "-shared", "-fPIC", "-o", first.toString(), folder.resolve("stand_in.cpp").toString())
        .redirectErrorStream(true).start();
    String output = new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, compiler.waitFor(), output);
    for (String library : LIBRARIES.subList(1, LIBRARIES.size())) {
      Files.copy(first, folder.resolve(library));
    }
  }

  private static String run(String device, Map<String, String> environment) throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-Xmx1g", "-Djava.io.tmpdir=" + folder,
        "-Ddeft4j.cuda.cache=" + folder.resolve("cache"), "-cp", System.getProperty("java.class.path"), JcudaProgram.class.getName(), device);
    builder.environment().put("LD_LIBRARY_PATH", folder.toString());
    builder.environment().put("STAND_IN_FOLDER", folder.toString());
    builder.environment().putAll(environment);
    Process process = builder.redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    return output;
  }

  @Test
  void resultsAreTheCpusAndProgramsAreKept() throws Exception {
    String output = run("cuda", Map.of());
    assertTrue(output.contains("the CPU's results on " + CARD), output);
    assertTrue(output.contains("met the index 5 where indices run from 0 to 2"), output);
    Map<String, Object> kept = times();
    assertFalse(kept.isEmpty());
    assertTrue(output.contains("weights went to the card, bytes: "), output);
    assertFalse(output.contains("locks no"), output);
    assertTrue(run("cuda:0", Map.of()).contains("the CPU's results on " + CARD));
    assertEquals(kept, times());
    // One that is of no use is replaced.
    Path some = folder.resolve("cache").resolve(kept.keySet().iterator().next());
    Files.writeString(some, "no program");
    assertTrue(run("cuda", Map.of()).contains("the CPU's results on " + CARD));
    assertTrue(Files.readString(some).startsWith("stand-in:"));
  }

  /** The kept programs and when they were written. */
  private static Map<String, Object> times() throws IOException {
    Map<String, Object> times = new TreeMap<>();
    try (Stream<Path> files = Files.list(folder.resolve("cache"))) {
      for (Path file : files.toList()) {
        times.put(file.getFileName().toString(), Files.getLastModifiedTime(file));
      }
    }
    return times;
  }

  /** The system locks what the card itself needs, and no more. */
  @Test
  void whereNoMemoryIsLockedWeightsGoFromUsualMemory() throws Exception {
    String output = run("cuda", Map.of("STAND_IN_PINNED", "35651584"));
    assertTrue(output.contains("the system locks no 256.0 KiB of memory for the card"), output);
    assertTrue(output.contains("weights went to the card, bytes: ") && output.contains("the CPU's results on " + CARD), output);
  }

  @Test
  void whatCannotBeUsedIsTold() throws Exception {
    assertTrue(run("cuda:1", Map.of()).contains("device cuda:1: the driver sees 1 of them, cuda:0 to cuda:0"));
    assertTrue(run("cuda", Map.of("STAND_IN_DRIVER", "11040")).contains("the NVIDIA driver is for CUDA 11.4, and 12.0 or newer is needed"));
    // Programs of another driver are not used.
    String output = run("cuda", Map.of("STAND_IN_DRIVER", "12050", "STAND_IN_ERROR", "1"));
    assertTrue(output.contains(".cu does not compile with nvrtc 12.6, driver 12050"), output);
    assertTrue(output.contains("as the test wants it"), output);
  }
}
