package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What {@code bin/deft} starts, in a repository that is built, with a Java that prints its arguments. */
@DisabledOnOs(OS.WINDOWS)
class LauncherTest {
  @TempDir
  Path root;

  private List<String> started(Map<String, String> environment, String... arguments) throws IOException, InterruptedException {
    Path launcher = root.resolve("bin/deft");
    Files.createDirectories(launcher.getParent());
    Files.copy(Fixtures.repository().resolve("bin/deft"), launcher);
    Files.createDirectories(root.resolve("deft/target/lib"));
    Files.createFile(root.resolve("deft/target/deft4j-deft-1.jar"));
    Path java = root.resolve("jdk/bin/java");
    Files.createDirectories(java.getParent());
    Files.writeString(root.resolve("jdk/release"), "JAVA_VERSION=\"25\"\n");
    Files.writeString(java, "#!/bin/sh\nfor argument; do echo \"$argument\"; done\n");
    assertTrue(java.toFile().setExecutable(true));
    ProcessBuilder builder = new ProcessBuilder("bash", launcher.toString());
    builder.command().addAll(List.of(arguments));
    builder.environment().keySet().removeAll(List.of("DEFT_CLASSPATH", "DEFT_JAVA_OPTS"));
    builder.environment().put("JAVA_HOME", root.resolve("jdk").toString());
    builder.environment().putAll(environment);
    Process process = builder.redirectErrorStream(true).start();
    List<String> printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).lines().toList();
    assertEquals(0, process.waitFor(), printed.toString());
    return printed;
  }

  /** What follows {@code -cp}, without the repository's folder. */
  private List<String> classPath(List<String> started) throws IOException {
    String path = started.get(started.indexOf("-cp") + 1);
    return List.of(path.replace(root.toRealPath() + "/", "").split(":"));
  }

  @Test
  void theProgramAndWhatItNeeds() throws Exception {
    List<String> started = started(Map.of(), "inspect", "a b");
    assertEquals(List.of("deft/target/deft4j-deft-1.jar", "deft/target/lib/*"), classPath(started));
    assertEquals(List.of("org.deft4j.deft.cli.Main", "inspect", "a b"), started.subList(started.size() - 3, started.size()));
  }

  @Test
  void classesOfOnesOwn() throws Exception {
    assertEquals(List.of("deft/target/deft4j-deft-1.jar", "deft/target/lib/*", "my own.jar", "classes"),
        classPath(started(Map.of("DEFT_CLASSPATH", "my own.jar:classes"))));
  }

  @Test
  void classesAndFlagsOfOnesOwn() throws Exception {
    List<String> started = started(Map.of("DEFT_CLASSPATH", "own.jar", "DEFT_JAVA_OPTS", "-Xmx4g -Da=b"));
    assertEquals(List.of("deft/target/deft4j-deft-1.jar", "deft/target/lib/*", "own.jar"), classPath(started));
    assertTrue(started.containsAll(List.of("-Xmx4g", "-Da=b")));
  }
}
