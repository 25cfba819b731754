package org.deft4j.deft;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The program as modules: started with {@code -p} and {@code -m}, it finds all its parts. */
class ModulePathTest {
  @Test
  void theProgramStartsOnTheModulePath() throws IOException, InterruptedException {
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    Process process = new ProcessBuilder(List.of(java.toString(), "--add-modules=jdk.incubator.vector", "-p", modulePath(),
        "-m", "org.deft4j.deft/org.deft4j.deft.cli.Main", "train", "--rank", "0")).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(2, process.waitFor(), output);
    assertTrue(output.contains("deft: rank 0: at least 1 is needed"), output);
  }

  /** This test's class path without the tests and what only they need. */
  private static String modulePath() {
    return Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator)).filter(ModulePathTest::isProduct)
        .collect(Collectors.joining(File.pathSeparator));
  }

  private static boolean isProduct(String entry) {
    String name = Path.of(entry).getFileName().toString();
    boolean test = name.equals("test-classes") || name.endsWith("-tests.jar")
        || List.of("junit", "jqwik", "opentest4j", "apiguardian", "surefire").stream().anyMatch(name::startsWith)
        || entry.contains("surefire");
    return !test && Files.exists(Path.of(entry));
  }
}
