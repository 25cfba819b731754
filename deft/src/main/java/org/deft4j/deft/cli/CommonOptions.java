package org.deft4j.deft.cli;

import java.util.List;
import java.util.random.RandomGenerator;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.DeviceException;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Threads;
import picocli.CommandLine.Option;

/** The options that every command has. */
final class CommonOptions {
  @Option(names = "--json", description = "Print one JSON document of the result on standard output, and nothing else there.")
  boolean json;

  @Option(names = "--device", paramLabel = "NAME", description = "Where to compute: cpu, or a card as cuda or cuda:1.")
  String device = "cpu";

  @Option(names = "--precision", paramLabel = "NAME", description = "How a card computes: full, or faster on tensor cores tf32, bf16 or f16, which "
      + "factors are rounded to; with bf16 the denoiser also holds its activations in it. The CPU always computes in full.")
  String precision;

  @Option(names = "--threads", paramLabel = "N", description = "Threads to compute with; the results do not depend on it.")
  Integer threads;

  @Option(names = {"-h", "--help"}, usageHelp = true, description = "Print this help.")
  boolean help;

  /** Chooses the device and the precision for the process, and adds a sentence for each option that cannot be. */
  void check(List<String> problems) {
    if (threads != null && threads < 1) {
      problems.add("--threads " + threads + ": at least 1 is needed");
    }
    try {
      Device.use(Device.parse(device));
    } catch (IllegalArgumentException | DeviceException e) {
      problems.add("--device: " + e.getMessage());
    }
    try {
      if (precision != null) {
        Precision chosen = Precision.parse(precision);
        Precision.use(Device.current() == Device.CUDA ? chosen : Precision.FULL);
      }
    } catch (IllegalArgumentException e) {
      problems.add("--precision: " + e.getMessage());
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
