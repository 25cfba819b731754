package org.deft4j.nn;

/**
 * The learning rate over time, as a factor of its base (the schedules of diffusers' {@code optimization} module). Step 0 is
 * the first. All but {@link #constant} first rise linearly from 0 over {@code warmup} steps; p below is the progress
 * {@code (step - warmup) / max(1, total - warmup)} after that.
 */
@FunctionalInterface
public interface Schedule {
  /** The factor in force at {@code step}. */
  double factor(long step);

  /** 1. */
  static Schedule constant() {
    return step -> 1;
  }

  /** Warm-up, then 1. */
  static Schedule constantWithWarmup(long warmup) {
    return warmedUp(warmup, warmup, p -> 1);
  }

  /** {@code max(0, 1 - p)}: down to 0 at {@code total}. */
  static Schedule linear(long warmup, long total) {
    return warmedUp(warmup, total, p -> Math.max(0, 1 - p));
  }

  /** {@code (1 + cos(pi p)) / 2}: half a wave down to 0 at {@code total}. */
  static Schedule cosine(long warmup, long total) {
    return warmedUp(warmup, total, p -> 0.5 * (1 + Math.cos(Math.PI * p)));
  }

  /** {@code (1 + cos(pi frac(cycles p))) / 2}, 0 from {@code total} on: half a wave down, {@code cycles} times. */
  static Schedule cosineWithRestarts(long warmup, long total, int cycles) {
    return warmedUp(warmup, total, p -> p >= 1 ? 0 : 0.5 * (1 + Math.cos(Math.PI * (cycles * p % 1))));
  }

  /** {@code (1 - end) (1 - p)^power + end}, and end from {@code total} on; {@code end} is a factor too. */
  static Schedule polynomial(long warmup, long total, double end, double power) {
    return warmedUp(warmup, total, p -> p >= 1 ? end : (1 - end) * Math.pow(1 - p, power) + end);
  }

  /** A factor as a function of the progress. */
  @FunctionalInterface
  interface Progress {
    /** The factor at progress {@code p}; beyond {@code total} p exceeds 1. */
    double factor(double p);
  }

  private static Schedule warmedUp(long warmup, long total, Progress after) {
    if (warmup < 0 || total < warmup) {
      throw new IllegalArgumentException("schedule: warm-up must not be negative and not longer than all steps, found " + warmup
          + " of " + total);
    }
    return step -> step < warmup ? (double) step / Math.max(1, warmup)
        : after.factor((double) (step - warmup) / Math.max(1, total - warmup));
  }
}
