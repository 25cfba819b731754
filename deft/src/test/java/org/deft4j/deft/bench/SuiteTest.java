package org.deft4j.deft.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.deft.InputException;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Which tests the suite has, and what it says of those that pass, fail, are skipped, or end the process. */
class SuiteTest {
  @TempDir
  Path folder;

  private final List<String> lines = new ArrayList<>();

  /** Run by {@link Suite} alone: build tools take no nested classes. */
  static class Passing {
    @Test
    void isOnTheDeviceThatWasAsked() {
      assertEquals("cpu", System.getProperty("deft4j.device"));
      assertTrue(System.getProperty("deft4j.fixtures").length() > 1);
    }

    @Test
    @SuppressWarnings("SystemOut")
    void whatItPrintsIsNoResult() {
      System.out.println("{\"class\": 1}");
    }
  }

  /** Fails in two ways, and skips. */
  static class Failing {
    @Test
    void skipped() {
      Assumptions.abort("no such card");
    }

    @Test
    void wrong() {
      assertEquals(4, 3, "the sum");
    }

    @TestFactory
    Stream<DynamicTest> several() {
      return Stream.of("one", "two").map(name -> DynamicTest.dynamicTest(name, () -> assertEquals("one", name)));
    }
  }

  /** Ends the process. */
  static class Deadly {
    @Test
    void halts() {
      System.err.println("what was heard last");
      Runtime.getRuntime().halt(7);
    }
  }

  private Map<String, Object> run(Class<?>... classes) {
    return new Suite(folder, Stream.of(classes).map(Class::getName).toList()).run("cpu", new Bench.Listener() {
      @Override
      public void line(String text) {
        lines.add(text);
      }

      @Override
      public void progress(int done, int total, String next, Duration elapsed) {
        assertTrue(done <= total);
      }
    });
  }

  private String lineOf(String name) {
    return lines.stream().filter(line -> line.startsWith("  " + name)).findFirst().orElseThrow();
  }

  @Test
  void aLineForEachClassAndEachFailure() {
    Map<String, Object> result = run(Passing.class, Failing.class);
    assertEquals(false, result.get("right"));
    assertEquals(List.of(6, 2, 1), List.of(result.get("tests"), result.get("failed"), result.get("skipped")));
    assertEquals(2, ((List<?>) result.get("classes")).size());
    assertEquals(List.of(0, 2), ((List<?>) result.get("classes")).stream().map(each -> ((Map<?, ?>) each).get("failed")).toList());
    assertTrue(lineOf("SuiteTest$Passing").matches(".* 2 tests +[0-9.]+ s"), lines::toString);
    assertTrue(lineOf("SuiteTest$Failing").endsWith("2 failed, 1 skipped: no such card"), lines::toString);
    List<?> failures = (List<?>) result.get("failures");
    assertTrue(failures.stream().anyMatch(failure -> failure instanceof Map<?, ?> map && map.get("test").equals("several() two")),
        failures::toString);
    assertTrue(failures.toString().contains("the sum ==> expected: <4> but was: <3>"), failures::toString);
    assertTrue(lines.contains("    wrong()") && lines.contains("      the sum ==> expected: <4> but was: <3>"), lines::toString);
    assertTrue(lines.getLast().endsWith(": 2 failed, 1 skipped"), lines::toString);
  }

  @Test
  void allRight() {
    Map<String, Object> result = run(Passing.class);
    assertEquals(true, result.get("right"));
    assertTrue(lines.getLast().startsWith("2 tests of 1 class in ") && lines.getLast().endsWith(": all right"), lines::toString);
  }

  /** A test that takes the process with it has failed, and with it what was to come. */
  @Test
  void anEarlyEndIsAFailure() {
    Map<String, Object> result = run(Passing.class, Deadly.class, Failing.class);
    assertEquals(false, result.get("right"));
    assertEquals(1, result.get("failed"));
    String said = result.get("failures").toString();
    assertTrue(said.contains("SuiteTest$Deadly") && said.contains("with status 7") && said.contains("what was heard last"), said);
  }

  @Test
  void aClassWithoutTestsIsAFailure() {
    assertEquals(false, run(SuiteProcess.class).get("right"));
  }

  private void put(String file) throws Exception {
    Path path = folder.resolve(SuiteProcess.CLASSES).resolve(file);
    Files.createDirectories(path.getParent());
    Files.createFile(path);
  }

  @Test
  void testsAreChosenByTheirNames() throws Exception {
    assertFalse(Suite.isIn(folder));
    assertTrue(assertThrows(InputException.class, () -> Suite.of(folder, List.of())).getMessage().contains("mvn -Pcuda"));
    for (String name : List.of("a/OpsFixtureTest", "a/CudaRowsTest", "a/CudaRowsTest$1", "b/UNetGoldenTest", "b/CudaSourcesTest", "b/TapeTest",
        "a/FixturesTest", "a/AdapterFixture", "a/CudaTests")) {
      put(name + ".class");
    }
    assertTrue(Suite.isIn(folder));
    assertEquals(List.of("CudaRowsTest", "OpsFixtureTest", "UNetGoldenTest"), Suite.of(folder, List.of()).names());
    assertEquals(List.of("CudaRowsTest", "UNetGoldenTest"), Suite.of(folder, List.of("Rows", "UNet")).names());
    InputException wrong = assertThrows(InputException.class, () -> Suite.of(folder, List.of("Rows", "OpsFixturTest")));
    assertEquals(1, wrong.problems().size());
    assertTrue(wrong.getMessage().contains("'OpsFixturTest' is in no class's name; did you mean 'OpsFixtureTest'?"), wrong.getMessage());
    assertTrue(assertThrows(InputException.class, () -> Suite.of(folder, List.of("Nothing"))).getMessage().contains("name. The classes"));
  }
}
