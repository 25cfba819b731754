package org.deft4j.diffusion;

import java.util.Arrays;

/** The sequences of timesteps and noise levels that the samplers visit, with NumPy's roundings. */
final class Timesteps {
  private static final double RHO = 7;

  private Timesteps() {}

  /** {@code numpy.linspace}: n values from start to end. */
  static double[] linspace(double start, double end, int n) {
    double[] result = new double[n];
    double step = (end - start) / (n - 1);
    for (int i = 0; i < n; i++) {
      result[i] = i * step + start;
    }
    if (n > 1) {
      result[n - 1] = end;
    } else {
      result[0] = start;
    }
    return result;
  }

  /** {@code 0, step, 2 step, ...}, reversed, plus the offset, without the last {@code dropped}; n in all. */
  static double[] leading(int step, int n, int dropped, int offset) {
    double[] result = new double[n];
    for (int i = 0; i < n; i++) {
      result[i] = (double) (n + dropped - 1 - i) * step + offset;
    }
    return result;
  }

  /** {@code round(arange(from, 0, -step)) - 1}. */
  static double[] trailing(double from, double step) {
    int n = (int) Math.ceil(-from / -step);
    // NumPy steps by the difference of the first two values, which is rounded.
    double difference = from - step - from;
    double[] result = new double[n];
    for (int i = 0; i < n; i++) {
      result[i] = Math.rint(i == 1 ? from - step : from + i * difference) - 1;
    }
    return result;
  }

  /** What DDPM, DDIM, PNDM and, unrounded in linspace, Euler visit. */
  static double[] spaced(SchedulerConfig config, int n, boolean rounded) {
    int steps = config.betas().steps();
    return switch (config.spacing()) {
      case LINSPACE -> {
        double[] values = reversed(linspace(0, steps - 1, n));
        Arrays.setAll(values, i -> rounded ? Math.rint(values[i]) : (float) values[i]);
        yield values;
      }
      case LEADING -> leading(steps / n, n, 0, config.stepsOffset());
      case TRAILING -> trailing(steps, (double) steps / n);
    };
  }

  /** What DPM-Solver visits of the first {@code last} training steps: n of n + 1 points. */
  static double[] spacedForSolver(SchedulerConfig config, int last, int n) {
    return switch (config.spacing()) {
      case LINSPACE -> {
        double[] values = reversed(linspace(0, last - 1, n + 1));
        yield Arrays.stream(values, 0, n).map(Math::rint).toArray();
      }
      case LEADING -> leading(last / (n + 1), n, 1, config.stepsOffset());
      case TRAILING -> trailing(last, (double) config.betas().steps() / n);
    };
  }

  static double[] reversed(double[] values) {
    double[] result = new double[values.length];
    Arrays.setAll(result, i -> values[values.length - 1 - i]);
    return result;
  }

  /** {@code table} at each of {@code points}, linear between its entries, constant beyond. */
  static double[] interpolate(double[] points, float[] table) {
    return Arrays.stream(points).map(x -> {
      if (x <= 0) {
        return table[0];
      }
      if (x >= table.length - 1) {
        return table[table.length - 1];
      }
      int i = (int) x;
      return (table[i + 1] - (double) table[i]) * (x - i) + table[i];
    }).toArray();
  }

  /** Karras et al. 2022, equation 5: n levels from largest to smallest, evenly in the 7th root. */
  static double[] karras(double smallest, double largest, int n) {
    double low = Math.pow(smallest, 1 / RHO);
    double high = Math.pow(largest, 1 / RHO);
    return Arrays.stream(linspace(0, 1, n)).map(ramp -> Math.pow(high + ramp * (low - high), RHO)).toArray();
  }

  /** The (fractional) training step whose noise level is {@code sigma}, linear in its logarithm. */
  static double ofSigma(double sigma, float[] logSigmas) {
    double log = Math.log(Math.max(sigma, 1e-10));
    int low = 0;
    while (low < logSigmas.length - 2 && logSigmas[low + 1] <= log) {
      low++;
    }
    double weight = Math.clamp((logSigmas[low] - log) / (logSigmas[low] - logSigmas[low + 1]), 0.0, 1.0);
    return (1 - weight) * low + weight * (low + 1);
  }

  static float[] logarithms(float[] values) {
    float[] result = new float[values.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = (float) Math.log(values[i]);
    }
    return result;
  }
}
