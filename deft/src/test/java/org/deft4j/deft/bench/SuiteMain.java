package org.deft4j.deft.bench;

import java.io.PrintStream;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deft4j.weights.Json;
import org.junit.platform.launcher.EngineFilter;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

/** What {@link Suite} starts in a process of its own: runs the classes that are named, and writes a line of JSON for each. */
final class SuiteMain {
  private SuiteMain() {}

  /** Runs classes of tests, one after the other. */
  public static void main(String[] classes) {
    PrintStream results = System.out;
    // What tests print is no result.
    System.setOut(System.err);
    Launcher launcher = LauncherFactory.create();
    for (String name : classes) {
      results.println(Json.formatLine(run(launcher, name)));
      results.flush();
    }
    // A thread that a test has left must not keep the process.
    System.exit(0);
  }

  private static Map<String, Object> run(Launcher launcher, String name) {
    long start = System.nanoTime();
    SuiteOutcome outcome = new SuiteOutcome(name);
    launcher.execute(LauncherDiscoveryRequestBuilder.request().selectors(selectClass(name))
        .filters(EngineFilter.includeEngines("junit-jupiter")).build(), outcome);
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("class", name);
    result.putAll(outcome.document());
    result.put("seconds", (System.nanoTime() - start) / 1e9);
    return result;
  }
}
