package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The vector form of convolutions and their gradients gives the bits of the plain one. */
class VectorConvolutionTest {
  private final Random random = new Random(11);

  /** Forward, with bias and without, and both gradients. */
  private void all(ConvSpec spec, long n, long c, long h, long w, long o, long kh, long kw) {
    try (Scope _ = Scope.open()) {
      Tensor x = Twins.random(random, n, c, h, w);
      Tensor filters = Twins.random(random, o, c / spec.groups(), kh, kw);
      Shape y = Shape.of(n, o, spec.outHeight(h, kh), spec.outWidth(w, kw));
      same(new Contraction.Conv2d(spec), y, x, filters, Twins.random(random, o));
      same(new Contraction.Conv2d(spec), y, x, filters);
      Tensor dy = Twins.random(random, y.toArray());
      same(new Contraction.Conv2dInputGrad(spec, x.shape()), x.shape(), dy, filters);
      same(new Contraction.Conv2dWeightGrad(spec, filters.shape()), filters.shape(), dy, x);
    }
  }

  private static void same(Contraction op, Shape shape, Tensor... in) {
    Twins.same(op + " " + in[0].shape() + in[1].shape(), op, (x, out) -> VectorConvolution.compute(op, x, out[0]),
        List.of(shape), in);
  }

  @Test
  void kernelsAndPictures() {
    all(ConvSpec.of(1, 1), 2, 5, 9, 11, 7, 3, 3);
    all(ConvSpec.of(1, 1), 1, 16, 8, 32, 15, 3, 3);
    all(ConvSpec.of(1, 1), 1, 3, 6, 40, 29, 3, 3);
    all(ConvSpec.of(1, 0), 2, 9, 7, 6, 14, 1, 1);
    all(ConvSpec.of(1, 2), 1, 4, 13, 17, 6, 5, 5);
    all(ConvSpec.of(1, 0), 1, 3, 5, 5, 3, 5, 5);
    all(ConvSpec.of(1, 1), 3, 2, 1, 1, 4, 3, 3);
    all(ConvSpec.of(1, 3), 1, 2, 4, 3, 3, 2, 3);
    all(ConvSpec.of(1, 1), 1, 45, 12, 20, 8, 3, 3);
    all(ConvSpec.of(1, 3), 1, 15, 7, 8, 4, 7, 7);
    all(ConvSpec.of(1, 4), 1, 15, 7, 8, 4, 9, 9);
  }

  @Test
  void strides() {
    all(ConvSpec.of(2, 1), 2, 4, 9, 12, 5, 3, 3);
    all(ConvSpec.of(2, 0), 1, 4, 8, 8, 5, 1, 1);
    all(ConvSpec.of(3, 1), 1, 3, 11, 10, 4, 2, 2);
    all(new ConvSpec(2, 1, 1, 1, 1, 1, 1, 1, 1), 1, 3, 10, 35, 4, 3, 3);
    all(new ConvSpec(1, 2, 1, 1, 1, 1, 1, 1, 1), 1, 3, 6, 9, 4, 3, 3);
    all(new ConvSpec(2, 2, 0, 1, 0, 1, 1, 1, 1), 2, 4, 8, 10, 6, 3, 3);
  }

  @Test
  void stridesWithMoreChannelsThanPositions() {
    all(ConvSpec.of(2, 1), 2, 45, 9, 12, 5, 3, 3);
    all(ConvSpec.of(2, 1), 1, 30, 5, 6, 470, 3, 3);
    all(new ConvSpec(2, 1, 1, 1, 1, 1, 1, 1, 1), 1, 33, 4, 7, 11, 3, 3);
    all(new ConvSpec(2, 2, 0, 0, 0, 0, 1, 1, 1), 1, 40, 6, 5, 9, 1, 2);
    all(new ConvSpec(3, 2, 1, 1, 0, 0, 1, 1, 1), 1, 40, 1, 6, 5, 1, 2);
    all(ConvSpec.of(2, 2), 1, 21, 1, 8, 3, 5, 5);
    all(new ConvSpec(2, 2, 1, 1, 1, 1, 1, 1, 2), 1, 60, 5, 6, 8, 3, 3);
  }

  @Test
  void paddingDilationGroups() {
    all(new ConvSpec(1, 1, 2, 0, 1, 3, 1, 1, 1), 1, 3, 7, 8, 4, 3, 3);
    all(new ConvSpec(1, 1, 2, 2, 2, 2, 2, 2, 1), 1, 3, 9, 19, 4, 3, 3);
    all(new ConvSpec(2, 3, 2, 1, 0, 4, 2, 3, 1), 2, 3, 13, 14, 4, 3, 2);
    all(new ConvSpec(1, 1, 1, 1, 1, 1, 1, 1, 2), 2, 6, 7, 8, 4, 3, 3);
    all(new ConvSpec(1, 1, 1, 1, 1, 1, 1, 1, 12), 1, 12, 6, 17, 24, 3, 3);
    all(new ConvSpec(2, 2, 1, 1, 1, 1, 1, 1, 3), 1, 6, 8, 8, 9, 3, 3);
  }

  @Test
  void deepEnoughForSeveralBlocks() {
    all(ConvSpec.of(1, 1), 1, 50, 5, 8, 44, 3, 3);
    all(ConvSpec.of(1, 1), 2, 2, 14, 30, 3, 3, 3);
  }

  @Test
  void weightsOf16Bits() {
    for (ConvSpec spec : List.of(ConvSpec.of(1, 1), ConvSpec.of(2, 1))) {
      for (DType type : new DType[] {DType.F16, DType.BF16}) {
        try (Scope _ = Scope.open()) {
          Tensor filters = Twins.half(random, type, 15, 20, 3, 3);
          Tensor x = Twins.random(random, 1, 20, 6, 18);
          Shape y = Shape.of(1, 15, spec.outHeight(6, 3), spec.outWidth(18, 3));
          same(new Contraction.Conv2d(spec), y, x, filters);
          same(new Contraction.Conv2dInputGrad(spec, x.shape()), x.shape(), Twins.random(random, y.toArray()), filters);
        }
      }
    }
  }

  /** Forward and the input's gradient, both by one form of {@link Winograd}. */
  private void transformed(Winograd form, ConvSpec spec, DType type, long n, long c, long h, long w, long o) {
    try (Scope _ = Scope.open()) {
      Tensor x = Twins.random(random, n, c, h, w);
      Tensor filters = type == DType.F32 ? Twins.random(random, o, c, 3, 3) : Twins.half(random, type, o, c, 3, 3);
      Tensor bias = Twins.random(random, o);
      Shape y = Shape.of(n, o, spec.outHeight(h, 3), spec.outWidth(w, 3));
      Tensor dy = Twins.random(random, y.toArray());
      Contraction grad = new Contraction.Conv2dInputGrad(spec, x.shape());
      try (Tensor out = Tensor.zeros(DType.F32, y.toArray())) {
        assertEquals(form, Winograd.of(spec, filters, x, out));
        assertEquals(form, Winograd.of(spec, filters, out, x));
      }
      same(new Contraction.Conv2d(spec), y, x, filters, bias);
      same(new Contraction.Conv2d(spec), y, x, filters);
      same(grad, x.shape(), dy, filters);
    }
  }

  private Tensor normal(Shape shape) {
    float[] values = new float[Math.toIntExact(shape.elementCount())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(values, shape.toArray());
  }

  /** As exact as a sum of float32 can be expected to be: the plain sum in float64 is found. */
  @Test
  void winogradsTransformsAreExact() {
    try (Scope _ = Scope.open()) {
      ConvSpec spec = ConvSpec.of(1, 1);
      Tensor filters = normal(Shape.of(45, 60, 3, 3));
      close(new Contraction.Conv2d(spec), 60, normal(Shape.of(2, 60, 9, 11)), filters, normal(Shape.of(45)));
      close(new Contraction.Conv2dInputGrad(spec, Shape.of(2, 60, 9, 11)), 45, normal(Shape.of(2, 45, 9, 11)), filters);
    }
  }

  /** The result is of the size of {@code sqrt(9 depth)}, and so many roundings of a part of that add up like a random walk. */
  private static void close(Contraction op, long depth, Tensor... in) {
    Tensor[] wide = Arrays.stream(in).map(t -> t.cast(DType.F64)).toArray(Tensor[]::new);
    double[] exact = Dispatch.run(op, wide)[0].toDoubles();
    double[] found = Dispatch.run(op, in)[0].toDoubles();
    for (int i = 0; i < exact.length; i++) {
      assertEquals(exact[i], found[i], 0x1p-21 * 3 * depth, op.label());
    }
  }

  /** The root of the mean squared error of the sums of nine times 320 products, and of Winograd's ways to them. */
  @Test
  void winogradsLargeTilesLoseFewDigits() {
    try (Scope _ = Scope.open()) {
      ConvSpec spec = ConvSpec.of(1, 1);
      Tensor x = normal(Shape.of(1, 320, 16, 16));
      Tensor filters = normal(Shape.of(16, 320, 3, 3));
      double[] exact = Dispatch.run(new Contraction.Conv2d(spec), x.cast(DType.F64), filters.cast(DType.F64))[0].toDoubles();
      double plain = error(exact, plainSums(x, filters));
      for (Winograd form : Winograd.values()) {
        Tensor found = Tensor.zeros(DType.F32, 1, 16, 16, 16);
        ScalarWinograd.run(form, x, filters, false, 1, 1, null, found);
        double ratio = error(exact, found.toDoubles()) / plain;
        assertTrue(ratio < (form == Winograd.F2 ? 0.5 : 1.1), form + ": " + ratio + " times the error of plain sums");
      }
    }
  }

  private static double error(double[] exact, double[] found) {
    double sum = 0;
    for (int i = 0; i < exact.length; i++) {
      sum += (found[i] - exact[i]) * (found[i] - exact[i]);
    }
    return Math.sqrt(sum / exact.length);
  }

  /** Chains in float32 over channels and taps, of a picture with a border of one. */
  private static double[] plainSums(Tensor x, Tensor filters) {
    float[] d = x.toFloats();
    float[] g = filters.toFloats();
    int channels = (int) x.size(1);
    int height = (int) x.size(2);
    int width = (int) x.size(3);
    double[] y = new double[(int) filters.size(0) * height * width];
    for (int i = 0; i < y.length; i++) {
      int o = i / (height * width);
      float sum = 0;
      for (int j = 0; j < channels * 9; j++) {
        int h = i / width % height + j % 9 / 3 - 1;
        int v = i % width + j % 3 - 1;
        float number = h < 0 || h >= height || v < 0 || v >= width ? 0f : d[(j / 9 * height + h) * width + v];
        sum = Math.fma(number, g[o * channels * 9 + j], sum);
      }
      y[i] = sum;
    }
    return y;
  }

  @Test
  void winogradsTransforms() {
    transformed(Winograd.F2, ConvSpec.of(1, 1), DType.F32, 2, 33, 9, 11, 45);
    transformed(Winograd.F2, ConvSpec.of(1, 1), DType.F32, 1, 32, 2, 141, 32);
    transformed(Winograd.F2, ConvSpec.of(1, 1), DType.F32, 1, 40, 2, 64, 33);
    transformed(Winograd.F2, ConvSpec.of(1, 1), DType.F32, 3, 32, 8, 8, 39);
    transformed(Winograd.F2, new ConvSpec(1, 1, 0, 0, 0, 0, 1, 1, 1), DType.F32, 2, 32, 12, 10, 32);
    transformed(Winograd.F2, ConvSpec.of(1, 1), DType.F32, 1, 40, 24, 24, 33);
    transformed(Winograd.F2, new ConvSpec(1, 1, 2, 0, 1, 2, 1, 1, 1), DType.F32, 1, 32, 11, 12, 34);
    transformed(Winograd.F2, new ConvSpec(1, 1, 0, 3, 2, 4, 1, 1, 1), DType.F32, 1, 36, 12, 14, 32);
    transformed(Winograd.F2, ConvSpec.of(1, 1), DType.BF16, 1, 32, 10, 15, 46);
    transformed(Winograd.F2, ConvSpec.of(1, 1), DType.F16, 1, 35, 10, 15, 32);
  }

  @Test
  void winogradsTransformsOfLargeTiles() {
    transformed(Winograd.F4, ConvSpec.of(1, 1), DType.F32, 2, 33, 24, 26, 45);
    transformed(Winograd.F4, ConvSpec.of(1, 1), DType.F32, 1, 32, 8, 141, 32);
    transformed(Winograd.F4, ConvSpec.of(1, 1), DType.F32, 2, 36, 16, 16, 45);
    transformed(Winograd.F4, ConvSpec.of(1, 1), DType.F32, 1, 40, 15, 64, 33);
    transformed(Winograd.F4, ConvSpec.of(1, 1), DType.F32, 1, 32, 8, 256, 32);
    transformed(Winograd.F4, ConvSpec.of(1, 1), DType.F32, 2, 32, 32, 32, 39);
    transformed(Winograd.F4, new ConvSpec(1, 1, 0, 0, 0, 0, 1, 1, 1), DType.F32, 2, 32, 26, 33, 32);
    transformed(Winograd.F4, new ConvSpec(1, 1, 2, 0, 1, 2, 1, 1, 1), DType.F32, 2, 32, 27, 27, 34);
    transformed(Winograd.F4, new ConvSpec(1, 1, 0, 3, 2, 4, 1, 1, 1), DType.F32, 1, 36, 35, 36, 32);
    transformed(Winograd.F4, ConvSpec.of(1, 1), DType.BF16, 1, 32, 31, 31, 46);
    transformed(Winograd.F4, ConvSpec.of(1, 1), DType.F16, 1, 35, 32, 36, 32);
  }

  @Test
  void winogradsTransformsInPieces() {
    ConvSpec spec = ConvSpec.of(1, 1);
    for (long[] size : new long[][] {{130, 45, 45, 640}, {700, 26, 26, 60}, {40, 34, 200, 33}, {700, 48, 48, 33}}) {
      try (Scope _ = Scope.open()) {
        Tensor x = Twins.random(random, 1, size[0], size[1], size[2]);
        Tensor filters = Twins.random(random, size[3], size[0], 3, 3);
        Shape y = Shape.of(1, size[3], size[1], size[2]);
        same(new Contraction.Conv2d(spec), y, x, filters);
        same(new Contraction.Conv2dInputGrad(spec, x.shape()), x.shape(), Twins.random(random, y.toArray()), filters);
      }
    }
  }
}
