package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Unary;

/** Operations of the elementwise, reduction, norm, fused and update families with inputs of awkward sizes and values. */
final class KernelSamples {
  /** An operation and its inputs. */
  record Sample(Op op, Tensor... inputs) {
    @Override
    public String toString() {
      return op + " of " + Arrays.stream(inputs).map(Tensor::shape).toList();
    }
  }

  /** Around the multiples of all vector lengths, primes, more than a chunk of a sum, more than a thread takes. */
  static final long[] SIZES = {0, 1, 271, 1023, 1024, 1025, 1039, 1040, 1041, 1059, 4099, 17_011};

  private static final float[] SPECIAL = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 0f, -0f,
      Float.MIN_VALUE, -Float.MIN_VALUE, 1e-39f, Float.MAX_VALUE, -Float.MAX_VALUE, 99_999.5f, 100_001f, -3e7f, 88.7f,
      -87.5f, -103.9f, 0.625f, 0.875f, 20f, 1f, -1f};

  private static final ThreadLocal<SplittableRandom> RANDOM = ThreadLocal.withInitial(() -> new SplittableRandom(7));

  private KernelSamples() {}

  /** Every sample, of the same numbers each time; the tensors belong to the innermost scope. */
  static List<Sample> all() {
    RANDOM.set(new SplittableRandom(7));
    List<Sample> samples = new ArrayList<>();
    elementwise(samples);
    broadcasts(samples);
    reductions(samples);
    norms(samples);
    rotations(samples);
    rowsAndUpdates(samples);
    return samples;
  }

  static List<Unary> unaries() {
    return List.of(new Unary.Neg(), new Unary.Abs(), new Unary.Exp(), new Unary.Log(), new Unary.Sqrt(), new Unary.Rsqrt(),
        new Unary.Reciprocal(), new Unary.Square(), new Unary.Sin(), new Unary.Cos(), new Unary.Tanh(), new Unary.Erf(),
        new Unary.Sigmoid(), new Unary.Silu(), new Unary.Gelu(), new Unary.GeluTanh(), new Unary.QuickGelu(),
        new Unary.Relu(), new Unary.LeakyRelu(0.1), new Unary.Softplus(), new Unary.Sign(), new Unary.Affine(1.7, 0),
        new Unary.Affine(-0.3, 0.2), new Unary.Clamp(-1, 0.5), new Unary.Power(2), new Unary.Power(0.5),
        new Unary.Power(-0.5), new Unary.Power(-1), new Unary.Power(3), new Unary.Power(1), new Unary.Power(0),
        new Unary.Power(1.3));
  }

  static List<Binary> binaries() {
    return List.of(new Binary.Add(), new Binary.Sub(), new Binary.Mul(), new Binary.Div(), new Binary.Maximum(),
        new Binary.Minimum(), new Binary.Pow(), new Binary.Equal(), new Binary.Less(), new Binary.LessEqual());
  }

  private static void elementwise(List<Sample> samples) {
    for (long n : SIZES) {
      Tensor x = special(n);
      Tensor y = special(n);
      unaries().forEach(op -> samples.add(new Sample(op, x)));
      unaries().forEach(op -> samples.add(new Sample(new Fused.ActivationGrad(op), y, x)));
      binaries().forEach(op -> samples.add(new Sample(op, x, y)));
    }
  }

  private static void broadcasts(List<Sample> samples) {
    Tensor image = special(2, 3, 7, 67);
    Tensor[] others = {special(1), special(), special(67), special(3, 1, 1), special(1, 3, 1, 1), special(2, 1, 1, 1),
        special(2, 3, 7, 1), special(7, 67), special(7, 1), special(67, 7).transpose(0, 1), special(2, 3, 7, 67),
        special(4, 3, 7, 134).slice(0, 1, 3).slice(3, 5, 72), special(2, 3, 7, 134).slice(3, 0, 134, 2)};
    for (Tensor other : others) {
      for (Binary op : binaries()) {
        samples.add(new Sample(op, image, other));
        samples.add(new Sample(op, other, image));
      }
    }
    Tensor turned = special(67, 5, 9).permute(2, 1, 0);
    samples.add(new Sample(new Binary.Add(), turned, special(67, 5, 9).permute(2, 1, 0)));
    samples.add(new Sample(new Unary.Silu(), turned));
  }

  private static void reductions(List<Sample> samples) {
    List<Tensor> inputs = List.of(normal(1), normal(300), normal(4096), normal(4097), normal(3, 8200), normal(140_000),
        normal(37, 33), normal(300, 40), normal(2, 300, 67), normal(2, 6, 5, 67), special(15, 77), special(300, 20),
        normal(70, 15), normal(70, 16), normal(70, 17), normal(2, 5, 2100));
    for (Tensor x : inputs) {
      for (int mask = 1; mask < 1 << x.rank(); mask++) {
        List<Integer> dims = new ArrayList<>();
        for (int d = 0; d < x.rank(); d++) {
          if ((mask & 1 << d) != 0) {
            dims.add(d);
          }
        }
        samples.add(new Sample(new Reduction.Sum(dims, mask % 2 == 0), x));
        samples.add(new Sample(new Reduction.Max(dims, false), x));
        samples.add(new Sample(new Reduction.Min(dims, false), x));
      }
      for (int d = 0; d < x.rank(); d++) {
        samples.add(new Sample(new Reduction.Softmax(d), x));
        samples.add(new Sample(new Reduction.LogSoftmax(d), x));
        samples.add(new Sample(new Reduction.LogSumExp(d, true), x));
        samples.add(new Sample(new Reduction.Prod(d, false), x));
        samples.add(new Sample(new Reduction.ArgMax(d, false), x));
        samples.add(new Sample(new Reduction.ArgMin(d, false), x));
        samples.add(new Sample(new Reduction.CumSum(d), x));
        samples.add(new Sample(new Fused.SoftmaxGrad(d), normal(x.shape().toArray()), x));
      }
    }
    samples.add(new Sample(new Reduction.Sum(List.of(), false), normal(2, 200)));
    samples.add(new Sample(new Reduction.Sum(List.of(1), false), normal(7, 0)));
    samples.add(new Sample(new Reduction.Sum(List.of(0), false), normal(0, 7)));
    samples.add(new Sample(new Reduction.Softmax(1), normal(600, 2).transpose(0, 1)));
  }

  private static void norms(List<Sample> samples) {
    long[][] images = {{2, 6, 5, 7}, {2, 6, 15, 7}, {1, 12, 19, 31}, {5, 32, 8}, {20, 64}, {1, 6, 67, 67}, {1, 3, 300, 31}};
    for (long[] sizes : images) {
      Tensor x = normal(sizes).mul(2).add(100);
      int groups = sizes[1] % 4 == 0 ? 4 : 3;
      Tensor statistics = normal(sizes[0], groups).abs();
      samples.add(new Sample(new Norm.GroupNorm(groups, 1e-5), x, normal(sizes[1]), normal(sizes[1])));
      samples.add(new Sample(new Norm.GroupNormGrad(groups), normal(sizes), x, statistics, statistics.add(1),
          normal(sizes[1])));
      samples.add(new Sample(new Norm.GroupNormSilu(groups, 1e-5), x, normal(sizes[1]), normal(sizes[1])));
      samples.add(new Sample(new Norm.GroupNormSiluGrad(groups), normal(sizes), x, statistics, statistics.add(1),
          normal(sizes[1]), normal(sizes[1])));
    }
    long[][] rows = {{3, 5}, {80, 15}, {300, 16}, {39, 33}, {2, 150, 67}, {3, 4099}, {2, 9001}, {260, 48}};
    for (long[] sizes : rows) {
      long width = sizes[sizes.length - 1];
      Tensor x = normal(sizes).add(3);
      Tensor w = normal(width);
      Tensor mean = normal(Arrays.copyOf(sizes, sizes.length - 1));
      Tensor rstd = mean.abs().add(0.5);
      Tensor dy = normal(sizes);
      samples.add(new Sample(new Norm.LayerNorm(1, 1e-5), x));
      samples.add(new Sample(new Norm.LayerNorm(1, 1e-5), x, w, normal(width)));
      samples.add(new Sample(new Norm.LayerNormOfSum(1e-5), x, dy, w, normal(width)));
      samples.add(new Sample(new Norm.LayerNormGrad(1, false), dy, x, mean, rstd));
      samples.add(new Sample(new Norm.LayerNormGrad(1, false), dy, x, mean, rstd, w));
      samples.add(new Sample(new Norm.LayerNormGrad(1, true), dy, x, mean, rstd, w));
      samples.add(new Sample(new Norm.RmsNorm(1e-6), x));
      samples.add(new Sample(new Norm.RmsNorm(1e-6), x, w));
      samples.add(new Sample(new Norm.RmsNormGrad(false), dy, x, rstd));
      samples.add(new Sample(new Norm.RmsNormGrad(false), dy, x, rstd, w));
      samples.add(new Sample(new Norm.RmsNormGrad(true), dy, x, rstd, w));
    }
    samples.add(new Sample(new Norm.LayerNorm(2, 1e-5), normal(10, 9, 13), normal(9, 13), normal(9, 13)));
  }

  private static void rotations(List<Sample> samples) {
    for (long half : new long[] {1, 7, 16, 19, 48}) {
      Tensor cos = special(2, 1, 35, half);
      Tensor sin = special(2, 1, 35, half);
      rotation(samples, special(2, 5, 35, 2 * half), cos, sin);
      rotation(samples, special(2, 35, 3, 5, 2 * half).select(2, 1).transpose(1, 2), cos, sin);
      rotation(samples, special(2, 35, 5, 2 * half), cos.transpose(1, 2), sin.transpose(1, 2));
      rotation(samples, special(50, 2 * half), special(1, half), special(1, half));
      rotation(samples, special(50, 1, 2 * half), special(half), special(half));
    }
    rotation(samples, special(1024 * 2), special(1024), special(1024));
    rotation(samples, special(0, 3, 32), special(3, 16), special(3, 16));
    rotation(samples, special(40, 64).t(), special(64, 20), special(20, 64).t());
    rotation(samples, special(64, 40), special(64, 40).slice(1, 0, 40, 2), special(64, 40).slice(1, 1, 40, 2));
  }

  private static void rotation(List<Sample> samples, Tensor x, Tensor cos, Tensor sin) {
    samples.add(new Sample(new Fused.Rotary(false), x, cos, sin));
    samples.add(new Sample(new Fused.Rotary(true), x, cos, sin));
  }

  private static void rowsAndUpdates(List<Sample> samples) {
    for (long width : new long[] {1, 15, 16, 17, 40, 67, 321, 4113}) {
      for (Fused.Gated gated : List.of(Fused.Gated.GEGLU, Fused.Gated.SWIGLU)) {
        samples.add(new Sample(gated, special(40, 2 * width)));
        samples.add(new Sample(new Fused.GatedGrad(gated), special(40, width), special(40, 2 * width)));
      }
    }
    for (Unary activation : unaries()) {
      Fused.Gated gated = new Fused.Gated(activation, true);
      samples.add(new Sample(gated, special(30, 2 * 67)));
      samples.add(new Sample(new Fused.GatedGrad(gated), special(30, 67), special(30, 2 * 67)));
    }
    for (long n : SIZES) {
      Tensor p = normal(n);
      Tensor g = normal(n);
      Tensor m = normal(n);
      Tensor v = normal(n).square();
      samples.add(new Sample(new InPlace.AddScaledInto(0.3), p, g));
      samples.add(new Sample(new InPlace.ScaleInto(0.3), p));
      samples.add(new Sample(new Fused.GlobalNorm(), p, m));
      samples.add(new Sample(new InPlace.ClipInto(1), Tensor.scalar(DType.F64, 3), p, m));
      samples.add(new Sample(new InPlace.AdamUpdate(1e-3, 0.9, 0.999, 1e-8, 0.01, true, 3), p, g, m, v));
      samples.add(new Sample(new InPlace.AdamUpdate(1e-3, 0.9, 0.999, 1e-8, 0.01, false, 1), p, g, m, v));
      samples.add(new Sample(new InPlace.AdamUpdate(1e-3, 0.9, 0.999, 1e-8, 0, false, 1), p, g, m, v));
      samples.add(new Sample(new InPlace.SgdUpdate(1e-2, 0, 0.1, false, true), p, g));
      samples.add(new Sample(new InPlace.SgdUpdate(1e-2, 0.9, 0, true, false), p, g, m));
      samples.add(new Sample(new InPlace.SgdUpdate(1e-2, 0.9, 0.1, false, true), p, g, m));
    }
  }

  /** Normal numbers. */
  static Tensor normal(long... sizes) {
    return Tensor.of(floats(sizes, false), sizes.length == 0 ? new long[] {} : sizes);
  }

  /** Numbers of many sizes, one in eight of them special. */
  static Tensor special(long... sizes) {
    return Tensor.of(floats(sizes, true), sizes.length == 0 ? new long[] {} : sizes);
  }

  private static float[] floats(long[] sizes, boolean special) {
    float[] values = new float[Math.toIntExact(Shape.of(sizes).elementCount())];
    for (int i = 0; i < values.length; i++) {
      double angle = 2 * Math.PI * RANDOM.get().nextDouble();
      double normal = Math.sqrt(-2 * StrictMath.log(1 - RANDOM.get().nextDouble())) * StrictMath.cos(angle);
      values[i] = (float) normal;
      if (special) {
        values[i] = RANDOM.get().nextInt(8) == 0 ? SPECIAL[RANDOM.get().nextInt(SPECIAL.length)]
            : (float) (normal * StrictMath.pow(10, RANDOM.get().nextInt(-3, 3)));
      }
    }
    return values;
  }
}
