package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Norm;

/**
 * {@link Norm}; this file in float32. The mean and the variance are found in two passes: the mean of x, then the mean of
 * {@code x - mean}, which is what rounding took from the first, and of its square. So an offset that is large beside the
 * deviation costs no digits.
 */
final class ScalarNorms {
  private ScalarNorms() {}

  static void run(Norm op, Tensor[] in, Tensor[] out) {
    if (in[0].dtype() == DType.F64) {
      DoubleNorms.run(op, in, out);
      return;
    }
    switch (op) {
      case Norm.GroupNorm(var groups, var eps) -> groupNorm(Channels.of(in[0].shape(), groups), (float) eps, in, out);
      case Norm.GroupNormGrad(var groups) -> groupNormGrad(Channels.of(in[1].shape(), groups), in, out);
      case Norm.LayerNorm(var dims, var eps) -> layerNorm(rows(in[0].shape(), dims), (float) eps, in, out);
      case Norm.LayerNormGrad(var dims) -> layerNormGrad(rows(in[1].shape(), dims), in, out);
      case Norm.RmsNorm(var eps) -> rmsNorm(rows(in[0].shape(), 1), (float) eps, in, out);
      case Norm.RmsNormGrad() -> rmsNormGrad(rows(in[1].shape(), 1), in, out);
    }
  }

  /** x [batch, channels, positions], its channels in groups of {@code perGroup}. */
  record Channels(long batch, int groups, long perGroup, long positions) {
    static Channels of(Shape shape, int groups) {
      return new Channels(shape.size(0), groups, shape.size(1) / groups, shape.sub(2, shape.rank()).elementCount());
    }

    long channels() {
      return groups * perGroup;
    }

    /** Elements that share a mean. */
    long count() {
      return perGroup * positions;
    }
  }

  /** The last {@code dims} dimensions as rows. */
  static Slab rows(Shape shape, int dims) {
    return Slab.of(shape, shape.rank() - dims, shape.rank() - 1);
  }

  // -------------------------------------------------------------------------------------------------- statistics

  /** The mean is {@code mean + low}: its float32 and what rounding took from it. */
  record Statistics(float mean, float low, float rstd) {
    /** From the sums of {@code x - mean} and of its square. */
    static Statistics of(float mean, float sum, float squares, long n, float eps) {
      float low = sum / n;
      float variance = Math.max(0f, Math.fma(-low, low, squares / n));
      return new Statistics(mean, low, 1f / (float) Math.sqrt(variance + eps));
    }
  }

  private static Statistics statistics(Floats x, long start, long n, float eps) {
    float mean = Sums.sum(n, (lane, i) -> lane + x.get(start + i)) / n;
    float sum = Sums.sum(n, (lane, i) -> lane + (x.get(start + i) - mean));
    float squares = Sums.sum(n, (lane, i) -> {
      float d = x.get(start + i) - mean;
      return Math.fma(d, d, lane);
    });
    return Statistics.of(mean, sum, squares, n, eps);
  }

  // -------------------------------------------------------------------------------------------------- group norm

  private static void groupNorm(Channels shape, float eps, Tensor[] in, Tensor[] out) {
    Floats x = Floats.of(in[0]);
    Floats w = Floats.of(in[1]);
    Floats b = Floats.of(in[2]);
    Floats y = Floats.of(out[0]);
    Floats mean = Floats.of(out[1]);
    Floats rstd = Floats.of(out[2]);
    Parallel.forRange(shape.batch() * shape.groups(), 1, (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * shape.count();
        Statistics s = statistics(x, start, shape.count(), eps);
        mean.set(row, s.mean() + s.low());
        rstd.set(row, s.rstd());
        for (long k = 0; k < shape.perGroup(); k++) {
          long c = row % shape.groups() * shape.perGroup() + k;
          float scale = s.rstd() * w.get(c);
          float shift = Math.fma(-s.low(), scale, b.get(c));
          long first = start + k * shape.positions();
          for (long i = first; i < first + shape.positions(); i++) {
            y.set(i, Math.fma(x.get(i) - s.mean(), scale, shift));
          }
        }
      }
    });
  }

  /**
   * With A_c and B_c the sums over a channel of dy and of {@code dy xhat}, and m elements in the group:
   * {@code dx = rstd (dy w - sum_c(w A) / m - xhat sum_c(w B) / m)}, {@code dw = sum_n B}, {@code db = sum_n A}.
   */
  private static void groupNormGrad(Channels shape, Tensor[] in, Tensor[] out) {
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats means = Floats.of(in[2]);
    Floats rstds = Floats.of(in[3]);
    Floats w = Floats.of(in[4]);
    Floats dx = Floats.of(out[0]);
    try (Tensor ofDy = Tensor.empty(Device.CPU, DType.F32, Shape.of(shape.batch(), shape.channels()));
        Tensor ofDyX = Tensor.empty(Device.CPU, DType.F32, Shape.of(shape.batch(), shape.channels()))) {
      Floats sumA = Floats.of(ofDy);
      Floats sumB = Floats.of(ofDyX);
      Parallel.forRange(shape.batch() * shape.groups(), 1, (from, to) -> {
        for (long row = from; row < to; row++) {
          float mean = means.get(row);
          float rstd = rstds.get(row);
          float totalA = 0f;
          float totalB = 0f;
          for (long k = row * shape.perGroup(); k < (row + 1) * shape.perGroup(); k++) {
            long start = k * shape.positions();
            float a = Sums.sum(shape.positions(), (lane, i) -> lane + dy.get(start + i));
            float b = rstd * Sums.sum(shape.positions(),
                (lane, i) -> Math.fma(dy.get(start + i), x.get(start + i) - mean, lane));
            sumA.set(k, a);
            sumB.set(k, b);
            totalA = Math.fma(w.get(k % shape.channels()), a, totalA);
            totalB = Math.fma(w.get(k % shape.channels()), b, totalB);
          }
          float constant = constantFactor(rstd, totalA, shape.count());
          float slope = slopeFactor(rstd, totalB, shape.count());
          for (long k = row * shape.perGroup(); k < (row + 1) * shape.perGroup(); k++) {
            float scale = rstd * w.get(k % shape.channels());
            for (long i = k * shape.positions(); i < (k + 1) * shape.positions(); i++) {
              dx.set(i, Math.fma(x.get(i) - mean, slope, Math.fma(dy.get(i), scale, constant)));
            }
          }
        }
      });
      Slab overBatch = new Slab(1, shape.batch(), shape.channels());
      ScalarReductions.sumRows(overBatch, ofDyX, out[1]);
      ScalarReductions.sumRows(overBatch, ofDy, out[2]);
    }
  }

  /** What every dx of a row gets: {@code -rstd total / n}. */
  static float constantFactor(float rstd, float total, long n) {
    return -rstd * (total / n);
  }

  /** What every dx gets times its {@code x - mean}: {@code -rstd^2 total / n}. */
  static float slopeFactor(float rstd, float total, long n) {
    return -(rstd * rstd) * (total / n);
  }

  // -------------------------------------------------------------------------------------------- layer and RMS norm

  private static void layerNorm(Slab slab, float eps, Tensor[] in, Tensor[] out) {
    Floats x = Floats.of(in[0]);
    Floats w = in.length > 1 ? Floats.of(in[1]) : null;
    Floats b = in.length > 1 ? Floats.of(in[2]) : null;
    Floats y = Floats.of(out[0]);
    Floats mean = Floats.of(out[1]);
    Floats rstd = Floats.of(out[2]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        Statistics s = statistics(x, start, slab.n(), eps);
        mean.set(row, s.mean() + s.low());
        rstd.set(row, s.rstd());
        for (long i = 0; i < slab.n(); i++) {
          float xhat = ((x.get(start + i) - s.mean()) - s.low()) * s.rstd();
          y.set(start + i, w == null ? xhat : Math.fma(xhat, w.get(i), b.get(i)));
        }
      }
    });
  }

  /**
   * With {@code g = dy w}: {@code dx = rstd (g - mean(g) - xhat mean(g xhat))}; dw and db are the sums over rows of
   * {@code dy xhat} and dy.
   */
  private static void layerNormGrad(Slab slab, Tensor[] in, Tensor[] out) {
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats means = Floats.of(in[2]);
    Floats rstds = Floats.of(in[3]);
    Floats w = in.length > 4 ? Floats.of(in[4]) : null;
    Floats dx = Floats.of(out[0]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        float mean = means.get(row);
        float rstd = rstds.get(row);
        float a = Sums.sum(slab.n(), (lane, i) -> lane + weighted(dy, w, start, i));
        float b = rstd * Sums.sum(slab.n(),
            (lane, i) -> Math.fma(weighted(dy, w, start, i), x.get(start + i) - mean, lane));
        float constant = constantFactor(rstd, a, slab.n());
        float slope = slopeFactor(rstd, b, slab.n());
        for (long i = 0; i < slab.n(); i++) {
          float g = weighted(dy, w, start, i);
          dx.set(start + i, Math.fma(x.get(start + i) - mean, slope, Math.fma(g, rstd, constant)));
        }
      }
    });
    if (w != null) {
      Floats dw = Floats.of(out[1]);
      Parallel.forRange(slab.n(), 16, (from, to) -> {
        for (long j = from; j < to; j++) {
          long column = j;
          dw.set(j, Sums.sumRows(slab.outer(), (chain, row) -> {
            long at = row * slab.n() + column;
            return Math.fma(dy.get(at), (x.get(at) - means.get(row)) * rstds.get(row), chain);
          }));
        }
      });
      ScalarReductions.sumRows(new Slab(1, slab.outer(), slab.n()), in[0], out[2]);
    }
  }

  private static float weighted(Floats dy, Floats w, long start, long i) {
    return w == null ? dy.get(start + i) : dy.get(start + i) * w.get(i);
  }

  private static void rmsNorm(Slab slab, float eps, Tensor[] in, Tensor[] out) {
    Floats x = Floats.of(in[0]);
    Floats w = in.length > 1 ? Floats.of(in[1]) : null;
    Floats y = Floats.of(out[0]);
    Floats rrms = Floats.of(out[1]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        float squares = Sums.sum(slab.n(), (lane, i) -> Math.fma(x.get(start + i), x.get(start + i), lane));
        float r = rms(squares, slab.n(), eps);
        rrms.set(row, r);
        for (long i = 0; i < slab.n(); i++) {
          y.set(start + i, w == null ? x.get(start + i) * r : x.get(start + i) * r * w.get(i));
        }
      }
    });
  }

  /** {@code 1 / sqrt(squares / n + eps)}. */
  static float rms(float squares, long n, float eps) {
    return 1f / (float) Math.sqrt(squares / n + eps);
  }

  /** With {@code g = dy w}: {@code dx = r (g - x r^2 mean(g x))}; dw is the sum over rows of {@code dy x r}. */
  private static void rmsNormGrad(Slab slab, Tensor[] in, Tensor[] out) {
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats rrms = Floats.of(in[2]);
    Floats w = in.length > 3 ? Floats.of(in[3]) : null;
    Floats dx = Floats.of(out[0]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        float r = rrms.get(row);
        float b = r * Sums.sum(slab.n(), (lane, i) -> Math.fma(weighted(dy, w, start, i), x.get(start + i), lane));
        float slope = slopeFactor(r, b, slab.n());
        for (long i = 0; i < slab.n(); i++) {
          dx.set(start + i, Math.fma(x.get(start + i), slope, weighted(dy, w, start, i) * r));
        }
      }
    });
    if (w != null) {
      Floats dw = Floats.of(out[1]);
      Parallel.forRange(slab.n(), 16, (from, to) -> {
        for (long j = from; j < to; j++) {
          long column = j;
          dw.set(j, Sums.sumRows(slab.outer(), (chain, row) -> {
            long at = row * slab.n() + column;
            return Math.fma(dy.get(at), x.get(at) * rrms.get(row), chain);
          }));
        }
      });
    }
  }
}
