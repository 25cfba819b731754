package org.deft4j.tensor.internal;

import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/** Sums of products, each output one chain of fused multiply-adds, k ascending, the bias last; but for {@link Winograd}. */
final class ScalarContraction {
  private ScalarContraction() {}

  static void run(Contraction op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Contraction.MatMul _ -> matmul(in[0], in[1], out[0]);
      case Contraction.Linear() -> linear(in, out[0]);
      case Contraction.RankUpdate(var scale) -> rankUpdate(scale, in, out[0], out[1]);
      case Contraction.Conv2d(var spec) -> conv2d(spec, in, out[0]);
      case Contraction.Conv2dInputGrad(var spec, var input) -> inputGrad(spec, in[0], in[1], out[0]);
      case Contraction.Conv2dWeightGrad(var spec, var weight) -> weightGrad(spec, in[0], in[1], out[0]);
      case Contraction.Attention attention -> ScalarAttention.forward(attention, in, out);
      case Contraction.AttentionGrad attention -> ScalarAttention.backward(attention, in, out);
    }
  }

  /** {@code c_mn = sum_k a_mk b_kn}, batch by batch. */
  private static void matmul(Tensor a, Tensor b, Tensor c) {
    Real real = Real.of(c.dtype());
    Access left = Access.of(a);
    Access right = Access.of(b);
    Access product = Access.of(c);
    int rank = c.rank();
    Shape batch = c.shape().sub(0, rank - 2);
    long[] batchA = batchStrides(a, rank);
    long[] batchB = batchStrides(b, rank);
    long[] sa = a.strides();
    long[] sb = b.strides();
    long rowA = sa[sa.length - 2];
    long kA = sa[sa.length - 1];
    long kB = sb[sb.length - 2];
    long columnB = sb[sb.length - 1];
    long m = c.size(-2);
    long n = c.size(-1);
    long k = a.size(-1);
    Parallel.forRange(batch.elementCount() * m, Math.max(1, ScalarElementwise.GRAIN / Math.max(1, n * k)), (from, to) -> {
      for (long row = from; row < to; row++) {
        long atA = Positions.offset(row / m, batch, batchA) + row % m * rowA;
        long atB = Positions.offset(row / m, batch, batchB);
        for (long j = 0; j < n; j++) {
          double acc = 0;
          for (long i = 0; i < k; i++) {
            acc = real.fma(left.get(atA + i * kA), right.get(atB + i * kB + j * columnB), acc);
          }
          product.set(row * n + j, acc);
        }
      }
    });
  }

  /** Strides of the leading dimensions, stretched to those of the result. */
  private static long[] batchStrides(Tensor tensor, int rank) {
    long[] all = Strides.stretched(tensor, rank);
    return java.util.Arrays.copyOf(all, rank - 2);
  }

  /** {@code t = scale u - x s}, {@code z = x + t l^T}. */
  private static void rankUpdate(double scale, Tensor[] in, Tensor z, Tensor t) {
    Real real = Real.of(z.dtype());
    Access x = Access.of(in[0]);
    Access s = Access.of(in[1]);
    Access l = Access.of(in[2]);
    Access u = in.length == 4 ? Access.of(in[3]) : null;
    Access thin = Access.of(t);
    Access sum = Access.of(z);
    double factor = real == Real.F32 ? (float) scale : scale;
    long n = in[1].size(0);
    long r = in[1].size(1);
    long rows = n == 0 ? 0 : z.elementCount() / n;
    Parallel.forRange(rows, 1, (from, to) -> {
      for (long row = from; row < to; row++) {
        for (long j = 0; j < r; j++) {
          double removed = 0;
          for (long o = 0; o < n; o++) {
            removed = real.fma(x.get(row * n + o), s.get(o * r + j), removed);
          }
          thin.set(row * r + j, u == null ? -removed : real.add(real.mul(factor, u.get(row * r + j)), -removed));
        }
        for (long o = 0; o < n; o++) {
          double added = 0;
          for (long j = 0; j < r; j++) {
            added = real.fma(thin.get(row * r + j), l.get(o * r + j), added);
          }
          sum.set(row * n + o, real.add(x.get(row * n + o), added));
        }
      }
    });
  }

  /** {@code y = x w^T + b}. */
  private static void linear(Tensor[] in, Tensor y) {
    Real real = Real.of(y.dtype());
    Tensor x = in[0];
    Access input = Access.of(x);
    Access weight = Access.of(in[1]);
    Access bias = in.length == 3 ? Access.of(in[2]) : null;
    Access output = Access.of(y);
    long n = in[1].size(0);
    long k = in[1].size(1);
    long[] sw = in[1].strides();
    long[] sx = x.strides();
    long kX = sx[sx.length - 1];
    Shape rows = x.shape().sub(0, x.rank() - 1);
    Parallel.forRange(rows.elementCount(), 1, (from, to) -> {
      for (long row = from; row < to; row++) {
        long at = Positions.offset(row, rows, sx);
        for (long j = 0; j < n; j++) {
          double acc = 0;
          for (long i = 0; i < k; i++) {
            acc = real.fma(input.get(at + i * kX), weight.get(j * sw[0] + i * sw[1]), acc);
          }
          output.set(row * n + j, bias == null ? acc : real.add(acc, bias.get(j * in[2].strides()[0])));
        }
      }
    });
  }

  /** {@code y[n,o,p,q] = b[o] + sum_{c,i,j} x[n,c,p s - pad + i d, ...] w[o,c,i,j]}; outside the picture x is 0. */
  private static void conv2d(ConvSpec s, Tensor[] in, Tensor y) {
    Winograd form = Winograd.of(s, in[1], in[0], y);
    if (form != null) {
      ScalarWinograd.run(form, in[0], in[1], false, s.top(), s.left(), in.length == 3 ? in[2] : null, y);
      return;
    }
    Real real = Real.of(y.dtype());
    Access x = Access.of(in[0]);
    Access w = Access.of(in[1]);
    Access bias = in.length == 3 ? Access.of(in[2]) : null;
    Access to = Access.of(y);
    long c = in[1].size(1);
    long kh = in[1].size(2);
    long kw = in[1].size(3);
    long height = in[0].size(2);
    long width = in[0].size(3);
    long channels = in[0].size(1);
    long outs = y.size(1);
    long oh = y.size(2);
    long ow = y.size(3);
    Parallel.forRange(y.size(0) * outs, 1, (from, end) -> {
      for (long plane = from; plane < end; plane++) {
        long o = plane % outs;
        long firstChannel = plane / outs * channels + o / (outs / s.groups()) * c;
        for (long pixel = 0; pixel < oh * ow; pixel++) {
          double acc = 0;
          for (long k = 0; k < c * kh * kw; k++) {
            long row = pixel / ow * s.strideH() - s.top() + k / kw % kh * s.dilationH();
            long column = pixel % ow * s.strideW() - s.left() + k % kw * s.dilationW();
            boolean inside = row >= 0 && row < height && column >= 0 && column < width;
            double value = inside ? x.get(((firstChannel + k / (kh * kw)) * height + row) * width + column) : 0;
            acc = real.fma(value, w.get(o * c * kh * kw + k), acc);
          }
          to.set(plane * oh * ow + pixel, bias == null ? acc : real.add(acc, bias.get(o)));
        }
      }
    });
  }

  /** {@code dx[n,c,h,w] = sum_{o,i,j} dy[n,o,p,q] w[o,c,i,j]} over the p, q with {@code p s - pad + i d = h}. */
  private static void inputGrad(ConvSpec s, Tensor dy, Tensor weight, Tensor dx) {
    Winograd form = Winograd.of(s, weight, dy, dx);
    if (form != null) {
      ScalarWinograd.run(form, dy, weight, true, 2 - s.top(), 2 - s.left(), null, dx);
      return;
    }
    Real real = Real.of(dx.dtype());
    Access upstream = Access.of(dy);
    Access w = Access.of(weight);
    Access to = Access.of(dx);
    long perGroup = weight.size(0) / s.groups();
    long c = weight.size(1);
    long kh = weight.size(2);
    long kw = weight.size(3);
    long oh = dy.size(2);
    long ow = dy.size(3);
    long height = dx.size(2);
    long width = dx.size(3);
    long channels = dx.size(1);
    Parallel.forRange(dx.size(0) * channels, 1, (from, end) -> {
      for (long plane = from; plane < end; plane++) {
        long channel = plane % channels;
        long firstOut = channel / c * perGroup;
        for (long pixel = 0; pixel < height * width; pixel++) {
          double acc = 0;
          for (long k = 0; k < perGroup * kh * kw; k++) {
            long o = firstOut + k / (kh * kw);
            long row = pixel / width + s.top() - k / kw % kh * s.dilationH();
            long column = pixel % width + s.left() - k % kw * s.dilationW();
            if (row % s.strideH() != 0 || column % s.strideW() != 0) {
              continue;
            }
            boolean inside = row >= 0 && column >= 0 && row / s.strideH() < oh && column / s.strideW() < ow;
            long at = ((plane / channels * dy.size(1) + o) * oh + row / s.strideH()) * ow + column / s.strideW();
            double value = inside ? upstream.get(at) : 0;
            acc = real.fma(value, w.get((o * c + channel % c) * kh * kw + k % (kh * kw)), acc);
          }
          to.set(plane * height * width + pixel, acc);
        }
      }
    });
  }

  /** {@code dw[o,c,i,j] = sum_{n,p,q} dy[n,o,p,q] x[n,c,p s - pad + i d, ...]}. */
  private static void weightGrad(ConvSpec s, Tensor dy, Tensor input, Tensor dw) {
    Real real = Real.of(dw.dtype());
    Access upstream = Access.of(dy);
    Access x = Access.of(input);
    Access to = Access.of(dw);
    long perGroup = dw.size(0) / s.groups();
    long c = dw.size(1);
    long kh = dw.size(2);
    long kw = dw.size(3);
    long oh = dy.size(2);
    long ow = dy.size(3);
    long height = input.size(2);
    long width = input.size(3);
    Parallel.forRange(dw.elementCount(), 1, (from, end) -> {
      for (long element = from; element < end; element++) {
        long o = element / (c * kh * kw);
        long channel = o / perGroup * c + element / (kh * kw) % c;
        double acc = 0;
        for (long k = 0; k < dy.size(0) * oh * ow; k++) {
          long n = k / (oh * ow);
          long row = k / ow % oh * s.strideH() - s.top() + element / kw % kh * s.dilationH();
          long column = k % ow * s.strideW() - s.left() + element % kw * s.dilationW();
          boolean inside = row >= 0 && row < height && column >= 0 && column < width;
          double value = inside ? x.get(((n * input.size(1) + channel) * height + row) * width + column) : 0;
          acc = real.fma(upstream.get((n * dy.size(1) + o) * oh * ow + k % (oh * ow)), value, acc);
        }
        to.set(element, acc);
      }
    });
  }
}
