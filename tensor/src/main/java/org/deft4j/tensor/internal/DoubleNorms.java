package org.deft4j.tensor.internal;

import java.util.function.DoubleUnaryOperator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Unary;

/** {@link Norm} in float64: the formulas of {@link ScalarNorms}. */
final class DoubleNorms {
  private DoubleNorms() {}

  static void run(Norm op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Norm.GroupNorm(var groups, var eps) -> groupNorm(ScalarGroupNorm.Channels.of(in[0].shape(), groups), eps, in, out);
      case Norm.GroupNormSilu(var groups, var eps) -> {
        groupNorm(ScalarGroupNorm.Channels.of(in[0].shape(), groups), eps, in, out);
        Doubles y = Doubles.of(out[0]);
        DoubleUnaryOperator silu = DoubleFunctions.of(new Unary.Silu());
        for (long i = 0; i < out[0].elementCount(); i++) {
          y.set(i, silu.applyAsDouble(y.get(i)));
        }
      }
      case Norm.GroupNormSiluGrad(var groups) -> groupNormSiluGrad(ScalarGroupNorm.Channels.of(in[1].shape(), groups), in, out);
      case Norm.GroupNormGrad(var groups) -> groupNormGrad(ScalarGroupNorm.Channels.of(in[1].shape(), groups), in, out);
      case Norm.LayerNorm(var dims, var eps) -> layerNorm(ScalarNorms.rows(in[0].shape(), dims), eps, in, out);
      case Norm.LayerNormOfSum(var eps) -> {
        ScalarElementwise.run(new Binary.Add(), new Tensor[] {in[0], in[1]}, new Tensor[] {out[1]});
        layerNorm(ScalarNorms.rows(in[0].shape(), 1), eps, ScalarNorms.ofSum(in, out), new Tensor[] {out[0], out[2], out[3]});
      }
      case Norm.LayerNormGrad(var dims, var _) -> layerNormGrad(ScalarNorms.rows(in[1].shape(), dims), in, out);
      case Norm.RmsNorm(var eps) -> rmsNorm(ScalarNorms.rows(in[0].shape(), 1), eps, in, out);
      case Norm.RmsNormGrad _ -> rmsNormGrad(ScalarNorms.rows(in[1].shape(), 1), in, out);
    }
  }

  // -------------------------------------------------------------------------------------------------- statistics

  /** The mean is {@code mean + low}: its double32 and what rounding took from it. */
  private record Statistics(double mean, double low, double rstd) {
    /** From the sums of {@code x - mean} and of its square. */
    static Statistics of(double mean, double sum, double squares, long n, double eps) {
      double low = sum / n;
      double variance = Math.max(0, Math.fma(-low, low, squares / n));
      return new Statistics(mean, low, 1 / Math.sqrt(variance + eps));
    }
  }

  private static Statistics statistics(Doubles x, long start, long n, double eps) {
    double mean = Sums.sumF64(n, (lane, i) -> lane + x.get(start + i)) / n;
    double sum = Sums.sumF64(n, (lane, i) -> lane + (x.get(start + i) - mean));
    double squares = Sums.sumF64(n, (lane, i) -> {
      double d = x.get(start + i) - mean;
      return Math.fma(d, d, lane);
    });
    return Statistics.of(mean, sum, squares, n, eps);
  }

  // -------------------------------------------------------------------------------------------------- group norm

  private static void groupNorm(ScalarGroupNorm.Channels shape, double eps, Tensor[] in, Tensor[] out) {
    Doubles x = Doubles.of(in[0]);
    Doubles w = Doubles.of(in[1]);
    Doubles b = Doubles.of(in[2]);
    Doubles y = Doubles.of(out[0]);
    Doubles mean = Doubles.of(out[1]);
    Doubles rstd = Doubles.of(out[2]);
    Parallel.forRange(shape.batch() * shape.groups(), 1, (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * shape.count();
        Statistics s = statistics(x, start, shape.count(), eps);
        mean.set(row, s.mean() + s.low());
        rstd.set(row, s.rstd());
        for (long k = 0; k < shape.perGroup(); k++) {
          long c = row % shape.groups() * shape.perGroup() + k;
          double scale = s.rstd() * w.get(c);
          double shift = Math.fma(-s.low(), scale, b.get(c));
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
  private static void groupNormGrad(ScalarGroupNorm.Channels shape, Tensor[] in, Tensor[] out) {
    Doubles dy = Doubles.of(in[0]);
    Doubles x = Doubles.of(in[1]);
    Doubles means = Doubles.of(in[2]);
    Doubles rstds = Doubles.of(in[3]);
    Doubles w = Doubles.of(in[4]);
    Doubles dx = Doubles.of(out[0]);
    try (Tensor ofDy = Tensor.empty(Device.CPU, DType.F64, Shape.of(shape.batch(), shape.channels()));
        Tensor ofDyX = Tensor.empty(Device.CPU, DType.F64, Shape.of(shape.batch(), shape.channels()))) {
      Doubles sumA = Doubles.of(ofDy);
      Doubles sumB = Doubles.of(ofDyX);
      Parallel.forRange(shape.batch() * shape.groups(), 1, (from, to) -> {
        for (long row = from; row < to; row++) {
          double mean = means.get(row);
          double rstd = rstds.get(row);
          double totalA = 0;
          double totalB = 0;
          for (long k = row * shape.perGroup(); k < (row + 1) * shape.perGroup(); k++) {
            long start = k * shape.positions();
            double a = Sums.sumF64(shape.positions(), (lane, i) -> lane + dy.get(start + i));
            double b = rstd * Sums.sumF64(shape.positions(),
                (lane, i) -> Math.fma(dy.get(start + i), x.get(start + i) - mean, lane));
            sumA.set(k, a);
            sumB.set(k, b);
            totalA = Math.fma(w.get(k % shape.channels()), a, totalA);
            totalB = Math.fma(w.get(k % shape.channels()), b, totalB);
          }
          double constant = constantFactor(rstd, totalA, shape.count());
          double slope = slopeFactor(rstd, totalB, shape.count());
          for (long k = row * shape.perGroup(); k < (row + 1) * shape.perGroup(); k++) {
            double scale = rstd * w.get(k % shape.channels());
            for (long i = k * shape.positions(); i < (k + 1) * shape.positions(); i++) {
              dx.set(i, Math.fma(x.get(i) - mean, slope, Math.fma(dy.get(i), scale, constant)));
            }
          }
        }
      });
      Slab overBatch = new Slab(1, shape.batch(), shape.channels());
      DoubleReductions.sumRows(overBatch, ofDyX, out[1]);
      DoubleReductions.sumRows(overBatch, ofDy, out[2]);
    }
  }

  /** The group norm's gradient of {@code dy silu'(h)}, h being its result. */
  private static void groupNormSiluGrad(ScalarGroupNorm.Channels shape, Tensor[] in, Tensor[] out) {
    Doubles dy = Doubles.of(in[0]);
    Doubles x = Doubles.of(in[1]);
    Doubles mean = Doubles.of(in[2]);
    Doubles rstd = Doubles.of(in[3]);
    Doubles w = Doubles.of(in[4]);
    Doubles b = Doubles.of(in[5]);
    DoubleUnaryOperator slope = DoubleFunctions.derivative(new Unary.Silu());
    try (Tensor gradient = Tensor.empty(Device.CPU, DType.F64, in[0].shape())) {
      Doubles dh = Doubles.of(gradient);
      for (long i = 0; i < gradient.elementCount(); i++) {
        long channel = i / shape.positions();
        long row = channel / shape.perGroup();
        long c = channel % shape.channels();
        double h = Math.fma((x.get(i) - mean.get(row)) * rstd.get(row), w.get(c), b.get(c));
        dh.set(i, dy.get(i) * slope.applyAsDouble(h));
      }
      groupNormGrad(shape, new Tensor[] {gradient, in[1], in[2], in[3], in[4]}, out);
    }
  }

  /** What every dx of a row gets: {@code -rstd total / n}. */
  private static double constantFactor(double rstd, double total, long n) {
    return -rstd * (total / n);
  }

  /** What every dx gets times its {@code x - mean}: {@code -rstd^2 total / n}. */
  private static double slopeFactor(double rstd, double total, long n) {
    return -(rstd * rstd) * (total / n);
  }

  // -------------------------------------------------------------------------------------------- layer and RMS norm

  private static void layerNorm(Slab slab, double eps, Tensor[] in, Tensor[] out) {
    Doubles x = Doubles.of(in[0]);
    Doubles w = in.length > 1 ? Doubles.of(in[1]) : null;
    Doubles b = in.length > 1 ? Doubles.of(in[2]) : null;
    Doubles y = Doubles.of(out[0]);
    Doubles mean = Doubles.of(out[1]);
    Doubles rstd = Doubles.of(out[2]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        Statistics s = statistics(x, start, slab.n(), eps);
        mean.set(row, s.mean() + s.low());
        rstd.set(row, s.rstd());
        for (long i = 0; i < slab.n(); i++) {
          double xhat = ((x.get(start + i) - s.mean()) - s.low()) * s.rstd();
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
    Doubles dy = Doubles.of(in[0]);
    Doubles x = Doubles.of(in[1]);
    Doubles means = Doubles.of(in[2]);
    Doubles rstds = Doubles.of(in[3]);
    Doubles w = in.length > 4 ? Doubles.of(in[4]) : null;
    Doubles dx = Doubles.of(out[0]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        double mean = means.get(row);
        double rstd = rstds.get(row);
        double a = Sums.sumF64(slab.n(), (lane, i) -> lane + weighted(dy, w, start, i));
        double b = rstd * Sums.sumF64(slab.n(),
            (lane, i) -> Math.fma(weighted(dy, w, start, i), x.get(start + i) - mean, lane));
        double constant = constantFactor(rstd, a, slab.n());
        double slope = slopeFactor(rstd, b, slab.n());
        for (long i = 0; i < slab.n(); i++) {
          double g = weighted(dy, w, start, i);
          dx.set(start + i, Math.fma(x.get(start + i) - mean, slope, Math.fma(g, rstd, constant)));
        }
      }
    });
    if (out.length > 1) {
      Doubles dw = Doubles.of(out[1]);
      Parallel.forRange(slab.n(), 16, (from, to) -> {
        for (long j = from; j < to; j++) {
          long column = j;
          dw.set(j, Sums.sumRowsF64(slab.outer(), (chain, row) -> {
            long at = row * slab.n() + column;
            return Math.fma(dy.get(at), (x.get(at) - means.get(row)) * rstds.get(row), chain);
          }));
        }
      });
      DoubleReductions.sumRows(new Slab(1, slab.outer(), slab.n()), in[0], out[2]);
    }
  }

  private static double weighted(Doubles dy, Doubles w, long start, long i) {
    return w == null ? dy.get(start + i) : dy.get(start + i) * w.get(i);
  }

  private static void rmsNorm(Slab slab, double eps, Tensor[] in, Tensor[] out) {
    Doubles x = Doubles.of(in[0]);
    Doubles w = in.length > 1 ? Doubles.of(in[1]) : null;
    Doubles y = Doubles.of(out[0]);
    Doubles rrms = Doubles.of(out[1]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        double squares = Sums.sumF64(slab.n(), (lane, i) -> Math.fma(x.get(start + i), x.get(start + i), lane));
        double r = rms(squares, slab.n(), eps);
        rrms.set(row, r);
        for (long i = 0; i < slab.n(); i++) {
          y.set(start + i, w == null ? x.get(start + i) * r : x.get(start + i) * r * w.get(i));
        }
      }
    });
  }

  /** {@code 1 / sqrt(squares / n + eps)}. */
  private static double rms(double squares, long n, double eps) {
    return 1 / Math.sqrt(squares / n + eps);
  }

  /** With {@code g = dy w}: {@code dx = r (g - x r^2 mean(g x))}; dw is the sum over rows of {@code dy x r}. */
  private static void rmsNormGrad(Slab slab, Tensor[] in, Tensor[] out) {
    Doubles dy = Doubles.of(in[0]);
    Doubles x = Doubles.of(in[1]);
    Doubles rrms = Doubles.of(in[2]);
    Doubles w = in.length > 3 ? Doubles.of(in[3]) : null;
    Doubles dx = Doubles.of(out[0]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        double r = rrms.get(row);
        double b = r * Sums.sumF64(slab.n(), (lane, i) -> Math.fma(weighted(dy, w, start, i), x.get(start + i), lane));
        double slope = slopeFactor(r, b, slab.n());
        for (long i = 0; i < slab.n(); i++) {
          dx.set(start + i, Math.fma(x.get(start + i), slope, weighted(dy, w, start, i) * r));
        }
      }
    });
    if (out.length > 1) {
      Doubles dw = Doubles.of(out[1]);
      Parallel.forRange(slab.n(), 16, (from, to) -> {
        for (long j = from; j < to; j++) {
          long column = j;
          dw.set(j, Sums.sumRowsF64(slab.outer(), (chain, row) -> {
            long at = row * slab.n() + column;
            return Math.fma(dy.get(at), x.get(at) * rrms.get(row), chain);
          }));
        }
      });
    }
  }
}
