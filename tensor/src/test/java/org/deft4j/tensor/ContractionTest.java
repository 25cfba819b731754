package org.deft4j.tensor;

import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Products against their definitions: chains of fused multiply-adds, adjoints, softmax written out. */
@ExtendWith(LeakCheck.class)
class ContractionTest {
  private final TorchRandom random = new TorchRandom(4);
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static void assertSame(Tensor expected, Tensor actual) {
    assertEquals(expected.shape(), actual.shape());
    assertArrayEquals(expected.toFloats(), actual.toFloats());
  }

  @Test
  void eachProductIsOneChainOfFusedMultiplyAdds() {
    int k = 300;
    Tensor a = random.normal(DType.F32, 3, k);
    Tensor b = random.normal(DType.F32, k, 5);
    Tensor bias = random.normal(DType.F32, 5);
    float[] x = a.toFloats();
    float[] y = b.toFloats();
    float[] expected = new float[15];
    float[] biased = new float[15];
    for (int i = 0; i < 15; i++) {
      for (int j = 0; j < k; j++) {
        expected[i] = Math.fma(x[i / 5 * k + j], y[j * 5 + i % 5], expected[i]);
      }
      biased[i] = expected[i] + bias.toFloats()[i % 5];
    }
    assertArrayEquals(expected, a.matmul(b).toFloats());
    assertArrayEquals(expected, a.linear(b.t()).toFloats());
    assertArrayEquals(biased, a.linear(b.t().contiguous(), bias).toFloats());
  }

  @Test
  void stridesAndBroadcastingChangeNoBit() {
    Tensor a = random.normal(DType.F32, 2, 1, 4, 7);
    Tensor b = random.normal(DType.F32, 3, 7, 5);
    Tensor product = a.matmul(b);
    assertEquals(Shape.of(2, 3, 4, 5), product.shape());
    assertSame(product, a.transpose(2, 3).contiguous().transpose(2, 3).matmul(b.t().contiguous().t()));
    assertSame(product.select(0, 1).select(0, 2), a.select(0, 1).select(0, 0).matmul(b.select(0, 2)));
    assertSame(product, a.expand(2, 3, 4, 7).contiguous().matmul(b.expand(2, 3, 7, 5)));
    Tensor wide = random.normal(DType.F32, 2, 4, 14);
    Tensor half = wide.slice(2, 7, 14);
    Tensor w = random.normal(DType.F32, 6, 7);
    assertSame(half.contiguous().linear(w), half.linear(w));
    assertSame(half.transpose(0, 1).contiguous().linear(w), half.transpose(0, 1).linear(w));
  }

  @Test
  void weightsInSixteenBitsCountAsTheirValues() {
    Tensor x = random.normal(DType.F32, 3, 4, 8, 8);
    for (DType half : new DType[] {DType.F16, DType.BF16}) {
      Tensor w = random.normal(DType.F32, 6, 8).cast(half);
      assertSame(x.linear(w.cast(DType.F32)), x.linear(w));
      assertSame(x.matmul(w.cast(DType.F32).t()), x.matmul(w.t()));
      Tensor kernel = random.normal(DType.F32, 5, 4, 3, 3).cast(half);
      assertSame(x.conv2d(ConvSpec.of(1, 1), kernel.cast(DType.F32)), x.conv2d(ConvSpec.of(1, 1), kernel));
    }
  }

  private static final ConvSpec[] SPECS = {ConvSpec.of(1, 1), ConvSpec.of(2, 0), new ConvSpec(2, 1, 0, 1, 2, 0, 1, 2, 2)};

  @Test
  void convolutionIsItsDefinition() {
    for (ConvSpec s : SPECS) {
      Tensor x = random.normal(DType.F32, 2, 4, 7, 6);
      Tensor w = random.normal(DType.F32, 6, 4 / s.groups(), 3, 2);
      Tensor bias = random.normal(DType.F32, 6);
      Tensor y = x.conv2d(s, w, bias);
      DenseArray dx = new DenseArray(x.shape().toArray(), x.toDoubles());
      DenseArray dw = new DenseArray(w.shape().toArray(), w.toDoubles());
      DenseArray expected = DenseArray.generate(y.shape().toArray(), p -> {
        float acc = 0;
        for (long c = 0; c < w.size(1); c++) {
          for (long i = 0; i < 3; i++) {
            for (long j = 0; j < 2; j++) {
              long row = p[2] * s.strideH() - s.top() + i * s.dilationH();
              long column = p[3] * s.strideW() - s.left() + j * s.dilationW();
              boolean inside = row >= 0 && row < 7 && column >= 0 && column < 6;
              long channel = p[1] / (6 / s.groups()) * w.size(1) + c;
              acc = Math.fma(inside ? (float) dx.at(p[0], channel, row, column) : 0, (float) dw.at(p[1], c, i, j), acc);
            }
          }
        }
        return (double) (acc + bias.toFloats()[(int) p[1]]);
      });
      assertArrayEquals(expected.values(), y.toDoubles());
    }
  }

  /** {@code <conv(x), dy> = <x, inputGrad(dy)> = <w, weightGrad(dy, x)>}. */
  @Test
  void convolutionsGradientsAreItsAdjoints() {
    for (ConvSpec s : SPECS) {
      Tensor x = random.normal(DType.F64, 2, 4, 7, 6);
      Tensor w = random.normal(DType.F64, 6, 4 / s.groups(), 3, 2);
      Tensor y = x.conv2d(s, w);
      Tensor dy = random.normal(DType.F64, y.shape().toArray());
      double product = y.mul(dy).sum().item();
      Tensor dx = Dispatch.run(new Contraction.Conv2dInputGrad(s, x.shape()), dy, w)[0];
      Tensor dw = Dispatch.run(new Contraction.Conv2dWeightGrad(s, w.shape()), dy, x)[0];
      assertEquals(product, dx.mul(x).sum().item(), 1e-11);
      assertEquals(product, dw.mul(w).sum().item(), 1e-11);
    }
  }

  /** More keys than one block, so that the running maximum changes; every kind of mask; heads as views. */
  @Test
  void attentionIsSoftmaxWrittenOut() {
    Tensor q = random.normal(DType.F64, 2, 5, 3, 4).transpose(1, 2);
    Tensor k = random.normal(DType.F64, 2, 150, 3, 4).transpose(1, 2);
    Tensor v = random.normal(DType.F64, 2, 150, 3, 4).transpose(1, 2);
    Tensor added = random.normal(DType.F64, 5, 150);
    Tensor allowed = random.uniform(DType.F64, 2, 1, 5, 150).less(Tensor.scalar(DType.F64, 0.5));
    Tensor scores = q.matmul(k.t()).mul(0.7);
    checkAttention(q, k, v, scores, q.attention(k, v, 0.7, false));
    checkAttention(q, k, v, scores.add(added), q.attention(k, v, added, 0.7));
    Tensor never = Tensor.scalar(DType.F64, Double.NEGATIVE_INFINITY);
    checkAttention(q, k, v, allowed.where(scores, never), q.attention(k, v, allowed, 0.7));
    Tensor past = Tensor.full(DType.F64, 1, 5, 150).tril(0).cast(DType.BOOL);
    checkAttention(q, k, v, past.where(scores, never), q.attention(k, v, 0.7, true));
  }

  private static void checkAttention(Tensor q, Tensor k, Tensor v, Tensor scores, Tensor actual) {
    assertEquals(q.shape(), actual.shape());
    assertEquals(k.shape(), v.shape());
    assertArrayEquals(scores.softmax(-1).matmul(v).toDoubles(), actual.toDoubles(), 1e-12);
  }

  @Test
  void aQueryThatMayLookNowhereGetsZeros() {
    Tensor q = random.normal(DType.F32, 1, 1, 2, 4);
    Tensor k = random.normal(DType.F32, 1, 1, 3, 4);
    Tensor mask = Tensor.of(new double[] {0, 0, 0, 1, 1, 1}, 2, 3).cast(DType.BOOL);
    Tensor[] out = Dispatch.run(new Contraction.Attention(0.5, false), q, k, k, mask);
    assertArrayEquals(new double[4], out[0].slice(2, 0, 1).toDoubles());
    assertEquals(Double.NEGATIVE_INFINITY, out[1].toDoubles()[0]);
    Tensor[] gradients = Dispatch.run(new Contraction.AttentionGrad(0.5, false), q, q, k, k, out[0], out[1], mask);
    assertArrayEquals(new double[4], gradients[0].slice(2, 0, 1).toDoubles());
    for (Tensor gradient : gradients) {
      for (double value : gradient.toDoubles()) {
        assertEquals(value, value, "no NaN");
      }
    }
  }

  @Test
  void resamplingByHand() {
    Tensor x = Tensor.of(new float[] {1, 2, 3, 4}, 1, 1, 2, 2);
    assertArrayEquals(new float[] {1, 1, 2, 1, 1, 2, 3, 3, 4}, x.upsampleNearest(3, 3).toFloats());
    assertArrayEquals(new float[] {1, 1.25f, 1.75f, 2}, x.upsampleBilinear(2, 4).slice(2, 0, 1).toFloats());
    Tensor y = DenseArray.counting(1, 1, 4, 4).tensor();
    Spatial.Window window = new Spatial.Window(3, 2, 1);
    assertArrayEquals(new double[] {10 / 9.0, 24 / 9.0, 51 / 9.0, 90 / 9.0},
        Dispatch.run(new Spatial.AvgPool2d(window, true), y)[0].toDoubles(), 1e-15);
    assertArrayEquals(new double[] {2.5, 4, 8.5, 10},
        Dispatch.run(new Spatial.AvgPool2d(window, false), y)[0].toDoubles(), 1e-15);
    Tensor[] largest = Dispatch.run(new Spatial.MaxPool2d(window), y);
    assertArrayEquals(new double[] {5, 7, 13, 15}, largest[0].toDoubles());
    assertArrayEquals(new long[] {5, 7, 13, 15}, largest[1].toLongs());
  }

  @Test
  void resamplingsAdjoints() {
    Tensor x = random.normal(DType.F64, 2, 3, 5, 4);
    Spatial.Window window = new Spatial.Window(3, 2, 1);
    Spatial[][] pairs = {
        {new Spatial.UpsampleNearest(11, 7), new Spatial.UpsampleNearestGrad(5, 4)},
        {new Spatial.UpsampleBilinear(11, 7), new Spatial.UpsampleBilinearGrad(5, 4)},
        {new Spatial.UpsampleBilinear(3, 2), new Spatial.UpsampleBilinearGrad(5, 4)},
        {new Spatial.AvgPool2d(window, true), new Spatial.AvgPool2dGrad(window, true, 5, 4)},
        {new Spatial.AvgPool2d(window, false), new Spatial.AvgPool2dGrad(window, false, 5, 4)}};
    for (Spatial[] pair : pairs) {
      Tensor y = Dispatch.run(pair[0], x)[0];
      Tensor dy = random.normal(DType.F64, y.shape().toArray());
      Tensor dx = Dispatch.run(pair[1], dy)[0];
      assertEquals(x.shape(), dx.shape());
      assertEquals(y.mul(dy).sum().item(), x.mul(dx).sum().item(), 1e-11, pair[0].label());
    }
  }
}
