package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.deft4j.tensor.Machine;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Measures jobs in turn with the limit that bounds them: a round is the best of a few short measurements of the limit, and as
 * many runs as fill {@link #ROUND_NANOS}. A slower clock or a busy neighbour slows both, and the median of their ratio stays;
 * a neighbour who comes and goes slows the runs more than the limit's best.
 *
 * @param warmUp seconds before anything counts, and at least one run
 * @param seconds to measure for, and at least {@code rounds} rounds
 */
record Meter(double warmUp, double seconds, int rounds) {
  private static final long ROUND_NANOS = 20_000_000;

  /** Measures {@code row}. */
  Measurement measure(Row row) {
    try (Scope _ = Scope.open()) {
      Inputs inputs = new Inputs();
      Job job = row.setUp().apply(inputs);
      LimitMeter limit = LimitMeter.of(job, inputs);
      long peak = peakBytes(job);
      long start = System.nanoTime();
      while (since(start) < warmUp) {
        limit.rate();
        secondsOf(job);
      }
      return measure(row, job, limit, peak);
    } finally {
      MemoryPool.cpu().trim();
    }
  }

  /** Runs the job once; returns the most bytes it held. */
  private static long peakBytes(Job job) {
    MemoryPool pool = MemoryPool.cpu();
    long before = pool.liveBytes();
    pool.resetPeak();
    run(job);
    return pool.peakLiveBytes() - before;
  }

  private Measurement measure(Row row, Job job, LimitMeter limit, long peakBytes) {
    List<Double> times = new ArrayList<>();
    List<Double> limits = new ArrayList<>();
    List<Double> shares = new ArrayList<>();
    long start = System.nanoTime();
    while (times.size() < rounds || since(start) < seconds) {
      double possible = limit.rate();
      double time = secondsOf(job);
      times.add(time);
      limits.add(possible);
      shares.add(job.work() / time / possible);
    }
    Measurement.Spread spread = new Measurement.Spread(Collections.min(limits), median(limits), Collections.max(limits),
        limits.size());
    return new Measurement(row, job.limit(), median(times), job.work(), spread, median(shares), Collections.max(shares),
        peakBytes);
  }

  private static void run(Job job) {
    try (Scope _ = Scope.open()) {
      job.body().run();
    }
  }

  /** Of one run, as the mean of a round. */
  private static double secondsOf(Job job) {
    long start = System.nanoTime();
    int runs = 0;
    do {
      run(job);
      runs++;
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
    int TRIALS = 4;
    long SMALLEST = 1 << 18;

    /** Work a second. */
    double rate();

    /** For memory, copies of buffers that together have the bytes of the work. */
    static LimitMeter of(Job job, Inputs inputs) {
      if (job.limit() == Limit.ARITHMETIC) {
        return () -> IntStream.range(0, TRIALS).mapToDouble(_ -> Machine.multiplyAddRate()).max().orElseThrow();
      }
      Tensor from = inputs.draw(Math.max(SMALLEST, (long) (job.work() / 2 / Float.BYTES)));
      Tensor to = from.copy();
      return () -> IntStream.range(0, TRIALS).mapToDouble(_ -> Machine.copyRate(from, to)).max().orElseThrow();
    }
  }
}
