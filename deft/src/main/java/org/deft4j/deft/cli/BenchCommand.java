package org.deft4j.deft.cli;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.bench.Bench;
import org.deft4j.tensor.Device;
import org.deft4j.weights.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code deft bench}. */
@Command(name = "bench", sortOptions = false, usageHelpWidth = 110,
    description = "Measures what this machine can do, then the kernels and the models against it: GFLOP/s or GB/s, and the "
        + "share of the limit. Takes a few minutes; other work on the machine slows both and shows in the limit.",
    footer = {"", "Example: deft bench --quick --rows product,attention"})
final class BenchCommand extends Subcommand {
  @Option(names = "--rows", paramLabel = "PART", split = ",",
      description = "Only rows whose group/name contains this; several with commas.")
  List<String> rows = List.of();

  @Option(names = "--quick", description = "A first impression in about a minute, without the models.")
  boolean quick;

  @Option(names = "--verify", description = "Measure nothing, and compare what each row computes on the card (--device cuda) with what the CPU "
      + "computes. Fails if any differs by more than rounding explains.")
  boolean verify;

  @Option(names = "--list", description = "Print the names of the rows and measure nothing.")
  boolean list;

  @Override
  void check(List<String> problems) {
    collect(problems, () -> Bench.of(rows, quick));
    if (verify && Device.current() != Device.CUDA) {
      problems.add("--verify compares a card with the CPU: give --device cuda too");
    }
  }

  @Override
  int run(Console console) {
    Bench bench = Bench.of(rows, quick);
    if (list) {
      bench.names().forEach(console::result);
      console.document(Json.format(Map.of("rows", bench.names())));
      return ExitStatus.OK;
    }
    Bench.Listener listener = new Bench.Listener() {
      @Override
      public void line(String text) {
        console.result(text);
      }

      @Override
      public void progress(int done, int total, String next, Duration elapsed) {
        console.progress("row", done, total, next, elapsed);
      }
    };
    Map<String, Object> document = verify ? bench.verify(listener) : bench.run(listener);
    console.document(Json.format(document));
    return document.get("right") == Boolean.FALSE ? ExitStatus.FAILED : ExitStatus.OK;
  }
}
