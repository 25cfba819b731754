package org.deft4j.deft.cli;

import java.util.List;
import java.util.random.RandomGenerator;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Threads;
import picocli.CommandLine.Option;

/** The options that every command has. */
final class CommonOptions {
  @Option(names = "--json", description = "Print one JSON document of the result on standard output, and nothing else there.")
  boolean json;

  @Option(names = "--device", paramLabel = "NAME", description = "Where to compute; there is cpu.")
  String device = "cpu";

  @Option(names = "--threads", paramLabel = "N", description = "Threads to compute with; the results do not depend on it.")
  Integer threads;

  @Option(names = {"-h", "--help"}, usageHelp = true, description = "Print this help.")
  boolean help;

  /** Adds a sentence for each option that cannot be. */
  void check(List<String> problems) {
    if (threads != null && threads < 1) {
      problems.add("--threads " + threads + ": at least 1 is needed");
    }
    try {
      Device.parse(device);
    } catch (IllegalArgumentException e) {
      problems.add("--device: " + e.getMessage());
    }
  }

  /** Makes them so. */
  void apply() {
    if (threads != null) {
      Threads.set(threads);
    }
  }

  /** The seed that was given, or one that is drawn and told to the user. */
  static long seed(Long given, Console console) {
    if (given != null) {
      return given;
    }
    long drawn = RandomGenerator.getDefault().nextInt(Integer.MAX_VALUE);
    console.message("seed " + drawn + " (drawn; give --seed " + drawn + " to repeat this)");
    return drawn;
  }
}
