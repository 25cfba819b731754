package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Norm;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static jdk.incubator.vector.VectorOperators.FMA;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/** {@link Norm} in float32, by the formulas of {@link ScalarNorms}. */
final class VectorNorms {
  /** Shorter rows are left to the scalar form. */
  private static final long SHORT = 16;

  private VectorNorms() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Norm op, Tensor[] in, Tensor[] out) {
    if (in[0].dtype() != DType.F32 || in[0].elementCount() < VectorElementwise.SMALL) {
      return false;
    }
    return switch (op) {
      case Norm.GroupNorm(var groups, var eps) ->
          groupNorm(ScalarNorms.Channels.of(in[0].shape(), groups), (float) eps, in, out);
      case Norm.GroupNormGrad(var groups) -> groupNormGrad(ScalarNorms.Channels.of(in[1].shape(), groups), in, out);
      case Norm.LayerNorm(var dims, var eps) -> layerNorm(ScalarNorms.rows(in[0].shape(), dims), (float) eps, in, out);
      case Norm.LayerNormGrad(var dims) -> layerNormGrad(ScalarNorms.rows(in[1].shape(), dims), in, out);
      case Norm.RmsNorm(var eps) -> rmsNorm(ScalarNorms.rows(in[0].shape(), 1), (float) eps, in, out);
      case Norm.RmsNormGrad() -> rmsNormGrad(ScalarNorms.rows(in[1].shape(), 1), in, out);
    };
  }

  private static ScalarNorms.Statistics statistics(Floats x, long start, long n, float eps) {
    float mean = VectorSums.sum(x, start, n) / n;
    float[] sums = new float[2];
    VectorSums.moments(x, mean, start, n, sums);
    return ScalarNorms.Statistics.of(mean, sums[0], sums[1], n, eps);
  }

  // -------------------------------------------------------------------------------------------------- group norm

  private static boolean groupNorm(ScalarNorms.Channels shape, float eps, Tensor[] in, Tensor[] out) {
    Floats x = Floats.of(in[0]);
    Floats w = Floats.of(in[1]);
    Floats b = Floats.of(in[2]);
    Floats y = Floats.of(out[0]);
    Floats mean = Floats.of(out[1]);
    Floats rstd = Floats.of(out[2]);
    Parallel.forRange(shape.batch() * shape.groups(), 1, (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * shape.count();
        ScalarNorms.Statistics s = statistics(x, start, shape.count(), eps);
        mean.set(row, s.mean() + s.low());
        rstd.set(row, s.rstd());
        for (long k = 0; k < shape.perGroup(); k++) {
          long c = row % shape.groups() * shape.perGroup() + k;
          float scale = s.rstd() * w.get(c);
          float shift = Math.fma(-s.low(), scale, b.get(c));
          normalize(x, s.mean(), scale, shift, y, start + k * shape.positions(), shape.positions());
        }
      }
    });
    return true;
  }

  /** {@code y = (x - mean) scale + shift}. */
  private static void normalize(Floats x, float mean, float scale, float shift, Floats y, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector d = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean);
      d.fma(scale, shift).intoMemorySegment(y.memory(), atY + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      y.set(i, Math.fma(x.get(i) - mean, scale, shift));
    }
  }

  private static boolean groupNormGrad(ScalarNorms.Channels shape, Tensor[] in, Tensor[] out) {
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats means = Floats.of(in[2]);
    Floats rstds = Floats.of(in[3]);
    Floats w = Floats.of(in[4]);
    Floats dx = Floats.of(out[0]);
    long positions = shape.positions();
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
            float a = VectorSums.sum(dy, k * positions, positions);
            float b = rstd * VectorSums.dotDifference(dy, x, mean, k * positions, positions);
            sumA.set(k, a);
            sumB.set(k, b);
            totalA = Math.fma(w.get(k % shape.channels()), a, totalA);
            totalB = Math.fma(w.get(k % shape.channels()), b, totalB);
          }
          float constant = ScalarNorms.constantFactor(rstd, totalA, shape.count());
          float slope = ScalarNorms.slopeFactor(rstd, totalB, shape.count());
          for (long k = row * shape.perGroup(); k < (row + 1) * shape.perGroup(); k++) {
            float scale = rstd * w.get(k % shape.channels());
            gradient(dy, scale, x, mean, slope, constant, dx, k * positions, positions);
          }
        }
      });
      Slab overBatch = new Slab(1, shape.batch(), shape.channels());
      VectorReductions.sumAcross(overBatch, sumB, Floats.of(out[1]));
      VectorReductions.sumAcross(overBatch, sumA, Floats.of(out[2]));
    }
    return true;
  }

  /** {@code dx = (x - mean) slope + (g scale + constant)}; g may be dx itself. */
  private static void gradient(Floats g, float scale, Floats x, float mean, float slope, float constant, Floats dx,
      long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atG = g.byteAt(start);
    long atX = x.byteAt(start);
    long atD = dx.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector scaled = fromMemorySegment(FLOATS, g.memory(), atG + step, ORDER).fma(scale, constant);
      FloatVector d = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean);
      d.lanewise(FMA, slope, scaled).intoMemorySegment(dx.memory(), atD + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      dx.set(i, Math.fma(x.get(i) - mean, slope, Math.fma(g.get(i), scale, constant)));
    }
  }

  // -------------------------------------------------------------------------------------------------- layer norm

  private static boolean layerNorm(Slab slab, float eps, Tensor[] in, Tensor[] out) {
    if (slab.n() < SHORT) {
      return false;
    }
    Floats x = Floats.of(in[0]);
    Floats w = in.length > 1 ? Floats.of(in[1]) : null;
    Floats b = in.length > 1 ? Floats.of(in[2]) : null;
    Floats y = Floats.of(out[0]);
    Floats mean = Floats.of(out[1]);
    Floats rstd = Floats.of(out[2]);
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        long start = row * slab.n();
        ScalarNorms.Statistics s = statistics(x, start, slab.n(), eps);
        mean.set(row, s.mean() + s.low());
        rstd.set(row, s.rstd());
        if (w == null) {
          standardize(x, s, y, start, slab.n());
        } else {
          standardize(x, s, w, b, y, start, slab.n());
        }
      }
    });
    return true;
  }

  /** {@code y = ((x - mean) - low) rstd}. */
  private static void standardize(Floats x, ScalarNorms.Statistics s, Floats y, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector d = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(s.mean()).sub(s.low());
      d.mul(s.rstd()).intoMemorySegment(y.memory(), atY + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      y.set(i, ((x.get(i) - s.mean()) - s.low()) * s.rstd());
    }
  }

  /** {@code y = ((x - mean) - low) rstd w + b}. */
  private static void standardize(Floats x, ScalarNorms.Statistics s, Floats w, Floats b, Floats y, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atW = w.byteAt(0);
    long atB = b.byteAt(0);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector d = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(s.mean()).sub(s.low()).mul(s.rstd());
      FloatVector weight = fromMemorySegment(FLOATS, w.memory(), atW + step, ORDER);
      FloatVector bias = fromMemorySegment(FLOATS, b.memory(), atB + step, ORDER);
      d.fma(weight, bias).intoMemorySegment(y.memory(), atY + step, ORDER);
    }
    for (long i = (long) vectors * Simd.LANES; i < n; i++) {
      float xhat = ((x.get(start + i) - s.mean()) - s.low()) * s.rstd();
      y.set(start + i, Math.fma(xhat, w.get(i), b.get(i)));
    }
  }

  private static boolean layerNormGrad(Slab slab, Tensor[] in, Tensor[] out) {
    if (slab.n() < SHORT) {
      return false;
    }
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats means = Floats.of(in[2]);
    Floats rstds = Floats.of(in[3]);
    Floats w = in.length > 4 ? Floats.of(in[4]) : null;
    Floats dx = Floats.of(out[0]);
    long n = slab.n();
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        Floats g = weighted(dy, w, dx, row * n, n);
        float mean = means.get(row);
        float rstd = rstds.get(row);
        float a = VectorSums.sum(g, row * n, n);
        float b = rstd * VectorSums.dotDifference(g, x, mean, row * n, n);
        gradient(g, rstd, x, mean, ScalarNorms.slopeFactor(rstd, b, n), ScalarNorms.constantFactor(rstd, a, n), dx,
            row * n, n);
      }
    });
    if (w != null) {
      weightGradient(slab, dy, x, means, rstds, Floats.of(out[1]));
      VectorReductions.sumAcross(new Slab(1, slab.outer(), n), dy, Floats.of(out[2]));
    }
    return true;
  }

  /** {@code dy w}, written to {@code room}; or dy where there is no weight. */
  private static Floats weighted(Floats dy, Floats w, Floats room, long start, long n) {
    if (w == null) {
      return dy;
    }
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atD = dy.byteAt(start);
    long atW = w.byteAt(0);
    long atR = room.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector d = fromMemorySegment(FLOATS, dy.memory(), atD + step, ORDER);
      FloatVector weight = fromMemorySegment(FLOATS, w.memory(), atW + step, ORDER);
      d.mul(weight).intoMemorySegment(room.memory(), atR + step, ORDER);
    }
    for (long i = (long) vectors * Simd.LANES; i < n; i++) {
      room.set(start + i, dy.get(start + i) * w.get(i));
    }
    return room;
  }

  /** {@code dw_j = sum over rows of dy (x - mean) rstd}; without means {@code dy x rstd}. */
  private static void weightGradient(Slab slab, Floats dy, Floats x, Floats means, Floats rstds, Floats dw) {
    long n = slab.n();
    Parallel.forRange((n + Simd.LANES - 1) / Simd.LANES, 1, (from, to) -> {
      for (long tile = from; tile < to; tile++) {
        long column = tile * Simd.LANES;
        if (column + Simd.LANES <= n) {
          if (means == null) {
            weightColumns(slab, dy, x, rstds, column, dw);
          } else {
            weightColumns(slab, dy, x, means, rstds, column, dw);
          }
          continue;
        }
        for (long j = column; j < n; j++) {
          long first = j;
          dw.set(j, Sums.sumRows(slab.outer(), (chain, row) -> {
            float mean = means == null ? 0f : means.get(row);
            return Math.fma(dy.get(row * n + first), (x.get(row * n + first) - mean) * rstds.get(row), chain);
          }));
        }
      }
    });
  }

  private static void weightColumns(Slab slab, Floats dy, Floats x, Floats means, Floats rstds, long column, Floats dw) {
    long step = slab.n() * Float.BYTES;
    MemorySegment gradients = dy.memory();
    MemorySegment inputs = x.memory();
    FloatVector total = FloatVector.zero(FLOATS);
    for (long first = 0; first < slab.outer(); first += Sums.ROWS) {
      int length = (int) Math.min(Sums.ROWS, slab.outer() - first);
      long atD = dy.byteAt(column) + first * step;
      long atX = x.byteAt(column) + first * step;
      FloatVector chain = FloatVector.zero(FLOATS);
      for (int i = 0; i < length; i++) {
        FloatVector d = fromMemorySegment(FLOATS, inputs, atX + i * step, ORDER).sub(means.get(first + i));
        d = d.mul(rstds.get(first + i));
        chain = fromMemorySegment(FLOATS, gradients, atD + i * step, ORDER).fma(d, chain);
      }
      total = total.add(chain);
    }
    total.intoMemorySegment(dw.memory(), dw.byteAt(column), ORDER);
  }

  private static void weightColumns(Slab slab, Floats dy, Floats x, Floats rrms, long column, Floats dw) {
    long step = slab.n() * Float.BYTES;
    MemorySegment gradients = dy.memory();
    MemorySegment inputs = x.memory();
    FloatVector total = FloatVector.zero(FLOATS);
    for (long first = 0; first < slab.outer(); first += Sums.ROWS) {
      int length = (int) Math.min(Sums.ROWS, slab.outer() - first);
      long atD = dy.byteAt(column) + first * step;
      long atX = x.byteAt(column) + first * step;
      FloatVector chain = FloatVector.zero(FLOATS);
      for (int i = 0; i < length; i++) {
        FloatVector d = fromMemorySegment(FLOATS, inputs, atX + i * step, ORDER).mul(rrms.get(first + i));
        chain = fromMemorySegment(FLOATS, gradients, atD + i * step, ORDER).fma(d, chain);
      }
      total = total.add(chain);
    }
    total.intoMemorySegment(dw.memory(), dw.byteAt(column), ORDER);
  }

  // ---------------------------------------------------------------------------------------------------- RMS norm

  private static boolean rmsNorm(Slab slab, float eps, Tensor[] in, Tensor[] out) {
    if (slab.n() < SHORT) {
      return false;
    }
    Floats x = Floats.of(in[0]);
    Floats w = in.length > 1 ? Floats.of(in[1]) : null;
    Floats y = Floats.of(out[0]);
    Floats rrms = Floats.of(out[1]);
    long n = slab.n();
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        float r = ScalarNorms.rms(VectorSums.dot(x, row * n, x, row * n, n), n, eps);
        rrms.set(row, r);
        normalize(x, r, y, row * n, n);
        weighted(y, w, y, row * n, n);
      }
    });
    return true;
  }

  /** {@code y = x r}. */
  private static void normalize(Floats x, float r, Floats y, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).mul(r).intoMemorySegment(y.memory(), atY + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      y.set(i, x.get(i) * r);
    }
  }

  private static boolean rmsNormGrad(Slab slab, Tensor[] in, Tensor[] out) {
    if (slab.n() < SHORT) {
      return false;
    }
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats rrms = Floats.of(in[2]);
    Floats w = in.length > 3 ? Floats.of(in[3]) : null;
    Floats dx = Floats.of(out[0]);
    long n = slab.n();
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      for (long row = from; row < to; row++) {
        Floats g = weighted(dy, w, dx, row * n, n);
        float r = rrms.get(row);
        float slope = ScalarNorms.slopeFactor(r, r * VectorSums.dot(g, row * n, x, row * n, n), n);
        gradient(g, r, x, slope, dx, row * n, n);
      }
    });
    if (w != null) {
      weightGradient(slab, dy, x, null, rrms, Floats.of(out[1]));
    }
    return true;
  }

  /** {@code dx = x slope + g r}; g may be dx itself. */
  private static void gradient(Floats g, float r, Floats x, float slope, Floats dx, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atG = g.byteAt(start);
    long atX = x.byteAt(start);
    long atD = dx.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector scaled = fromMemorySegment(FLOATS, g.memory(), atG + step, ORDER).mul(r);
      fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).lanewise(FMA, slope, scaled)
          .intoMemorySegment(dx.memory(), atD + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      dx.set(i, Math.fma(x.get(i), slope, g.get(i) * r));
    }
  }
}
