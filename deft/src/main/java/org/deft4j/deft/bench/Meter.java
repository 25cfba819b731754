package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Machine;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Measures jobs in turn with the limit that bounds them: a round is the best of a few short measurements of the limit, and as
 * many runs as fill {@link #ROUND_NANOS}, of the job and of what it is compared with. A slower clock or a busy neighbour slows
 * all, and the median of their ratio stays; a neighbour who comes and goes slows the runs more than the limit's best.
 *
 * @param warmUp a job that has not become faster for so many seconds and {@link #RUNS} runs is warm, or that has run thirty times as long
 * @param seconds to measure for, and at least {@code rounds} rounds unless they take thirty times as long; a comparison has {@link #PAIRS}
 *     times as much of all but the longest warm-up, because the ratio of two times varies more than either, and a step of a training is
 *     compiled late, for little of it runs often
 */
record Meter(double warmUp, double seconds, int rounds) {
  private static final long ROUND_NANOS = 20_000_000;
  private static final int PATIENCE = 30;
  private static final int RUNS = 5;
  private static final int PAIRS = 5;
  private static final double FASTER = 0.95;
  /** Seconds. */
  private static final double PREPARATION = 3;

  /** Runs the first row of a process for a while without measuring it: what all rows share is compiled then. */
  static void prepare(List<Row> rows) {
    if (rows.isEmpty()) {
      return;
    }
    try (Scope _ = Scope.open(); Inputs inputs = new Inputs()) {
      Job job = rows.getFirst().setUp().apply(inputs);
      long start = System.nanoTime();
      while (since(start) < PREPARATION) {
        secondsOf(job.body());
      }
    }
  }

  /** Measures {@code row}. */
  Measurement measure(Row row) {
    try (Scope _ = Scope.open(); Inputs inputs = new Inputs()) {
      return measure(row, inputs);
    } finally {
      MemoryPool.current().trim();
    }
  }

  private Measurement measure(Row row, Inputs inputs) {
    Job job = row.setUp().apply(inputs);
    LimitMeter limit = LimitMeter.of(job, inputs);
    MemoryPool.current().resetPeak();
    double work = work(job);
    long peakBytes = MemoryPool.current().peakLiveBytes() + MemoryPool.current().asideBytes();
    int more = job.reference().isPresent() ? PAIRS : 1;
    warmUp(job.body(), more);
    job.reference().ifPresent(other -> warmUp(other.body(), more));
    return measure(row, job, work, limit, peakBytes);
  }

  private void warmUp(Job.Body body, int more) {
    double best = Double.POSITIVE_INFINITY;
    long start = System.nanoTime();
    long faster = start;
    int runs = 0;
    while ((since(faster) < more * warmUp || runs < more * RUNS) && since(start) < PATIENCE * warmUp) {
      double time = secondsOf(body);
      runs++;
      if (time < FASTER * best) {
        best = time;
        faster = System.nanoTime();
        runs = 0;
      }
    }
  }

  /** Runs the job once, and counts. */
  private static double work(Job job) {
    try (FlopCount count = FlopCount.open()) {
      run(job.body());
      return job.limit() == Limit.ARITHMETIC ? count.flop() : job.bytes();
    }
  }

  private Measurement measure(Row row, Job job, double work, LimitMeter limit, long peakBytes) {
    List<Double> times = new ArrayList<>();
    List<Double> limits = new ArrayList<>();
    List<Double> shares = new ArrayList<>();
    List<Double> others = new ArrayList<>();
    List<Double> ratios = new ArrayList<>();
    int more = job.reference().isPresent() ? PAIRS : 1;
    long start = System.nanoTime();
    while (times.isEmpty() || since(start) < more * seconds
        || (times.size() < more * rounds && since(start) < more * PATIENCE * seconds)) {
      double possible = limit.rate();
      double time = secondsOf(job.body());
      times.add(time);
      limits.add(possible);
      shares.add(work / time / possible);
      job.reference().ifPresent(reference -> {
        double other = secondsOf(reference.body());
        others.add(other);
        ratios.add(time / other);
      });
    }
    Measurement.Spread spread = new Measurement.Spread(Collections.min(limits), median(limits), Collections.max(limits),
        limits.size());
    Optional<Measurement.Comparison> against = job.reference()
        .map(reference -> new Measurement.Comparison(reference.name(), median(others), median(ratios)));
    return new Measurement(row, job.limit(), median(times), work, spread, median(shares), Collections.max(shares), peakBytes,
        against);
  }

  private static void run(Job.Body body) {
    try (Scope _ = Scope.open()) {
      body.run();
    }
  }

  /** Of one run, as the mean of a round. A card is waited for once in a while, so that it always has the next runs to do. */
  private static double secondsOf(Job.Body body) {
    long start = System.nanoTime();
    int runs = 0;
    int together = 1;
    do {
      for (int i = 0; i < together; i++) {
        run(body);
      }
      Device.synchronize();
      runs += together;
      together *= Device.current() == Device.CUDA ? 2 : 1;
    } while (System.nanoTime() - start < ROUND_NANOS);
    return since(start) / runs;
  }

  private static double since(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  static double median(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    int n = sorted.size();
    return (sorted.get((n - 1) / 2) + sorted.get(n / 2)) / 2;
  }

  /** Measures what a job is compared with. */
  @FunctionalInterface
  private interface LimitMeter {
    int TRIALS = 3;
    long SMALLEST = 1 << 18;

    /** Work a second. */
    double rate();

    /** For memory, copies of buffers that together have the bytes of the work. */
    static LimitMeter of(Job job, Inputs inputs) {
      if (job.limit() == Limit.ARITHMETIC) {
        return () -> IntStream.range(0, TRIALS).mapToDouble(_ -> Machine.multiplyAddRate()).max().orElseThrow();
      }
      Tensor from = inputs.draw(Math.max(SMALLEST, (long) (job.bytes() / 2 / Float.BYTES)));
      Tensor to = from.copy();
      return () -> IntStream.range(0, TRIALS).mapToDouble(_ -> Machine.copyRate(from, to)).max().orElseThrow();
    }
  }
}
