package org.deft4j.deft.bench;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;

/**
 * The process in which the tests of a {@link Suite} run: this Java with this process's flags and class path, and the tests and what runs them
 * behind it. It writes a line of JSON for each class; {@code SuiteMain}, among the tests, is the other end.
 */
final class SuiteProcess {
  /** The tests' classes and resources, in the folder of a suite. */
  static final String CLASSES = "classes";
  private static final String LIBRARIES = "lib";
  private static final String FIXTURES = "fixtures";
  private static final String FIXTURES_PROPERTY = "deft4j.fixtures";
  private static final String MAIN = "org.deft4j.deft.bench.SuiteMain";
  private static final int LAST_WORDS = 15;

  private SuiteProcess() {}

  /** Runs {@code classes}, telling each one's result; returns how the process ended. */
  static String run(Path folder, String device, List<String> classes, Consumer<JsonObject> result) {
    try {
      Path messages = Files.createTempFile("deft-suite", ".log");
      try {
        Process process = new ProcessBuilder(command(folder, device, classes)).redirectError(messages.toFile()).start();
        // Who stops this program stops the tests too.
        Thread stop = new Thread(process::destroy);
        Runtime.getRuntime().addShutdownHook(stop);
        try {
          read(process, result);
          return "with status " + process.waitFor() + ": " + lastWords(messages);
        } finally {
          process.destroy();
          Runtime.getRuntime().removeShutdownHook(stop);
        }
      } finally {
        Files.deleteIfExists(messages);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while tests ran", e);
    }
  }

  private static void read(Process process, Consumer<JsonObject> result) throws IOException {
    try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        // Native code may write there too.
        if (line.startsWith("{")) {
          result.accept(Json.parse(line, MAIN));
        }
      }
    }
  }

  private static String lastWords(Path messages) throws IOException {
    List<String> lines = Files.readString(messages, StandardCharsets.ISO_8859_1).lines().toList();
    return String.join("\n", lines.subList(Math.max(0, lines.size() - LAST_WORDS), lines.size()));
  }

  private static List<String> command(Path folder, String device, List<String> classes) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // A descriptor of this process is none of that one's.
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream().filter(flag -> !flag.startsWith("-Ddeft4j.stderr="))
        .forEach(command::add);
    command.add("-Ddeft4j.device=" + device);
    if (System.getProperty(FIXTURES_PROPERTY, "").isEmpty()) {
      command.add("-D" + FIXTURES_PROPERTY + "=" + folder.resolve(FIXTURES));
    }
    command.add("-cp");
    command.add(String.join(File.pathSeparator, System.getProperty("java.class.path"), folder.resolve(CLASSES).toString(),
        folder.resolve(LIBRARIES) + File.separator + "*"));
    command.add(MAIN);
    command.addAll(classes);
    return command;
  }
}
