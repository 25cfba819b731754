package org.deft4j.deft.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.junit.jupiter.api.Assertions.assertTrue;

/** The program in a process of its own, whose messages are read as they come. */
final class Child implements AutoCloseable {
  private final Process process;
  private final BufferedReader messages;
  private final StringBuilder read = new StringBuilder();

  private Child(Process process) {
    this.process = process;
    messages = new BufferedReader(new InputStreamReader(process.getErrorStream(), StandardCharsets.UTF_8));
  }

  /** Starts it with one more flag for the JVM and the program's arguments. */
  static Child start(String flag, String... arguments) throws IOException {
    return start(List.of(), flag, arguments);
  }

  /** Starts it by way of {@code prefix}, a command that ends with what it is to run. */
  static Child start(List<String> prefix, String flag, String... arguments) throws IOException {
    return start(prefix, List.of(flag), arguments);
  }

  /** The same with several flags. */
  static Child start(List<String> prefix, List<String> flags, String... arguments) throws IOException {
    List<String> command = new ArrayList<>(prefix);
    command.addAll(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "--enable-native-access=ALL-UNNAMED", "--add-modules=jdk.incubator.vector", "-XX:+UseSerialGC",
        "-XX:ObjectAlignmentInBytes=64", "-Djava.awt.headless=true"));
    command.addAll(flags);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), "org.deft4j.deft.cli.Main"));
    command.addAll(List.of(arguments));
    return new Child(new ProcessBuilder(command).start());
  }

  /** Reads messages up to one that contains {@code text}. */
  void awaitMessage(String text) throws IOException {
    String line = "";
    while (line != null && !line.contains(text)) {
      line = messages.readLine();
      read.append(line).append('\n');
    }
    assertTrue(line != null, "no message '" + text + "' in: " + read);
  }

  /** All of its standard output, to its end. */
  String output() throws IOException {
    return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
  }

  /** Waits for its end; returns the most that was resident until shortly before. */
  long peakBytes() throws IOException, InterruptedException {
    Path status = Path.of("/proc", Long.toString(process.pid()), "status");
    long peak = 0;
    while (!process.waitFor(10, TimeUnit.MILLISECONDS)) {
      try (Stream<String> lines = Files.lines(status)) {
        peak = Math.max(peak, lines.filter(line -> line.startsWith("VmHWM:"))
            .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024).findFirst().orElse(0));
      } catch (UncheckedIOException | NoSuchFileException _) {
        // It has ended since.
      }
    }
    return peak;
  }

  /** Sends it what Ctrl-C sends. */
  void interrupt() throws IOException, InterruptedException {
    signal("-INT");
  }

  private void signal(String which) throws IOException, InterruptedException {
    new ProcessBuilder("kill", which, Long.toString(process.pid())).start().waitFor();
  }

  /** Ends it at once, with what it cannot catch. */
  void kill() throws IOException, InterruptedException {
    signal("-KILL");
  }

  /** Waits for its end; returns the exit status. */
  int status() throws IOException, InterruptedException {
    messages.lines().forEach(line -> read.append(line).append('\n'));
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "the program ends");
    return process.exitValue();
  }

  /** All messages that were read. */
  String messages() {
    return read.toString();
  }

  @Override
  public void close() {
    process.destroyForcibly();
  }
}
