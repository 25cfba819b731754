package org.deft4j.deft.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.internal.cuda.CudaTests;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** {@code deft bench --verify} in a process of its own, on a card or on the processor in its place: which parts run, and what is said of them. */
class BenchVerifyTest {
  private static final String ROW = "update/adam 262144";

  @TempDir
  Path home;

  /** Runs it in a program that was packaged in {@link #home}; returns what it printed. */
  private String verify(String... more) throws Exception {
    List<String> arguments = new ArrayList<>(List.of("bench", "--device", "cuda", "--verify"));
    arguments.addAll(List.of(more));
    List<String> flags = new ArrayList<>(List.of("-Ddeft4j.home=" + home, "-Ddeft4j.fixtures=" + Fixtures.root()));
    for (String name : List.of("deft4j.cuda.card", "deft4j.cuda.hostFolder")) {
      flags.add("-D" + name + "=" + System.getProperty(name));
    }
    try (Child child = Child.start(List.of(), flags, arguments.toArray(String[]::new))) {
      String output = child.output();
      assertEquals(0, child.status(), output + child.messages());
      return output;
    }
  }

  /** A suite of one class, which is on the class path already. */
  private void packageSuite() throws Exception {
    Path file = home.resolve("deft/target/verify/classes/org/deft4j/deft/DeftLayerGoldenTest.class");
    Files.createDirectories(file.getParent());
    Files.createFile(file);
  }

  @Test
  void rowsAlone() throws Exception {
    CudaTests.assumeCard();
    packageSuite();
    String text = verify("--rows", ROW);
    assertTrue(text.contains(ROW), text);
    assertFalse(text.contains("DeftLayerGoldenTest"), text);
  }

  @Test
  void rowsAndTests() throws Exception {
    CudaTests.assumeCard();
    packageSuite();
    JsonObject document = Json.parse(verify("--json", "--rows", ROW, "--suite", "DeftLayer"), "bench");
    assertTrue(document.requireBool("right"));
    assertEquals(1, document.requireObjects("rows").size());
    JsonObject suite = document.requireObject("suite");
    assertTrue(suite.requireBool("right") && suite.requireInteger("tests") >= 3, suite::toString);
    assertEquals(0, suite.requireInteger("failed"));
    JsonObject only = suite.requireObjects("classes").getFirst();
    assertEquals("org.deft4j.deft.DeftLayerGoldenTest", only.requireString("class"));
    assertTrue(only.requireNumber("seconds") > 0);

    JsonObject alone = Json.parse(verify("--json", "--suite", "DeftLayer"), "bench");
    assertFalse(alone.has("rows"));
    assertTrue(alone.requireObject("suite").requireBool("right"));
  }

  @Test
  void mistakesAreTold() {
    Terminal terminal = Terminal.run("bench", "--suite", "Golden");
    assertEquals(2, terminal.status());
    assertTrue(terminal.err().contains("give --verify too"), terminal.err());
    Terminal absent = Terminal.run("bench", "--verify", "--suite", "Golden");
    assertEquals(2, absent.status());
    assertTrue(absent.err().contains("give --device cuda too"), absent.err());
    assertTrue(absent.err().contains("mvn -Pcuda -DskipTests package"), absent.err());
  }
}
