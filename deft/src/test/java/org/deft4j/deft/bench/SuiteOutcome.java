package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;

/** How the tests of one class went. */
final class SuiteOutcome implements TestExecutionListener {
  private static final int MESSAGE = 4000;

  private final String className;
  private final List<Map<String, Object>> failures = new ArrayList<>();
  private final List<String> skipped = new ArrayList<>();
  private TestPlan plan;
  private int tests;

  SuiteOutcome(String className) {
    this.className = className;
  }

  @Override
  public void testPlanExecutionStarted(TestPlan started) {
    plan = started;
  }

  @Override
  public void executionSkipped(TestIdentifier test, String reason) {
    skipped.add(reason);
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    tests += test.isTest() ? 1 : 0;
    switch (result.getStatus()) {
      case SUCCESSFUL -> { }
      case ABORTED -> skipped.add(result.getThrowable().map(Throwable::getMessage).orElse("no reason given"));
      case FAILED -> fail(name(test), result.getThrowable().map(SuiteOutcome::message).orElse("no reason given"));
    }
  }

  private void fail(String test, String message) {
    Map<String, Object> failure = new LinkedHashMap<>();
    failure.put("class", className);
    failure.put("test", test);
    failure.put("message", message);
    failures.add(failure);
  }

  /** A test's name behind those of what it is in, from below the class. */
  private String name(TestIdentifier test) {
    String above = plan.getParent(test).filter(parent -> parent.getParentId().isPresent()).map(this::name).orElse("");
    boolean isClass = test.getLegacyReportingName().equals(className);
    return isClass ? "" : (above + " " + test.getDisplayName()).strip();
  }

  /** What it says, and where in our own code it was thrown. */
  private static String message(Throwable error) {
    String text = error instanceof AssertionError && error.getMessage() != null ? error.getMessage() : error.toString();
    String where = Stream.of(error.getStackTrace()).filter(frame -> frame.getClassName().startsWith("org.deft4j.")).limit(3)
        .map(frame -> "\nat " + frame.getClassName() + "(" + frame.getFileName() + ":" + frame.getLineNumber() + ")").reduce("", String::concat);
    return (text.length() > MESSAGE ? text.substring(0, MESSAGE) + " ..." : text) + where;
  }

  /** Counts and failures; a class without a test has failed. */
  Map<String, Object> document() {
    if (tests == 0 && failures.isEmpty() && skipped.isEmpty()) {
      fail("", "the class has no tests");
    }
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("tests", tests);
    map.put("failures", failures);
    map.put("skipped", skipped);
    return map;
  }
}
