package org.deft4j.deft.bench;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Nearest;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Machine;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Threads;

/** Measures the machine's limits, then each row against the limit that bounds it. */
public final class Bench {
  private final List<Row> rows;
  private final boolean quick;

  /** Is told what comes out, as it does. */
  public interface Listener {
    /** A line of the table. */
    void line(String text);

    /** {@code done} of {@code total} rows are measured; {@code next} is the one that follows. */
    void progress(int done, int total, String next, Duration elapsed);
  }

  private Bench(List<Row> rows, boolean quick) {
    this.rows = rows;
    this.quick = quick;
  }

  /**
   * The rows whose {@code group/name} contains one of {@code parts}; where there are none, all (in a quick run, but the models).
   *
   * @param quick a first impression of each row, instead of medians of many rounds
   * @throws InputException if a part is in no name
   */
  public static Bench of(List<String> parts, boolean quick) {
    List<Row> all = all();
    List<String> problems = new ArrayList<>();
    for (String part : parts) {
      if (all.stream().noneMatch(row -> row.fullName().contains(part))) {
        List<String> groups = all.stream().map(Row::group).distinct().toList();
        problems.add("--rows: '" + part + "' is in no row's name" + Suite.orFullStop(Nearest.hint(part, groups)) + " The groups are "
            + String.join(", ", groups) + "; --list prints every name");
      }
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return new Bench(all.stream().filter(row -> isChosen(row, parts, quick)).toList(), quick);
  }

  private static boolean isChosen(Row row, List<String> parts, boolean quick) {
    return parts.isEmpty() ? !quick || !row.group().equals(Models.GROUP) : parts.stream().anyMatch(row.fullName()::contains);
  }

  private static List<Row> all() {
    return Stream.of(Products.rows(), Convolutions.rows(), Attentions.rows(), NormsAndActivations.rows(), SumsAndMoves.rows(), Steps.rows(),
        Models.rows(), Device.current() == Device.CUDA ? LargeModels.rows() : List.<Row>of()).flatMap(List::stream).toList();
  }

  List<Row> rows() {
    return rows;
  }

  /** The rows that would be measured, as {@code group/name}. */
  public List<String> names() {
    return rows.stream().map(Row::fullName).toList();
  }

  /** Measures; returns the document of the result. */
  public Map<String, Object> run(Listener listener) {
    long start = System.nanoTime();
    Peak peak = Peak.measure(quick ? 2 : 6);
    Table.peak(peak).forEach(listener::line);
    Meter meter = quick ? new Meter(0.2, 0.1, 2) : new Meter(0.4, 0.6, 3);
    Meter.prepare(rows);
    List<Measurement> measurements = new ArrayList<>();
    for (Row row : rows) {
      listener.progress(measurements.size(), rows.size(), row.fullName(), Duration.ofNanos(System.nanoTime() - start));
      Measurement measurement = meter.measure(row);
      if (measurements.isEmpty() || !measurements.getLast().row().group().equals(row.group())) {
        endGroup(measurements, listener);
        Table.head(measurement).forEach(listener::line);
      }
      measurements.add(measurement);
      listener.line(Table.line(measurement));
    }
    endGroup(measurements, listener);
    listener.progress(rows.size(), rows.size(), "", Duration.ofNanos(System.nanoTime() - start));
    return document(peak, measurements);
  }

  /** Compares what the rows compute on the device in use with what the CPU computes; returns the document of the result. */
  public Map<String, Object> verify(Listener listener) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("kernels", Machine.kernels());
    map.put("precision", Precision.current().name().toLowerCase(Locale.ROOT));
    listener.line(Machine.kernels() + ", precision " + map.get("precision") + "; the difference from the CPU");
    map.putAll(Verification.run(rows, listener::line));
    return map;
  }

  private static void endGroup(List<Measurement> measurements, Listener listener) {
    if (!measurements.isEmpty()) {
      String group = measurements.getLast().row().group();
      listener.line(Table.spread(measurements.stream().filter(each -> each.row().group().equals(group)).toList()));
    }
  }

  private static Map<String, Object> document(Peak peak, List<Measurement> measurements) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("device", Device.current().name().toLowerCase(Locale.ROOT));
    map.put("precision", Precision.current().name().toLowerCase(Locale.ROOT));
    map.put("threads", Threads.count());
    map.put("kernels", Machine.kernels());
    map.put("java", System.getProperty("java.vm.version"));
    map.put("processor", System.getProperty("os.arch"));
    map.put("peak", peak.document());
    map.put("rows", measurements.stream().map(Measurement::document).toList());
    return map;
  }
}
