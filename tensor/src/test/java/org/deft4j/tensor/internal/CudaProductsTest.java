package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.CudaTests;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Decompose;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.deft4j.tensor.internal.cuda.CudaTests.same;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Products, rank updates and convolutions on a card (or on the processor in its place) against the CPU's. */
@ExtendWith(OnCard.class)
class CudaProductsTest {
  private static final int[][] SIZES = {{1, 1, 1}, {1, 64, 3}, {5, 1, 7}, {7, 17, 33}, {13, 40, 37}, {61, 85, 5}, {33, 0, 4},
      {0, 8, 40}, {40, 8, 0}, {300, 70, 4}, {9, 130, 70}, {130, 12, 90}, {40, 1000, 16}, {70, 300, 7}};
  private static final DType[] TYPES = {DType.F32, DType.F64, DType.BF16};

  private final Random random = new Random(7);

  private Tensor draw(DType type, long... sizes) {
    return Twins.random(random, sizes).clamp(-4, 4).cast(type);
  }

  @Test
  void matricesOfAllSizesAndOrders() {
    for (DType type : TYPES) {
      for (int[] size : SIZES) {
        int m = size[0];
        int k = size[1];
        int n = size[2];
        try (Scope _ = Scope.open()) {
          same("plain", in -> in[0].matmul(in[1]), draw(type, m, k), draw(type, k, n));
          same("a turned", in -> in[0].t().matmul(in[1]), draw(type, k, m), draw(type, k, n));
          same("b turned", in -> in[0].matmul(in[1].t()), draw(type, m, k), draw(type, n, k));
          same("both turned", in -> in[0].t().matmul(in[1].t()), draw(type, k, m), draw(type, n, k));
          same("every second", in -> in[0].slice(1, 0, 2L * k, 2).matmul(in[1].slice(1, 1, 3L * n + 1, 3)), draw(type, m, 2L * k),
              draw(type, k, 3L * n + 1));
          same("part", in -> in[0].slice(1, 1, k + 1).matmul(in[1].slice(0, 2, k + 2)), draw(type, m, k + 3L), draw(type, k + 2L, n));
        }
      }
    }
  }

  @Test
  void batchesThatLieEvenlyOrNot() {
    for (DType type : TYPES) {
      try (Scope _ = Scope.open()) {
        same("one for all", in -> in[0].matmul(in[1]), draw(type, 3, 4, 5, 6), draw(type, 6, 7));
        same("all for one", in -> in[0].matmul(in[1]), draw(type, 5, 6), draw(type, 3, 4, 6, 7));
        same("crossed", in -> in[0].matmul(in[1]), draw(type, 3, 1, 5, 6), draw(type, 4, 6, 7));
        same("heads", in -> in[0].permute(0, 2, 1, 3).matmul(in[1].permute(0, 2, 3, 1)), draw(type, 2, 5, 3, 8), draw(type, 2, 6, 3, 8));
        same("expanded", in -> in[0].expand(3, 5, 6).matmul(in[1]), draw(type, 5, 6), draw(type, 3, 6, 2));
        same("turned and with gaps", in -> in[0].slice(3, 0, 12, 2).matmul(in[1].slice(3, 1, 9, 2)), draw(type, 2, 3, 5, 12), draw(type, 2, 3, 6, 9));
      }
    }
  }

  @Test
  void linearWithBiasAndEvenOrUnevenRows() {
    for (DType type : TYPES) {
      try (Scope _ = Scope.open()) {
        Contraction linear = new Contraction.Linear();
        same("rows", in -> Dispatch.run(linear, in)[0], draw(type, 2, 9, 17), draw(type, 5, 17), draw(type.wide(), 5));
        same("no bias", in -> Dispatch.run(linear, in)[0], draw(type, 17), draw(type, 5, 17));
        same("cut rows", in -> Dispatch.run(linear, in[0].slice(1, 1, 4), in[1], in[2])[0], draw(type, 2, 9, 17), draw(type, 5, 17), draw(type.wide(), 5));
        same("turned", in -> Dispatch.run(linear, in[0].t(), in[1].t(), in[2])[0], draw(type, 17, 9), draw(type, 17, 5), draw(type.wide(), 5));
        same("no inputs", in -> Dispatch.run(linear, in)[0], draw(type, 3, 0), draw(type, 5, 0), draw(type.wide(), 5));
      }
    }
  }

  @Test
  void weightsOfSixteenBits() {
    for (DType half : new DType[] {DType.BF16, DType.F16}) {
      try (Scope _ = Scope.open()) {
        same("linear", in -> Dispatch.run(new Contraction.Linear(), in)[0], draw(DType.F32, 6, 21), draw(half, 10, 21), draw(DType.F32, 10));
        same("its gradient", in -> in[0].matmul(in[1]), draw(DType.F32, 6, 10), draw(half, 10, 21));
        same("turned", in -> in[0].matmul(in[1].t()), draw(DType.F32, 6, 21), draw(half, 10, 21));
        same("with gaps", in -> in[0].matmul(in[1].slice(1, 0, 20, 2)), draw(DType.F32, 6, 10), draw(half, 10, 20));
        same("filters", in -> Dispatch.run(new Contraction.Conv2d(ConvSpec.of(1, 1)), in)[0], draw(DType.F32, 1, 3, 5, 6), draw(half, 4, 3, 3, 3));
      }
    }
  }

  /** Of factors that 16 bits hold, products are what they are in float32; others are rounded first. */
  @Test
  void factorsAreRoundedToThePrecision() {
    ConvSpec spec = ConvSpec.of(1, 1);
    for (Precision precision : new Precision[] {Precision.BF16, Precision.F16}) {
      try (Scope _ = Scope.open()) {
        DType half = precision.factors();
        Tensor a = draw(DType.F32, 2, 6, 10);
        Tensor b = draw(DType.F32, 10, 21);
        Tensor x = draw(DType.F32, 2, 3, 7, 6);
        Tensor w = draw(DType.F32, 4, 3, 3, 3);
        Tensor dy = draw(DType.F32, 2, 4, 7, 6);
        Map<String, Function<Tensor[], Tensor>> programs = Map.of("products", in -> in[0].matmul(in[1]),
            "linear", in -> Dispatch.run(new Contraction.Linear(), in[0], in[1].t())[0],
            "mixed weights", in -> Dispatch.run(new Contraction.Linear(), in[0], in[1].t().cast(DType.BF16))[0],
            "convolution", in -> Dispatch.run(new Contraction.Conv2d(spec), in[2], in[3])[0],
            "dx", in -> Dispatch.run(new Contraction.Conv2dInputGrad(spec, x.shape()), in[4], in[3])[0],
            "dw", in -> Dispatch.run(new Contraction.Conv2dWeightGrad(spec, w.shape()), in[4], in[2])[0]);
        Tensor[] given = {a, b, x, w, dy};
        programs.forEach((name, program) -> sameRounded(precision, name, program, given));
        CudaTests.with(precision, () -> {
          Tensor exact = a.matmul(b);
          Tensor rounded = a.to(Device.CUDA).matmul(b.to(Device.CUDA)).to(Device.CPU);
          double off = rounded.sub(exact).norm().item() / exact.norm().item();
          assertTrue(off > 1e-5 && off < 5e-3, half + " is off by " + off);
          return null;
        });
      }
    }
  }

  private static void sameRounded(Precision precision, String what, Function<Tensor[], Tensor> program, Tensor... in) {
    Tensor[] rounded = Arrays.stream(in).map(x -> x.cast(precision.factors()).cast(DType.BF16).cast(DType.F32)).toArray(Tensor[]::new);
    CudaTests.with(precision, () -> {
      same(what + " " + precision, program, rounded);
      return null;
    });
  }

  @Test
  void rankUpdates() {
    for (DType type : TYPES) {
      DType wide = type.wide();
      try (Scope _ = Scope.open()) {
        for (int output = 0; output < 2; output++) {
          int o = output;
          for (long r : new long[] {0, 4, 7, 16, 20}) {
            same("with u", in -> Dispatch.run(new Contraction.RankUpdate(0.7), in)[o], draw(type, 2, 9, 21), draw(wide, 21, r),
                draw(wide, 21, r), draw(type, 2, 9, r));
          }
          same("without", in -> Dispatch.run(new Contraction.RankUpdate(1), in)[o], draw(type, 9, 24), draw(wide, 24, 4), draw(wide, 24, 4));
        }
      }
    }
  }

  /** An adapter's matrices are float32 beside BF16. */
  @Test
  void adaptersBesideBf16() {
    try (Scope _ = Scope.open()) {
      for (long r : new long[] {3, 8, 16, 20}) {
        for (long columns : new long[] {40, 41}) {
          Tensor x = draw(DType.BF16, 2, 30, columns);
          same("inner", in -> in[0].linear(in[1]), x, draw(DType.F32, r, columns));
          same("outer", in -> in[0].linear(in[1]), draw(DType.BF16, 2, 30, r), draw(DType.F32, columns, r));
          same("gradient", in -> in[0].t().matmul(in[1]), draw(DType.BF16, 30, r), x.reshape(60, columns).slice(0, 0, 30));
          same("back", in -> in[0].matmul(in[1]), draw(DType.BF16, 30, r), draw(DType.F32, r, columns));
          for (Precision precision : new Precision[] {Precision.FULL, Precision.BF16}) {
            CudaTests.with(precision, () -> {
              same("gradient in float32", in -> wide(in[0].t(), in[1]), draw(DType.BF16, 300, r), draw(DType.BF16, 300, columns));
              same("its transpose", in -> wide(in[1].t(), in[0]), draw(DType.BF16, 300, r), draw(DType.BF16, 300, columns));
              return null;
            });
          }
        }
      }
    }
  }

  private static Tensor wide(Tensor left, Tensor right) {
    Tensor product = Dispatch.run(new Contraction.MatMul(true), left, right)[0];
    assertEquals(DType.F32, product.dtype());
    return product;
  }

  @Test
  void convolutionsAndTheirGradients() {
    ConvSpec[] specs = {ConvSpec.of(1, 1), ConvSpec.of(2, 1), ConvSpec.of(1, 0), new ConvSpec(2, 1, 0, 1, 2, 0, 1, 2, 1),
        new ConvSpec(1, 2, 1, 1, 1, 1, 1, 1, 2), new ConvSpec(3, 3, 0, 0, 0, 0, 1, 1, 1)};
    long[][] kernels = {{3, 3}, {1, 1}, {2, 3}};
    for (DType type : TYPES) {
      for (ConvSpec spec : specs) {
        for (long[] kernel : kernels) {
          try (Scope _ = Scope.open()) {
            Tensor x = draw(type, 2, 4, 9, 8);
            Tensor w = draw(type, 6, 4 / spec.groups(), kernel[0], kernel[1]);
            String what = spec + " " + kernel[0] + "x" + kernel[1] + " " + type;
            same(what, in -> Dispatch.run(new Contraction.Conv2d(spec), in)[0], x, w, draw(type.wide(), 6));
            same(what, in -> Dispatch.run(new Contraction.Conv2d(spec), in)[0], x, w);
            Tensor dy = draw(type, 2, 6, spec.outHeight(9, kernel[0]), spec.outWidth(8, kernel[1]));
            same("dx " + what, in -> Dispatch.run(new Contraction.Conv2dInputGrad(spec, x.shape()), in)[0], dy, w);
            same("dw " + what, in -> Dispatch.run(new Contraction.Conv2dWeightGrad(spec, w.shape()), in)[0], dy, x);
          }
        }
      }
    }
  }

  /** More patches than are made at a time: some pictures, some pixels, some channels. */
  @Test
  void convolutionsInPieces() {
    ConvSpec spec = ConvSpec.of(1, 1);
    try (Scope _ = Scope.open()) {
      Tensor x = draw(DType.F32, 2, 90, 160, 80);
      Tensor w = draw(DType.F32, 1, 90, 3, 3);
      same("pieces", in -> Dispatch.run(new Contraction.Conv2d(spec), in)[0], x, w);
      Tensor dy = draw(DType.F32, 2, 1, 160, 80);
      same("dx in pieces", in -> Dispatch.run(new Contraction.Conv2dInputGrad(spec, x.shape()), in)[0], dy, w);
      same("dw in pieces", in -> Dispatch.run(new Contraction.Conv2dWeightGrad(spec, w.shape()), in)[0], dy, x);
      ConvSpec second = ConvSpec.of(2, 1);
      Shape large = Shape.of(1, 90, 320, 160);
      Tensor thinned = draw(DType.F32, 1, 1, 160, 80);
      same("dx gathered in pieces", in -> Dispatch.run(new Contraction.Conv2dInputGrad(second, large), in)[0], thinned, w);
    }
  }

  @Test
  void decompositionsAreTheProcessors() {
    try (Scope _ = Scope.open()) {
      Tensor x = draw(DType.F32, 2, 9, 4);
      for (int output = 0; output < 2; output++) {
        int o = output;
        same("qr", in -> Dispatch.run(new Decompose.Qr(), in)[o], x);
      }
    }
  }
}
