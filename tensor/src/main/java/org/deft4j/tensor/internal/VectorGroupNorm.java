package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/** Group norm, alone or with SiLU, in float32, by the formulas of {@link ScalarGroupNorm}; groups are what threads share. */
final class VectorGroupNorm {
  private VectorGroupNorm() {}

  static void run(ScalarGroupNorm.Channels shape, double eps, boolean silu, Tensor[] in, Tensor[] out) {
    Floats x = Floats.of(in[0]);
    Floats w = Floats.of(in[1]);
    Floats b = Floats.of(in[2]);
    Floats y = Floats.of(out[0]);
    Floats mean = Floats.of(out[1]);
    Floats rstd = Floats.of(out[2]);
    long positions = shape.positions();
    Parallel.forRange(shape.batch() * shape.groups(), 1, (from, to) -> {
      VectorSums sums = new VectorSums();
      Moments[] moments = Moments.of(1);
      for (long row = from; row < to; row++) {
        long start = row * shape.count();
        sums.moments(x, start, shape.count(), 1, moments);
        Moments.Statistics s = moments[0].statistics(eps);
        mean.set(row, s.mean());
        rstd.set(row, s.rstd());
        for (long k = 0; k < shape.perGroup(); k++) {
          long c = row % shape.groups() * shape.perGroup() + k;
          float scale = s.rstd() * w.get(c);
          float shift = Math.fma(-s.low(), scale, b.get(c));
          if (silu) {
            normalizeSilu(x, s.mean(), scale, shift, y, start + k * positions, positions);
          } else {
            normalize(x, s.mean(), scale, shift, y, start + k * positions, positions);
          }
        }
      }
    });
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

  /** {@code y = h sigmoid(h)} with {@code h = (x - mean) scale + shift}. */
  private static void normalizeSilu(Floats x, float mean, float scale, float shift, Floats y, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      MemorySegment memory = y.memory();
      long step = (long) i * Simd.BYTES;
      FloatVector h = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean).fma(scale, shift);
      FloatVector result = h.mul(MathVector.sigmoid(h));
      result.intoMemorySegment(memory, atY + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      float h = Math.fma(x.get(i) - mean, scale, shift);
      y.set(i, h * MathF32.sigmoid(h));
    }
  }

  static void gradient(ScalarGroupNorm.Channels shape, boolean silu, Tensor[] in, Tensor[] out) {
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats means = Floats.of(in[2]);
    Floats rstds = Floats.of(in[3]);
    Floats w = Floats.of(in[4]);
    Floats b = silu ? Floats.of(in[5]) : null;
    Floats dx = Floats.of(out[0]);
    long positions = shape.positions();
    try (Tensor ofDy = Tensor.empty(Device.CPU, DType.F32, Shape.of(shape.batch(), shape.channels()));
        Tensor ofDyX = Tensor.empty(Device.CPU, DType.F32, Shape.of(shape.batch(), shape.channels()))) {
      Floats sumA = Floats.of(ofDy);
      Floats sumB = Floats.of(ofDyX);
      Parallel.forRange(shape.batch() * shape.groups(), 1, (from, to) -> {
        VectorSums sums = new VectorSums();
        for (long row = from; row < to; row++) {
          float mean = means.get(row);
          float rstd = rstds.get(row);
          float totalA = 0f;
          float totalB = 0f;
          for (long k = row * shape.perGroup(); k < (row + 1) * shape.perGroup(); k++) {
            long c = k % shape.channels();
            if (silu) {
              throughSilu(dy, x, mean, rstd * w.get(c), b.get(c), dx, k * positions, positions);
            }
            Floats dh = silu ? dx : dy;
            VectorSums.Linear total = sums.linear(dh, x, mean, k * positions, positions);
            float ofChannel = total.sum();
            float withX = rstd * total.withX();
            sumA.set(k, ofChannel);
            sumB.set(k, withX);
            totalA = Math.fma(w.get(c), ofChannel, totalA);
            totalB = Math.fma(w.get(c), withX, totalB);
          }
          float constant = ScalarNorms.constantFactor(rstd, totalA, shape.count());
          float slope = ScalarNorms.slopeFactor(rstd, totalB, shape.count());
          for (long k = row * shape.perGroup(); k < (row + 1) * shape.perGroup(); k++) {
            float scale = rstd * w.get(k % shape.channels());
            VectorNorms.gradient(silu ? dx : dy, scale, x, mean, slope, constant, dx, k * positions, positions);
          }
        }
      });
      Slab overBatch = new Slab(1, shape.batch(), shape.channels());
      VectorColumns.sum(overBatch, sumB, Floats.of(out[1]));
      VectorColumns.sum(overBatch, sumA, Floats.of(out[2]));
    }
  }

  /** {@code dh = dy silu'(h)} with {@code h = (x - mean) scale + shift}. */
  private static void throughSilu(Floats dy, Floats x, float mean, float scale, float shift, Floats dh, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atDy = dy.byteAt(start);
    long atX = x.byteAt(start);
    long atH = dh.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      MemorySegment memory = dh.memory();
      long step = (long) i * Simd.BYTES;
      FloatVector d = fromMemorySegment(FLOATS, dy.memory(), atDy + step, ORDER);
      FloatVector h = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean).fma(scale, shift);
      FloatVector result = d.mul(VectorFunctions.swishSlope(h));
      result.intoMemorySegment(memory, atH + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      dh.set(i, dy.get(i) * FloatFunctions.swishSlope(Math.fma(x.get(i) - mean, scale, shift)));
    }
  }
}
