package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Norm;

/** {@link Norm}; this file in float32 over rows. Means and variances are found chunk by chunk: see {@link Moments}. */
final class ScalarNorms {
  private ScalarNorms() {}

  static void run(Norm op, Tensor[] in, Tensor[] out) {
    if (in[0].dtype() == DType.F64) {
      DoubleNorms.run(op, in, out);
      return;
    }
    switch (op) {
      case Norm.GroupNorm(var groups, var eps) -> ScalarGroupNorm.run(groups, eps, false, in, out);
      case Norm.GroupNormSilu(var groups, var eps) -> ScalarGroupNorm.run(groups, eps, true, in, out);
      case Norm.GroupNormGrad(var groups) -> ScalarGroupNorm.gradient(groups, false, in, out);
      case Norm.GroupNormSiluGrad(var groups) -> ScalarGroupNorm.gradient(groups, true, in, out);
      case Norm.LayerNorm(var dims, var eps) -> layerNorm(rows(in[0].shape(), dims), eps, in, out);
      case Norm.LayerNormOfSum(var eps) -> {
        ScalarElementwise.run(new Binary.Add(), new Tensor[] {in[0], in[1]}, new Tensor[] {out[1]});
        layerNorm(rows(in[0].shape(), 1), eps, ofSum(in, out), new Tensor[] {out[0], out[2], out[3]});
      }
      case Norm.LayerNormGrad(var dims, var _) -> layerNormGrad(rows(in[1].shape(), dims), in, out);
      case Norm.RmsNorm(var eps) -> rmsNorm(rows(in[0].shape(), 1), (float) eps, in, out);
      case Norm.RmsNormGrad _ -> rmsNormGrad(rows(in[1].shape(), 1), in, out);
    }
  }

  /** The inputs of the layer norm of a sum that has been computed. */
  static Tensor[] ofSum(Tensor[] in, Tensor[] out) {
    return new Tensor[] {out[1], in[2], in[3]};
  }

  /** The last {@code dims} dimensions as rows. */
  static Slab rows(Shape shape, int dims) {
    return Slab.of(shape, shape.rank() - dims, shape.rank() - 1);
  }

  // -------------------------------------------------------------------------------------------------- statistics

  /** Of n elements from {@code start}, chunk by chunk. */
  static Moments.Statistics statistics(Floats x, long start, long n, double eps) {
    Moments moments = new Moments();
    for (long first = start; first < start + n; first += Sums.CHUNK) {
      long from = first;
      long length = Math.min(Sums.CHUNK, start + n - from);
      float mean = Sums.sum(length, (lane, i) -> lane + x.get(from + i)) / length;
      float sum = Sums.sum(length, (lane, i) -> lane + (x.get(from + i) - mean));
      float squares = Sums.sum(length, (lane, i) -> {
        float d = x.get(from + i) - mean;
        return Math.fma(d, d, lane);
      });
      moments.add(length, mean, sum, squares);
    }
    return moments.statistics(eps);
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

  private static void layerNorm(Slab slab, double eps, Tensor[] in, Tensor[] out) {
    Floats x = Floats.of(in[0]);
    Floats w = in.length > 1 ? Floats.of(in[1]) : null;
    Floats b = in.length > 1 ? Floats.of(in[2]) : null;
    Floats y = Floats.of(out[0]);
    Floats mean = Floats.of(out[1]);
    Floats rstd = Floats.of(out[2]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        Moments.Statistics s = statistics(x, start, slab.n(), eps);
        mean.set(row, s.mean());
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
    if (out.length > 1) {
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
    if (out.length > 1) {
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
