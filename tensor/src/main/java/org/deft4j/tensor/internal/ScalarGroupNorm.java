package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** Group norm, alone or with SiLU, in float32. */
final class ScalarGroupNorm {
  private ScalarGroupNorm() {}

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

  /** With {@code silu}: {@code h sigmoid(h)}, h being the norm's result. */
  static void run(int groups, double eps, boolean silu, Tensor[] in, Tensor[] out) {
    Channels shape = Channels.of(in[0].shape(), groups);
    Floats x = Floats.of(in[0]);
    Floats w = Floats.of(in[1]);
    Floats b = Floats.of(in[2]);
    Floats y = Floats.of(out[0]);
    Floats mean = Floats.of(out[1]);
    Floats rstd = Floats.of(out[2]);
    Parallel.forRange(shape.batch() * shape.groups(), 1, (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * shape.count();
        Moments.Statistics s = ScalarNorms.statistics(x, start, shape.count(), eps);
        mean.set(row, s.mean());
        rstd.set(row, s.rstd());
        for (long k = 0; k < shape.perGroup(); k++) {
          long c = row % shape.groups() * shape.perGroup() + k;
          float scale = s.rstd() * w.get(c);
          float shift = Math.fma(-s.low(), scale, b.get(c));
          long first = start + k * shape.positions();
          for (long i = first; i < first + shape.positions(); i++) {
            float h = Math.fma(x.get(i) - s.mean(), scale, shift);
            y.set(i, silu ? h * MathF32.sigmoid(h) : h);
          }
        }
      }
    });
  }

  /**
   * With A_c and B_c the sums over a channel of dy and of {@code dy xhat}, and m elements in the group:
   * {@code dx = rstd (dy w - sum_c(w A) / m - xhat sum_c(w B) / m)}, {@code dw = sum_n B}, {@code db = sum_n A}. With {@code
   * silu} all this of {@code dy silu'(h)}, {@code h = (x - mean) rstd w + b}, in the place of dy.
   */
  static void gradient(int groups, boolean silu, Tensor[] in, Tensor[] out) {
    Channels shape = Channels.of(in[1].shape(), groups);
    Floats upstream = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats means = Floats.of(in[2]);
    Floats rstds = Floats.of(in[3]);
    Floats w = Floats.of(in[4]);
    Floats b = silu ? Floats.of(in[5]) : null;
    Floats dx = Floats.of(out[0]);
    Floats dy = silu ? dx : upstream;
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
            if (silu) {
              throughSilu(upstream, x, mean, rstd * w.get(k % shape.channels()), b.get(k % shape.channels()), dx, start,
                  shape.positions());
            }
            float a = Sums.sum(shape.positions(), (lane, i) -> lane + dy.get(start + i));
            float withX = rstd * Sums.sum(shape.positions(),
                (lane, i) -> Math.fma(dy.get(start + i), x.get(start + i) - mean, lane));
            sumA.set(k, a);
            sumB.set(k, withX);
            totalA = Math.fma(w.get(k % shape.channels()), a, totalA);
            totalB = Math.fma(w.get(k % shape.channels()), withX, totalB);
          }
          float constant = ScalarNorms.constantFactor(rstd, totalA, shape.count());
          float slope = ScalarNorms.slopeFactor(rstd, totalB, shape.count());
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

  /** {@code dh = dy silu'(h)} with {@code h = (x - mean) scale + shift}. */
  private static void throughSilu(Floats dy, Floats x, float mean, float scale, float shift, Floats dh, long start, long n) {
    for (long i = start; i < start + n; i++) {
      dh.set(i, dy.get(i) * FloatFunctions.swishSlope(Math.fma(x.get(i) - mean, scale, shift)));
    }
  }
}
