package org.deft4j.tensor.internal;

import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Spatial.Window;

/** Resampling of pictures, plane by plane; adjoints add up in the order of the gradient's elements. */
final class ScalarSpatial {
  private ScalarSpatial() {}

  static void run(Spatial op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Spatial.UpsampleNearest ignored -> NearestNeighbour.of(in[0], out[0]).upsample();
      case Spatial.UpsampleNearestGrad ignored -> NearestNeighbour.of(out[0], in[0]).gradient();
      case Spatial.UpsampleBilinear ignored -> planes(in[0], out[0], ScalarSpatial::bilinear);
      case Spatial.UpsampleBilinearGrad ignored -> planes(in[0], out[0], ScalarSpatial::bilinearGrad);
      case Spatial.AvgPool2d(var window, var count) ->
          planes(in[0], out[0], plane -> average(plane, window, count, false));
      case Spatial.AvgPool2dGrad(var window, var count, var h, var w) ->
          planes(in[0], out[0], plane -> average(plane, window, count, true));
      case Spatial.MaxPool2d(var window) -> {
        Access index = Access.of(out[1]);
        planes(in[0], out[0], plane -> largest(plane, window, index));
      }
      case Spatial.MaxPool2dGrad ignored -> {
        Access index = Access.of(in[1]);
        planes(in[0], out[0], plane -> largestGrad(plane, index));
      }
    }
  }

  /** One picture of each side: first elements, and sizes. */
  private record Plane(Real real, Access from, long fromStart, long fromH, long fromW, Access to, long toStart, long toH,
      long toW) {
    double read(long h, long w) {
      return from.get(fromStart + h * fromW + w);
    }

    void write(long h, long w, double value) {
      to.set(toStart + h * toW + w, value);
    }

    void add(long h, long w, double value) {
      long at = toStart + h * toW + w;
      to.set(at, real.add(to.get(at), value));
    }

    void clear() {
      for (long i = 0; i < toH * toW; i++) {
        to.set(toStart + i, 0);
      }
    }
  }

  private interface Body {
    void run(Plane plane);
  }

  private static void planes(Tensor x, Tensor y, Body body) {
    Access from = Access.of(x);
    Access to = Access.of(y);
    long fromSize = x.size(2) * x.size(3);
    long toSize = y.size(2) * y.size(3);
    Real real = Real.of(y.dtype());
    Parallel.forRange(y.size(0) * y.size(1), Math.max(1, (1 << 14) / Math.max(1, toSize)), (first, last) -> {
      for (long p = first; p < last; p++) {
        body.run(new Plane(real, from, p * fromSize, x.size(2), x.size(3), to, p * toSize, y.size(2), y.size(3)));
      }
    });
  }

  /** The two neighbours along one direction and the second one's share. */
  private record Between(long low, long high, double share) {
    static Between of(long target, long in, long out, Real real) {
      double ratio = real.div((double) in, (double) out);
      double at = Math.max(0, real.add(real.mul(ratio, real.add((double) target, 0.5)), -0.5));
      long low = (long) at;
      return new Between(low, Math.min(low + 1, in - 1), real.add(at, (double) -low));
    }
  }

  private static void bilinear(Plane p) {
    Real real = p.real;
    for (long h = 0; h < p.toH; h++) {
      Between y = Between.of(h, p.fromH, p.toH, real);
      for (long w = 0; w < p.toW; w++) {
        Between x = Between.of(w, p.fromW, p.toW, real);
        double top = mix(real, p.read(y.low, x.low), p.read(y.low, x.high), x.share);
        double bottom = mix(real, p.read(y.high, x.low), p.read(y.high, x.high), x.share);
        p.write(h, w, mix(real, top, bottom, y.share));
      }
    }
  }

  private static double mix(Real real, double a, double b, double share) {
    return real.add(real.mul(real.add(1, -share), a), real.mul(share, b));
  }

  private static void bilinearGrad(Plane p) {
    Real real = p.real;
    p.clear();
    for (long h = 0; h < p.fromH; h++) {
      Between y = Between.of(h, p.toH, p.fromH, real);
      for (long w = 0; w < p.fromW; w++) {
        Between x = Between.of(w, p.toW, p.fromW, real);
        double g = p.read(h, w);
        double top = real.mul(real.add(1, -y.share), g);
        double bottom = real.mul(y.share, g);
        p.add(y.low, x.low, real.mul(real.add(1, -x.share), top));
        p.add(y.low, x.high, real.mul(x.share, top));
        p.add(y.high, x.low, real.mul(real.add(1, -x.share), bottom));
        p.add(y.high, x.high, real.mul(x.share, bottom));
      }
    }
  }

  /** Means of windows, or (adjoint) each gradient's share for every pixel of its window. */
  private static void average(Plane p, Window window, boolean countPadding, boolean adjoint) {
    Real real = p.real;
    long pictureH = adjoint ? p.toH : p.fromH;
    long pictureW = adjoint ? p.toW : p.fromW;
    long outH = adjoint ? p.fromH : p.toH;
    long outW = adjoint ? p.fromW : p.toW;
    if (adjoint) {
      p.clear();
    }
    for (long h = 0; h < outH; h++) {
      long top = Math.max(0, h * window.stride() - window.padding());
      long bottom = Math.min(pictureH, h * window.stride() - window.padding() + window.kernel());
      for (long w = 0; w < outW; w++) {
        long left = Math.max(0, w * window.stride() - window.padding());
        long right = Math.min(pictureW, w * window.stride() - window.padding() + window.kernel());
        long count = countPadding ? (long) window.kernel() * window.kernel() : (bottom - top) * (right - left);
        double share = adjoint ? real.div(p.read(h, w), (double) count) : 0;
        double sum = 0;
        for (long i = top; i < bottom; i++) {
          for (long j = left; j < right; j++) {
            if (adjoint) {
              p.add(i, j, share);
            } else {
              sum = real.add(sum, p.read(i, j));
            }
          }
        }
        if (!adjoint) {
          p.write(h, w, real.div(sum, (double) count));
        }
      }
    }
  }

  private static void largest(Plane p, Window window, Access index) {
    for (long h = 0; h < p.toH; h++) {
      for (long w = 0; w < p.toW; w++) {
        double best = Double.NEGATIVE_INFINITY;
        long where = -1;
        for (long i = h * window.stride() - window.padding(), a = 0; a < window.kernel(); a++, i++) {
          for (long j = w * window.stride() - window.padding(), c = 0; c < window.kernel(); c++, j++) {
            boolean inside = i >= 0 && i < p.fromH && j >= 0 && j < p.fromW;
            if (inside && (where < 0 || p.read(i, j) > best || Double.isNaN(p.read(i, j)))) {
              best = p.read(i, j);
              where = i * p.fromW + j;
            }
          }
        }
        p.write(h, w, best);
        index.setLong(p.toStart + h * p.toW + w, where);
      }
    }
  }

  private static void largestGrad(Plane p, Access index) {
    p.clear();
    for (long h = 0; h < p.fromH; h++) {
      for (long w = 0; w < p.fromW; w++) {
        long where = index.getLong(p.fromStart + h * p.fromW + w);
        if (where < 0 || where >= p.toH * p.toW) {
          throw new ShapeException("max_pool2d_grad: index " + where + " is outside 0 .. " + (p.toH * p.toW - 1));
        }
        p.add(where / p.toW, where % p.toW, p.read(h, w));
      }
    }
  }
}
