package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * Attention on tensor cores. Inputs here are numbers of 16 bits already, so that what is left to round are the probabilities and their
 * slopes, each once, as they are multiplied on; scores and the log-sum-exp are those of the CPU.
 */
@ExtendWith(OnCard.class)
class CudaAttentionPrecisionTest {
  private final AttentionInputs inputs = new AttentionInputs(23);

  private Tensor normal(Precision precision, long... sizes) {
    return inputs.normal(sizes).cast(precision.factors()).cast(DType.F32);
  }

  private static Tensor[] there(Tensor... tensors) {
    Tensor[] moved = new Tensor[tensors.length];
    for (int i = 0; i < moved.length; i++) {
      moved[i] = tensors[i].to(Device.CUDA);
    }
    return moved;
  }

  static void same(String what, Tensor expected, Tensor actual) {
    assertArrayEquals(expected.toFloats(), actual.to(Device.CPU).toFloats(), 1e-5f, what);
  }

  /**
   * Sums of products with a factor rounded to nearest, of either sign: errors are, all in all, within one rounding of the sums, the
   * largest within two of the largest sum; and sums in another order are within 1e-5.
   */
  private static void close(Precision precision, String what, Tensor expected, Tensor actual) {
    double rounding = precision == Precision.BF16 ? 0x1p-9 : 0x1p-12;
    double[] e = expected.toDoubles();
    double[] a = actual.to(Device.CPU).toDoubles();
    double largest = 0;
    double squares = 0;
    double errors = 0;
    for (int i = 0; i < e.length; i++) {
      largest = Math.max(largest, Math.abs(e[i]));
      squares += e[i] * e[i];
      errors += (e[i] - a[i]) * (e[i] - a[i]);
    }
    for (int i = 0; i < e.length; i++) {
      double allowed = 2 * rounding * largest + 1e-5;
      assertTrue(Math.abs(e[i] - a[i]) <= allowed, what + ", element " + i + " is " + a[i] + ", expected " + e[i] + " within " + allowed);
    }
    double allowed = rounding * Math.sqrt(squares) + 1e-5 * Math.sqrt(e.length);
    assertTrue(Math.sqrt(errors) <= allowed, what + ": error " + Math.sqrt(errors) + ", allowed " + allowed);
  }

  private void both(Precision precision, boolean causal, Tensor q, Tensor k, Tensor v, Tensor mask) {
    double scale = 1 / Math.sqrt((double) Math.max(1, q.size(3)));
    Contraction.Attention op = new Contraction.Attention(scale, causal);
    Contraction.AttentionGrad grad = new Contraction.AttentionGrad(scale, causal);
    String what = (causal ? "causal " : "") + q.shape() + k.shape() + (mask == null ? "" : " mask " + mask);
    Tensor[] in = mask == null ? new Tensor[] {q, k, v} : new Tensor[] {q, k, v, mask};
    Tensor[] expected = Dispatch.run(op, in);
    Tensor[] actual = AttentionInputs.forward(precision, op, there(in));
    close(precision, what + " o", expected[0], actual[0]);
    same(what + " lse", expected[1], actual[1]);
    Tensor dO = normal(precision, q.shape().toArray());
    Tensor[] given = mask == null ? new Tensor[] {dO, q, k, v, expected[0], expected[1]}
        : new Tensor[] {dO, q, k, v, expected[0], expected[1], mask};
    Tensor[] gradients = Dispatch.run(grad, given);
    Tensor[] found = AttentionInputs.backward(precision, grad, there(given));
    for (int i = 0; i < 3; i++) {
      close(precision, what + " gradient " + i, gradients[i], found[i]);
    }
  }

  private void sizes(Precision precision, boolean causal, long b, long h, long t, long s, long d) {
    try (Scope _ = Scope.open()) {
      both(precision, causal, normal(precision, b, h, t, d), normal(precision, b, h, s, d), normal(precision, b, h, s, d), null);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void sizes(Precision precision) {
    sizes(precision, false, 1, 1, 1, 1, 1);
    sizes(precision, false, 2, 3, 5, 7, 8);
    sizes(precision, false, 1, 2, 133, 77, 40);
    sizes(precision, false, 1, 1, 100, 97, 13);
    sizes(precision, false, 1, 1, 70, 130, 64);
    sizes(precision, false, 1, 1, 16, 96, 80);
    sizes(precision, false, 1, 1, 40, 31, 96);
    sizes(precision, false, 1, 1, 31, 33, 128);
    sizes(precision, false, 1, 1, 20, 66, 160);
    sizes(precision, false, 1, 1, 9, 20, 200);
    sizes(precision, false, 1, 1, 5, 0, 8);
    sizes(precision, false, 1, 1, 0, 5, 8);
    sizes(precision, false, 0, 2, 5, 6, 8);
    sizes(precision, false, 1, 1, 5, 6, 0);
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void causal(Precision precision) {
    sizes(precision, true, 1, 2, 177, 177, 16);
    sizes(precision, true, 1, 1, 220, 100, 5);
    sizes(precision, true, 1, 1, 60, 250, 7);
  }

  @ParameterizedTest
  @EnumSource(names = "BF16")
  void masks(Precision precision) {
    try (Scope _ = Scope.open()) {
      Tensor q = normal(precision, 2, 2, 140, 12);
      Tensor k = normal(precision, 2, 2, 110, 12);
      Tensor v = normal(precision, 2, 2, 110, 12);
      both(precision, false, q, k, v, inputs.allowed(0.5, 2, 2, 140, 110));
      both(precision, false, q, k, v, inputs.allowed(0.02, 1, 1, 140, 110));
      both(precision, false, q, k, v, inputs.allowed(0.7, 2, 1, 1, 110));
      both(precision, false, q, k, v, inputs.allowed(0.5, 140, 1));
      both(precision, true, q, k, v, inputs.allowed(0.5, 140, 110));
      both(precision, false, q, k, v, inputs.normal(2, 2, 140, 110));
      both(precision, true, q, k, v, inputs.normal(2, 1, 1, 110));
    }
  }

  /** An added minus infinity, or the most negative number, even in all of a row. */
  @ParameterizedTest
  @EnumSource(names = "BF16")
  void addedInfinities(Precision precision) {
    try (Scope _ = Scope.open()) {
      Tensor q = normal(precision, 1, 2, 34, 12);
      Tensor k = normal(precision, 1, 2, 110, 12);
      float[] hidden = new float[34 * 110];
      for (int i = 0; i < hidden.length; i++) {
        hidden[i] = i / 110 == 3 || i % 110 > 60 ? Float.NEGATIVE_INFINITY : i % 7 == 0 || i / 110 == 5 ? -Float.MAX_VALUE : 0f;
      }
      both(precision, false, q, k, k, Tensor.of(hidden, 34, 110));
    }
  }

  /** A scale that turns the largest score into the least. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void negativeScale(Precision precision) {
    try (Scope _ = Scope.open()) {
      Tensor q = normal(precision, 1, 1, 20, 16);
      Tensor k = normal(precision, 1, 1, 70, 16);
      for (double scale : new double[] {-0.5, 0}) {
        Contraction.Attention op = new Contraction.Attention(scale, false);
        Tensor[] expected = Dispatch.run(op, q, k, k);
        Tensor[] in = there(q, k);
        Tensor[] actual = AttentionInputs.forward(precision, op, in[0], in[1], in[1]);
        close(precision, "o", expected[0], actual[0]);
        same("lse", expected[1], actual[1]);
      }
    }
  }

  /** Keys and values that nobody sees are not multiplied, whatever they are. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void hiddenInfinities(Precision precision) {
    try (Scope _ = Scope.open()) {
      float[] values = inputs.normal(1, 1, 150, 8).toFloats();
      float[] seen = new float[150];
      for (int s = 0; s < 150; s++) {
        seen[s] = s < 50 || s >= 100 ? 1 : 0;
        for (int d = 0; d < 8 && seen[s] == 0; d++) {
          values[8 * s + d] = d == 0 ? Float.NaN : Float.POSITIVE_INFINITY;
        }
      }
      Tensor[] in = there(inputs.normal(1, 1, 140, 8), Tensor.of(values, 1, 1, 150, 8), Tensor.of(seen, 1, 150).cast(DType.BOOL));
      Contraction.Attention op = new Contraction.Attention(1, false);
      Tensor[] out = AttentionInputs.forward(precision, op, in[0], in[1], in[1], in[2]);
      Tensor[] found = AttentionInputs.backward(precision, new Contraction.AttentionGrad(1, false), in[0], in[0], in[1], in[1], out[0], out[1], in[2]);
      for (Tensor result : new Tensor[] {out[0], out[1], found[0], found[1], found[2]}) {
        for (float value : result.to(Device.CPU).toFloats()) {
          assertTrue(Float.isFinite(value));
        }
      }
    }
  }

  /** Whole tiles hidden here and there, of permuted heads of an odd width. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void maskedTiles(Precision precision) {
    try (Scope _ = Scope.open()) {
      float[] seen = new float[150 * 200];
      for (int i = 0; i < seen.length; i++) {
        int tile = i / 200 / 128 * 7 + i % 200 / 32;
        seen[i] = tile % 3 == 0 || (tile % 3 == 1 && inputs.random.nextBoolean()) ? 1 : 0;
      }
      Tensor mask = Tensor.of(seen, 150, 200).cast(DType.BOOL);
      Tensor q = normal(precision, 1, 150, 2, 21);
      Tensor k = normal(precision, 1, 200, 2, 21);
      Tensor dO = normal(precision, 1, 2, 150, 21);
      Contraction.Attention op = new Contraction.Attention(0.2, false);
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(0.2, false);
      Tensor[] expected = Dispatch.run(op, q.transpose(1, 2), k.transpose(1, 2), k.transpose(1, 2), mask);
      Tensor[] gradients = Dispatch.run(grad, dO, q.transpose(1, 2), k.transpose(1, 2), k.transpose(1, 2), expected[0], expected[1], mask);
      Tensor[] in = there(q, k, dO, mask.t(), expected[0], expected[1]);
      Tensor heads = in[1].transpose(1, 2);
      close(precision, "o", expected[0], AttentionInputs.forward(precision, op, in[0].transpose(1, 2), heads, heads, in[3].t())[0]);
      Tensor[] found = AttentionInputs.backward(precision, grad, in[2], in[0].transpose(1, 2), heads, heads, in[4], in[5], in[3].t());
      for (int i = 0; i < 3; i++) {
        close(precision, "gradient " + i, gradients[i], found[i]);
      }
    }
  }

  /**
   * Masks that heads, or examples, or both have to themselves, with tiles hidden, seen and neither: text that sees what precedes it, after
   * padding, and noise that sees all but padding; and a band of another width in each head.
   */
  @ParameterizedTest
  @EnumSource(names = "BF16")
  void masksOfExamplesAndHeads(Precision precision) {
    try (Scope _ = Scope.open()) {
      Tensor q = normal(precision, 2, 170, 2, 12).transpose(1, 2);
      Tensor k = normal(precision, 2, 170, 2, 12).transpose(1, 2);
      Tensor omniGen = AttentionInputs.picture(2, 1, 170, 170, (b, h, t, s) -> s >= 33 * b && (t >= 110 || (s <= t && t >= 33 * b)));
      both(precision, false, q, k, q, omniGen);
      both(precision, true, q, k.slice(2, 5, 69), q.slice(2, 5, 69), omniGen.slice(3, 5, 69));
      both(precision, false, q.slice(2, 0, 140), k, q, AttentionInputs.picture(1, 2, 140, 170, (b, h, t, s) -> Math.abs(s - t) < 30 * h));
      both(precision, false, q.slice(2, 0, 40), k, q, AttentionInputs.picture(2, 2, 40, 170, (b, h, t, s) -> (s / 64 + b + h) % 2 == 0 || s == 2 * t));
      both(precision, false, q.slice(2, 3, 4), k, q, omniGen.slice(2, 120, 121));
      both(precision, false, q.slice(2, 0, 9), k, q, inputs.allowed(0, 1));
      both(precision, false, q.slice(2, 0, 9), k, q, inputs.allowed(1, 1));
    }
  }

  /** Many queries of few keys: dk and dv are sums over parts of the queries, some of which see nothing. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void partsOfQueries(Precision precision) {
    try (Scope _ = Scope.open()) {
      sizes(precision, false, 1, 1, 400, 77, 20);
      sizes(precision, false, 1, 1, 260, 3, 130);
      sizes(precision, true, 1, 1, 300, 250, 8);
      Tensor q = normal(precision, 1, 1, 400, 12);
      Tensor k = normal(precision, 1, 1, 77, 12);
      both(precision, false, q, k, k, AttentionInputs.picture(1, 1, 400, 77, (b, h, t, s) -> t >= 300 && (s < 10 || t % 3 == 0)));
    }
  }

  /** Queries that all look at one key, far above the others, or at all alike: only whole numbers are added, so nothing is rounded. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void exactWhereNothingIsRounded(Precision precision) {
    try (Scope _ = Scope.open()) {
      int width = 24;
      float[] keys = new float[40 * width];
      float[] values = new float[40 * width];
      float[] queries = new float[30 * width];
      float[] slopes = new float[30 * width];
      for (int i = 0; i < values.length; i++) {
        values[i] = inputs.random.nextInt(-8, 9);
        keys[i] = i / width % 4 == 0 && i % width == i / width / 4 ? 16 : 0;
      }
      for (int i = 0; i < queries.length; i++) {
        queries[i] = i % width == i / width % 10 ? 16 : 0;
        slopes[i] = inputs.random.nextInt(-4, 5);
      }
      Tensor q = Tensor.of(queries, 1, 1, 30, width);
      Tensor k = Tensor.of(keys, 1, 1, 40, width);
      Tensor v = Tensor.of(values, 1, 1, 40, width);
      Tensor dO = Tensor.of(slopes, 1, 1, 30, width);
      Contraction.Attention op = new Contraction.Attention(1, false);
      Tensor[] expected = Dispatch.run(op, q, k, v);
      Tensor[] in = there(q, k, v, dO);
      Tensor[] actual = AttentionInputs.forward(precision, op, in[0], in[1], in[2]);
      assertArrayEquals(expected[0].toFloats(), actual[0].to(Device.CPU).toFloats());
      assertArrayEquals(expected[1].toFloats(), actual[1].to(Device.CPU).toFloats());
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(1, false);
      Tensor[] gradients = Dispatch.run(grad, dO, q, k, v, expected[0], expected[1]);
      Tensor[] found = AttentionInputs.backward(precision, grad, in[3], in[0], in[1], in[2], actual[0], actual[1]);
      assertArrayEquals(gradients[2].toFloats(), found[2].to(Device.CPU).toFloats());
      float[] first = Dispatch.run(op, q.mul(0), k.slice(2, 0, 32), v.slice(2, 0, 32))[0].toFloats();
      Tensor[] even = there(q.mul(0), k.slice(2, 0, 32).contiguous(), v.slice(2, 0, 32).contiguous());
      assertArrayEquals(first, AttentionInputs.forward(precision, op, even)[0].to(Device.CPU).toFloats());
    }
  }

  /** Whatever q, k and v are, they count as rounded. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void factorsAreRounded(Precision precision) {
    try (Scope _ = Scope.open()) {
      Tensor[] in = {inputs.normal(1, 2, 140, 40), inputs.normal(1, 2, 70, 40), inputs.normal(1, 2, 70, 40)};
      Tensor[] rounded = new Tensor[3];
      for (int i = 0; i < 3; i++) {
        rounded[i] = in[i].cast(precision.factors()).cast(DType.F32);
      }
      Contraction.Attention op = new Contraction.Attention(0.3, true);
      Tensor[] out = AttentionInputs.forward(precision, op, there(in));
      Tensor[] same = AttentionInputs.forward(precision, op, there(rounded));
      Tensor dO = inputs.normal(1, 2, 140, 40).to(Device.CUDA);
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(0.3, true);
      Tensor[] gradients = AttentionInputs.backward(precision, grad, there(dO, in[0], in[1], in[2], out[0], out[1]));
      Tensor[] alike = AttentionInputs.backward(precision, grad, there(dO, rounded[0], rounded[1], rounded[2], out[0], out[1]));
      for (int i = 0; i < 2; i++) {
        assertArrayEquals(out[i].to(Device.CPU).toFloats(), same[i].to(Device.CPU).toFloats());
      }
      for (int i = 0; i < 3; i++) {
        assertArrayEquals(gradients[i].to(Device.CPU).toFloats(), alike[i].to(Device.CPU).toFloats());
      }
    }
  }

  /** The order in which threads run between barriers changes no bit. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void turnedLanes(Precision precision) {
    try (Scope _ = Scope.open()) {
      Tensor[] in = there(inputs.normal(1, 2, 140, 40), inputs.normal(1, 2, 130, 40), inputs.normal(1, 2, 130, 40), inputs.allowed(0.5, 140, 130));
      Contraction.Attention op = new Contraction.Attention(0.3, false);
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(0.3, false);
      CudaTests.assertOrderOfLanesIsFree(() -> AttentionInputs.forward(precision, op, in));
      Tensor[] out = AttentionInputs.forward(precision, op, in);
      CudaTests.assertOrderOfLanesIsFree(() -> AttentionInputs.backward(precision, grad, out[0], in[0], in[1], in[2], out[0], out[1], in[3]));
      Tensor turned = inputs.allowed(0.5, 130, 140).to(Device.CUDA).t();
      CudaTests.assertOrderOfLanesIsFree(() -> AttentionInputs.backward(precision, grad, out[0], in[0], in[1], in[2], out[0], out[1], turned));
    }
  }
}
