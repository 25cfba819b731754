package org.deft4j.deft.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Nearest;
import org.deft4j.weights.JsonObject;

/**
 * The tests that a card is held to, as the program carries them where it was packaged for cards: each kernel against the plain one, and
 * all that is compared with golden data, outputs, gradients and training of ten steps, computed on the card. They are the project's own tests,
 * chosen by the names of their classes; {@code mvn verify -Pgpu} runs the same where there is Maven.
 */
public final class Suite {
  /** What of the suite is not there is said with this. */
  public static final String MISSING = "the tests of the suite are not beside this program: package it with them (mvn -Pcuda -DskipTests package)";

  /**
   * Kernels against the plain ones, and whatever reads golden data; the root pom's profile gpu has the patterns of the latter. Whether nvcc
   * takes the kernels' sources says nothing of a card.
   */
  private static final Pattern CHOSEN = Pattern.compile("Cuda(?!Sources)\\w*Test|\\w+(Golden|Fixture)Test");
  private static final String CLASS = ".class";
  private static final int MESSAGE_LINES = 12;

  private final Path folder;
  private final List<String> classes;

  /** The suite of {@code folder}, these classes of it. */
  Suite(Path folder, List<String> classes) {
    this.folder = folder;
    this.classes = classes;
  }

  /** Where the program's suite is, if it has one. */
  public static Path folder() {
    return Path.of(System.getProperty("deft4j.home", ""), "deft/target/verify");
  }

  /** Whether there is a suite in {@code folder}. */
  public static boolean isIn(Path folder) {
    return Files.isDirectory(folder.resolve(SuiteProcess.CLASSES));
  }

  /**
   * The classes of the suite in {@code folder} whose simple name contains one of {@code parts}; all where there are none.
   *
   * @throws InputException if there is no suite, or a part is in no name
   */
  public static Suite of(Path folder, List<String> parts) {
    if (!isIn(folder)) {
      throw new InputException("--suite: " + MISSING);
    }
    List<String> all = all(folder.resolve(SuiteProcess.CLASSES));
    List<String> names = all.stream().map(Suite::simpleName).toList();
    List<String> problems = parts.stream().filter(part -> names.stream().noneMatch(name -> name.contains(part)))
        .map(part -> "--suite: '" + part + "' is in no class's name" + orFullStop(Nearest.hint(part, names)) + " The classes are "
            + String.join(", ", names)).toList();
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return new Suite(folder, all.stream().filter(name -> parts.isEmpty() || parts.stream().anyMatch(simpleName(name)::contains)).toList());
  }

  /** A hint, or what ends the sentence without one. */
  static String orFullStop(String hint) {
    return hint.isEmpty() ? "." : hint;
  }

  /** The kernels' tests first, in the order of their names. */
  private static List<String> all(Path root) {
    try (Stream<Path> files = Files.walk(root)) {
      List<String> names = files.filter(file -> CHOSEN.matcher(file.getFileName().toString().replace(CLASS, "")).matches())
          .map(file -> root.relativize(file).toString().replace(CLASS, "").replaceAll("[/\\\\]", ".")).sorted().toList();
      return Stream.of(true, false).flatMap(kernels -> names.stream().filter(name -> simpleName(name).startsWith("Cuda") == kernels)).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String simpleName(String className) {
    return className.substring(className.lastIndexOf('.') + 1);
  }

  /** The simple names of the classes that would be run. */
  public List<String> names() {
    return classes.stream().map(Suite::simpleName).toList();
  }

  /**
   * Runs the tests in a process of their own.
   *
   * @param device what tensors are on, such as {@code cuda:1}
   * @param listener is told a line for each class and each failure
   * @return counts, classes, failures, and whether all is right
   */
  public Map<String, Object> run(String device, Bench.Listener listener) {
    long start = System.nanoTime();
    List<Map<String, Object>> results = new ArrayList<>();
    List<Map<String, Object>> failures = new ArrayList<>();
    listener.line("the tests of the suite, float32 on " + device);
    listener.progress(0, classes.size(), classes.isEmpty() ? "" : simpleName(classes.getFirst()), Duration.ZERO);
    String end = SuiteProcess.run(folder, device, classes, result -> {
      List<JsonObject> failed = result.requireObjects("failures");
      Map<String, Object> counts = new LinkedHashMap<>(result.asMap());
      counts.remove("failures");
      counts.put("failed", failed.size());
      results.add(counts);
      listener.line(line(result));
      for (JsonObject failure : failed) {
        failures.add(failure.asMap());
        lines(failure).forEach(listener::line);
      }
      int done = results.size();
      listener.progress(done, classes.size(), done < classes.size() ? simpleName(classes.get(done)) : "",
          Duration.ofNanos(System.nanoTime() - start));
    });
    if (results.size() < classes.size()) {
      String message = "the process of the tests ended early, " + end;
      Map<String, Object> failure = failure(classes.get(results.size()), message);
      failures.add(failure);
      listener.line("  " + simpleName(classes.get(results.size())) + ": " + message);
    }
    return document(results, failures, (System.nanoTime() - start) / 1e9, listener);
  }

  private static Map<String, Object> failure(String className, String message) {
    Map<String, Object> failure = new LinkedHashMap<>();
    failure.put("class", className);
    failure.put("test", "");
    failure.put("message", message);
    return failure;
  }

  private static String line(JsonObject result) {
    int failed = result.requireObjects("failures").size();
    int skipped = result.requireStrings("skipped").size();
    return String.format(Locale.ROOT, "  %-48s %4d tests %8.2f s  %s%s", simpleName(result.requireString("class")), result.requireInteger("tests"),
        result.requireNumber("seconds"), failed == 0 ? "" : failed + " failed",
        skipped == 0 ? "" : (failed == 0 ? "" : ", ") + skipped + " skipped: " + result.requireStrings("skipped").getFirst()).stripTrailing();
  }

  private static List<String> lines(JsonObject failure) {
    List<String> lines = new ArrayList<>(List.of("    " + failure.requireString("test")));
    failure.requireString("message").lines().limit(MESSAGE_LINES).forEach(text -> lines.add("      " + text));
    return lines;
  }

  private Map<String, Object> document(List<Map<String, Object>> results, List<Map<String, Object>> failures, double seconds,
      Bench.Listener listener) {
    int tests = results.stream().mapToInt(result -> ((Number) result.get("tests")).intValue()).sum();
    int skipped = results.stream().mapToInt(result -> ((List<?>) result.get("skipped")).size()).sum();
    listener.line(String.format(Locale.ROOT, "%d test%s of %d class%s in %.1f s: %s%s", tests, tests == 1 ? "" : "s", results.size(),
        results.size() == 1 ? "" : "es", seconds,
        failures.isEmpty() ? "all right" : failures.size() + " failed", skipped == 0 ? "" : ", " + skipped + " skipped"));
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("right", failures.isEmpty());
    map.put("tests", tests);
    map.put("failed", failures.size());
    map.put("skipped", skipped);
    map.put("seconds", seconds);
    map.put("classes", results);
    map.put("failures", failures);
    return map;
  }
}
