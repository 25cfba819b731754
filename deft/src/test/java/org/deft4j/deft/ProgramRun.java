package org.deft4j.deft;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The program, run as a process of its own to its end, and what the system says it took.
 *
 * @param output standard output
 * @param peakBytes the most memory that was resident ({@code VmHWM})
 */
record ProgramRun(int status, String output, String messages, double seconds, long peakBytes) {
  private static final long POLL_MILLIS = 20;
  private static final String PEAK = "VmHWM:";

  /** Runs it with the flags of {@code bin/deft}; what it prints goes to files in {@code folder} first. */
  static ProgramRun of(Path folder, String... arguments) throws IOException, InterruptedException {
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    List<String> command = new ArrayList<>(List.of(java.toString()));
    command.addAll(List.of(System.getProperty("deft4j.jvm").split(" ")));
    command.addAll(List.of("-XX:+UseSerialGC", "-Xmn16m", "-Djava.awt.headless=true", "-cp",
        System.getProperty("java.class.path"), "org.deft4j.deft.cli.Main"));
    command.addAll(List.of(arguments));
    Path output = Files.createTempFile(folder, "output", ".txt");
    Path messages = Files.createTempFile(folder, "messages", ".txt");
    long start = System.nanoTime();
    Process process = new ProcessBuilder(command).redirectOutput(output.toFile()).redirectError(messages.toFile()).start();
    try {
      long peak = 0;
      while (!process.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS)) {
        peak = Math.max(peak, peakBytes(process.pid()));
      }
      return new ProgramRun(process.exitValue(), Files.readString(output, StandardCharsets.UTF_8),
          Files.readString(messages, StandardCharsets.UTF_8), (System.nanoTime() - start) / 1e9, peak);
    } finally {
      process.destroyForcibly();
    }
  }

  /** The system's high-water mark of a process, or 0 where it has ended. */
  private static long peakBytes(long pid) {
    try {
      return Files.readAllLines(Path.of("/proc/" + pid + "/status")).stream().filter(line -> line.startsWith(PEAK))
          .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024).findFirst().orElse(0);
    } catch (IOException _) {
      return 0;
    }
  }
}
