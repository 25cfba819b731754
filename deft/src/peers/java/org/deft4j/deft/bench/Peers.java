package org.deft4j.deft.bench;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.deft4j.tensor.Machine;
import org.deft4j.tensor.Threads;

/** Measures each row of the bench in turn with PyTorch: {@code [part of a name]...}. */
final class Peers {
  private static final Meter METER = new Meter(0.4, 0.2, 1);

  private Peers() {}

  /** Prints the table. */
  public static void main(String[] args) {
    List<String> parts = Arrays.stream(args).flatMap(part -> Arrays.stream(part.split(",", -1))).filter(part -> !part.isBlank())
        .toList();
    try (LibTorch torch = new LibTorch(Threads.count())) {
      System.out.printf(Locale.ROOT, "deft4j, %s; %s%n%-40s %10s %9s %10s %9s %7s %s%n", Machine.kernels(), LibTorch.version(),
          "", "deft4j", "", "PyTorch", "", "times", "unit");
      List<Row> rows = Bench.of(parts, true).rows();
      Meter.prepare(rows);
      for (Row row : rows) {
        System.out.println(line(METER.measure(
            new Row(row.group(), row.name(), in -> TorchReplay.against(torch, row.setUp().apply(in), in)))));
      }
    }
  }

  private static String line(Measurement ours) {
    String left = String.format(Locale.ROOT, "%-40s %10s %9.1f", ours.row().fullName(), Table.time(ours.seconds()),
        ours.rate() / 1e9);
    return ours.against().map(theirs -> String.format(Locale.ROOT, "%s %10s %9.1f %7.2f %s", left, Table.time(theirs.seconds()),
        ours.work() / theirs.seconds() / 1e9, 1 / theirs.ratio(), ours.kind().unit()))
        .orElse(left);
  }
}
