package org.deft4j.deft.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.deft4j.deft.InputException;
import picocli.CommandLine.Mixin;

/** What all commands do: check everything that was given, list every mistake at once, then work. */
abstract class Subcommand implements Callable<Integer> {
  @Mixin
  CommonOptions common = new CommonOptions();

  /** Adds a sentence for each mistake in the options; reads nothing big and writes nothing. */
  abstract void check(List<String> problems);

  /** Does the work; returns the exit status. */
  abstract int run(Console console) throws Exception;

  /** {@link #check}, for the mistakes beside those {@code found} while parsing. */
  final void requireNoProblems(List<String> found) {
    List<String> problems = new ArrayList<>(found);
    common.check(problems);
    check(problems);
    if (!problems.isEmpty()) {
      throw new InputException(problems.stream().distinct().toList());
    }
  }

  @Override
  public final Integer call() throws Exception {
    common.apply();
    return run(Console.standard(common.json));
  }

  /** Runs a check that throws, and adds what it finds. */
  static void collect(List<String> problems, Runnable check) {
    try {
      check.run();
    } catch (InputException e) {
      problems.addAll(e.problems());
    }
  }
}
