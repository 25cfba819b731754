package org.deft4j.deft.cli;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.bench.Bench;
import org.deft4j.deft.bench.Suite;
import org.deft4j.tensor.Device;
import org.deft4j.weights.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code deft bench}. */
@Command(name = "bench", sortOptions = false, usageHelpWidth = 110,
    description = "Measures what this machine can do, then the kernels and the models against it: GFLOP/s or GB/s, and the "
        + "share of the limit. Takes a few minutes; other work on the machine slows both and shows in the limit.",
    footer = {"", "Example: deft bench --quick --rows product,attention", "         deft bench --device cuda --verify"})
final class BenchCommand extends Subcommand {
  @Option(names = "--rows", paramLabel = "PART", split = ",",
      description = "Only rows whose group/name contains this; several with commas.")
  List<String> rows = List.of();

  @Option(names = "--quick", description = "A first impression in about a minute, without the models.")
  boolean quick;

  @Option(names = "--verify", description = "Measure nothing, and compare what each row computes on the card (--device cuda) with what the CPU "
      + "computes; then run the suite: the tests of all kernels, and on the card, in float32, those that compare with golden data. Fails if "
      + "anything differs by more than rounding explains. With --rows those rows alone.")
  boolean verify;

  @Option(names = "--suite", paramLabel = "PART", split = ",", description = "With --verify: only tests whose class's name contains this, several "
      + "with commas; and no rows but those of --rows.")
  List<String> suite = List.of();

  @Option(names = "--list", description = "Print the names of the rows, with --verify those of the suite's classes too, and do nothing.")
  boolean list;

  @Override
  void check(List<String> problems) {
    collect(problems, () -> Bench.of(rows, quick));
    if (verify && Device.current() != Device.CUDA) {
      problems.add("--verify compares a card with the CPU: give --device cuda too");
    }
    if (!suite.isEmpty()) {
      if (verify) {
        collect(problems, () -> Suite.of(Suite.folder(), suite));
      } else {
        problems.add("--suite is a part of what --verify does: give --verify too");
      }
    }
  }

  @Override
  int run(Console console) {
    Bench bench = Bench.of(rows, quick);
    if (list) {
      return list(console, bench);
    }
    Bench.Listener listener = new Bench.Listener() {
      @Override
      public void line(String text) {
        console.result(text);
      }

      @Override
      public void progress(int done, int total, String next, Duration elapsed) {
        console.progress(verify ? "class" : "row", done, total, next, elapsed);
      }
    };
    Map<String, Object> document = verify ? verify(bench, listener) : bench.run(listener);
    console.document(Json.format(document));
    return document.get("right") == Boolean.FALSE ? ExitStatus.FAILED : ExitStatus.OK;
  }

  private int list(Console console, Bench bench) {
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("rows", bench.names());
    if (verify && Suite.isIn(Suite.folder())) {
      document.put("suite", Suite.of(Suite.folder(), suite).names());
    }
    document.values().forEach(names -> ((List<?>) names).forEach(name -> console.result(name.toString())));
    console.document(Json.format(document));
    return ExitStatus.OK;
  }

  /** Rows, then tests; of both all, unless parts of one are named. */
  private Map<String, Object> verify(Bench bench, Bench.Listener listener) {
    Map<String, Object> document = new LinkedHashMap<>();
    boolean right = true;
    if (suite.isEmpty() || !rows.isEmpty()) {
      document.putAll(bench.verify(listener));
      right = document.get("right") == Boolean.TRUE;
    }
    if (rows.isEmpty() || !suite.isEmpty()) {
      if (Suite.isIn(Suite.folder())) {
        Map<String, Object> tests = Suite.of(Suite.folder(), suite).run(common.device, listener);
        document.put("suite", tests);
        right &= tests.get("right") == Boolean.TRUE;
      } else {
        listener.line("The rows are all that was compared: " + Suite.MISSING);
        document.put("suite", null);
      }
    }
    document.put("right", right);
    return document;
  }
}
