package org.deft4j.tensor.internal.cuda;

import java.util.Random;
import java.util.stream.Stream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.junit.jupiter.api.Test;
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
  private final Random random = new Random(23);

  private Tensor normal(Precision precision, long... sizes) {
    return normal(sizes).cast(precision.factors()).cast(DType.F32);
  }

  private Tensor normal(long... sizes) {
    return CudaTests.normal(random, sizes);
  }

  /** True with the given probability. */
  private Tensor allowed(double probability, long... sizes) {
    float[] values = new float[(int) Shape.of(sizes).elementCount()];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextDouble() < probability ? 1 : 0;
    }
    return Tensor.of(values, sizes).cast(DType.BOOL);
  }

  private static Tensor[] there(Tensor... tensors) {
    Tensor[] moved = new Tensor[tensors.length];
    for (int i = 0; i < moved.length; i++) {
      moved[i] = tensors[i].to(Device.CUDA);
    }
    return moved;
  }

  private static Tensor[] forward(Precision precision, Contraction.Attention op, Tensor... in) {
    return CudaTests.with(precision, () -> Dispatch.run(op, in));
  }

  private static Tensor[] backward(Precision precision, Contraction.AttentionGrad op, Tensor... in) {
    return CudaTests.with(precision, () -> Dispatch.run(op, in));
  }

  private static void same(String what, Tensor expected, Tensor actual) {
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
    Tensor[] actual = forward(precision, op, there(in));
    close(precision, what + " o", expected[0], actual[0]);
    same(what + " lse", expected[1], actual[1]);
    Tensor dO = normal(precision, q.shape().toArray());
    Tensor[] given = mask == null ? new Tensor[] {dO, q, k, v, expected[0], expected[1]}
        : new Tensor[] {dO, q, k, v, expected[0], expected[1], mask};
    Tensor[] gradients = Dispatch.run(grad, given);
    Tensor[] found = backward(precision, grad, there(given));
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
      both(precision, false, q, k, v, allowed(0.5, 2, 2, 140, 110));
      both(precision, false, q, k, v, allowed(0.02, 1, 1, 140, 110));
      both(precision, false, q, k, v, allowed(0.7, 2, 1, 1, 110));
      both(precision, false, q, k, v, allowed(0.5, 140, 1));
      both(precision, true, q, k, v, allowed(0.5, 140, 110));
      both(precision, false, q, k, v, normal(2, 2, 140, 110));
      both(precision, true, q, k, v, normal(2, 1, 1, 110));
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
        Tensor[] actual = forward(precision, op, in[0], in[1], in[1]);
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
      float[] values = normal(1, 1, 150, 8).toFloats();
      float[] seen = new float[150];
      for (int s = 0; s < 150; s++) {
        seen[s] = s < 50 || s >= 100 ? 1 : 0;
        for (int d = 0; d < 8 && seen[s] == 0; d++) {
          values[8 * s + d] = d == 0 ? Float.NaN : Float.POSITIVE_INFINITY;
        }
      }
      Tensor[] in = there(normal(1, 1, 140, 8), Tensor.of(values, 1, 1, 150, 8), Tensor.of(seen, 1, 150).cast(DType.BOOL));
      Contraction.Attention op = new Contraction.Attention(1, false);
      Tensor[] out = forward(precision, op, in[0], in[1], in[1], in[2]);
      Tensor[] found = backward(precision, new Contraction.AttentionGrad(1, false), in[0], in[0], in[1], in[1], out[0], out[1], in[2]);
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
        seen[i] = tile % 3 == 0 || (tile % 3 == 1 && random.nextBoolean()) ? 1 : 0;
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
      close(precision, "o", expected[0], forward(precision, op, in[0].transpose(1, 2), heads, heads, in[3].t())[0]);
      Tensor[] found = backward(precision, grad, in[2], in[0].transpose(1, 2), heads, heads, in[4], in[5], in[3].t());
      for (int i = 0; i < 3; i++) {
        close(precision, "gradient " + i, gradients[i], found[i]);
      }
    }
  }

  /** True where {@code rule} has it for example, head, query and key. */
  private static Tensor picture(int b, int h, int t, int s, Rule rule) {
    float[] values = new float[b * h * t * s];
    for (int i = 0; i < values.length; i++) {
      values[i] = rule.sees(i / s / t / h, i / s / t % h, i / s % t, i % s) ? 1 : 0;
    }
    return Tensor.of(values, b, h, t, s).cast(DType.BOOL);
  }

  private interface Rule {
    boolean sees(int example, int head, int query, int key);
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
      Tensor omniGen = picture(2, 1, 170, 170, (b, h, t, s) -> s >= 33 * b && (t >= 110 || (s <= t && t >= 33 * b)));
      both(precision, false, q, k, q, omniGen);
      both(precision, true, q, k.slice(2, 5, 69), q.slice(2, 5, 69), omniGen.slice(3, 5, 69));
      both(precision, false, q.slice(2, 0, 140), k, q, picture(1, 2, 140, 170, (b, h, t, s) -> Math.abs(s - t) < 30 * h));
      both(precision, false, q.slice(2, 0, 40), k, q, picture(2, 2, 40, 170, (b, h, t, s) -> (s / 64 + b + h) % 2 == 0 || s == 2 * t));
      both(precision, false, q.slice(2, 3, 4), k, q, omniGen.slice(2, 120, 121));
      both(precision, false, q.slice(2, 0, 9), k, q, allowed(0, 1));
      both(precision, false, q.slice(2, 0, 9), k, q, allowed(1, 1));
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
      both(precision, false, q, k, k, picture(1, 1, 400, 77, (b, h, t, s) -> t >= 300 && (s < 10 || t % 3 == 0)));
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
        values[i] = random.nextInt(-8, 9);
        keys[i] = i / width % 4 == 0 && i % width == i / width / 4 ? 16 : 0;
      }
      for (int i = 0; i < queries.length; i++) {
        queries[i] = i % width == i / width % 10 ? 16 : 0;
        slopes[i] = random.nextInt(-4, 5);
      }
      Tensor q = Tensor.of(queries, 1, 1, 30, width);
      Tensor k = Tensor.of(keys, 1, 1, 40, width);
      Tensor v = Tensor.of(values, 1, 1, 40, width);
      Tensor dO = Tensor.of(slopes, 1, 1, 30, width);
      Contraction.Attention op = new Contraction.Attention(1, false);
      Tensor[] expected = Dispatch.run(op, q, k, v);
      Tensor[] in = there(q, k, v, dO);
      Tensor[] actual = forward(precision, op, in[0], in[1], in[2]);
      assertArrayEquals(expected[0].toFloats(), actual[0].to(Device.CPU).toFloats());
      assertArrayEquals(expected[1].toFloats(), actual[1].to(Device.CPU).toFloats());
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(1, false);
      Tensor[] gradients = Dispatch.run(grad, dO, q, k, v, expected[0], expected[1]);
      Tensor[] found = backward(precision, grad, in[3], in[0], in[1], in[2], actual[0], actual[1]);
      assertArrayEquals(gradients[2].toFloats(), found[2].to(Device.CPU).toFloats());
      float[] first = Dispatch.run(op, q.mul(0), k.slice(2, 0, 32), v.slice(2, 0, 32))[0].toFloats();
      Tensor[] even = there(q.mul(0), k.slice(2, 0, 32).contiguous(), v.slice(2, 0, 32).contiguous());
      assertArrayEquals(first, forward(precision, op, even)[0].to(Device.CPU).toFloats());
    }
  }

  /** Whatever q, k and v are, they count as rounded. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void factorsAreRounded(Precision precision) {
    try (Scope _ = Scope.open()) {
      Tensor[] in = {normal(1, 2, 140, 40), normal(1, 2, 70, 40), normal(1, 2, 70, 40)};
      Tensor[] rounded = new Tensor[3];
      for (int i = 0; i < 3; i++) {
        rounded[i] = in[i].cast(precision.factors()).cast(DType.F32);
      }
      Contraction.Attention op = new Contraction.Attention(0.3, true);
      Tensor[] out = forward(precision, op, there(in));
      Tensor[] same = forward(precision, op, there(rounded));
      Tensor dO = normal(1, 2, 140, 40).to(Device.CUDA);
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(0.3, true);
      Tensor[] gradients = backward(precision, grad, there(dO, in[0], in[1], in[2], out[0], out[1]));
      Tensor[] alike = backward(precision, grad, there(dO, rounded[0], rounded[1], rounded[2], out[0], out[1]));
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
      Tensor[] in = there(normal(1, 2, 140, 40), normal(1, 2, 130, 40), normal(1, 2, 130, 40), allowed(0.5, 140, 130));
      Contraction.Attention op = new Contraction.Attention(0.3, false);
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(0.3, false);
      CudaTests.assertOrderOfLanesIsFree(() -> forward(precision, op, in));
      Tensor[] out = forward(precision, op, in);
      CudaTests.assertOrderOfLanesIsFree(() -> backward(precision, grad, out[0], in[0], in[1], in[2], out[0], out[1], in[3]));
      Tensor turned = allowed(0.5, 130, 140).to(Device.CUDA).t();
      CudaTests.assertOrderOfLanesIsFree(() -> backward(precision, grad, out[0], in[0], in[1], in[2], out[0], out[1], turned));
    }
  }

  /**
   * What BF16 gives is what the same numbers in F32 do, each number of a result then rounded: the kernels read other tensors, and multiply
   * the same.
   */
  private void sameInBf16(boolean causal, Tensor q, Tensor k, Tensor v, Tensor dO, Tensor mask) {
    double scale = 1 / Math.sqrt((double) Math.max(1, q.size(3)));
    String what = (causal ? "causal " : "") + q + k + (mask == null ? "" : " mask " + mask);
    Contraction.Attention op = new Contraction.Attention(scale, causal);
    Contraction.AttentionGrad grad = new Contraction.AttentionGrad(scale, causal);
    Tensor[] out = forward(Precision.BF16, op, with(mask, q, k, v));
    Tensor[] wide = forward(Precision.BF16, op, with(mask, wide(q), wide(k), wide(v)));
    sameBits(what + " o", wide[0], out[0]);
    assertArrayEquals(wide[1].to(Device.CPU).toFloats(), out[1].to(Device.CPU).toFloats(), what + " lse");
    Tensor[] found = backward(Precision.BF16, grad, with(mask, dO, q, k, v, out[0], out[1]));
    Tensor[] gradients = backward(Precision.BF16, grad, with(mask, wide(dO), wide(q), wide(k), wide(v), wide(out[0]), out[1]));
    for (int i = 0; i < 3; i++) {
      sameBits(what + " gradient " + i, gradients[i], found[i]);
    }
  }

  private static Tensor[] with(Tensor mask, Tensor... in) {
    return mask == null ? in : Stream.concat(Stream.of(in), Stream.of(mask)).toArray(Tensor[]::new);
  }

  private static Tensor wide(Tensor x) {
    return x.cast(DType.F32);
  }

  private static void sameBits(String what, Tensor expected, Tensor actual) {
    assertEquals(DType.BF16, actual.dtype(), what);
    assertArrayEquals(expected.cast(DType.BF16).to(Device.CPU).toFloats(), actual.to(Device.CPU).toFloats(), what);
  }

  private Tensor bf16(long... sizes) {
    return normal(sizes).cast(DType.BF16).to(Device.CUDA);
  }

  /** Heads as a model has them: [B,T,H d], of which {@code skipped} numbers before it and as many after it are another's. */
  private Tensor bf16Heads(long b, long t, long h, long d, long skipped) {
    return bf16(b, t, h * d + 2 * skipped).slice(2, skipped, skipped + h * d).reshape(b, t, h, d).transpose(1, 2);
  }

  private void bf16Sizes(boolean causal, long b, long h, long t, long s, long d, long skipped) {
    try (Scope _ = Scope.open()) {
      sameInBf16(causal, bf16Heads(b, t, h, d, skipped), bf16Heads(b, s, h, d, skipped), bf16Heads(b, s, h, d, 0),
          bf16Heads(b, t, h, d, 0), null);
    }
  }

  /** Widths that kernels have, that they have with bounds, and that are no whole pieces; and rows that start at none. */
  @Test
  void bf16Heads() {
    bf16Sizes(false, 2, 2, 140, 77, 64, 0);
    bf16Sizes(true, 1, 2, 135, 150, 96, 192);
    bf16Sizes(false, 1, 2, 70, 33, 40, 40);
    bf16Sizes(false, 1, 1, 31, 66, 80, 8);
    bf16Sizes(false, 1, 2, 33, 40, 160, 0);
    bf16Sizes(false, 1, 2, 20, 40, 120, 0);
    bf16Sizes(false, 1, 2, 40, 35, 8, 0);
    bf16Sizes(true, 2, 3, 50, 40, 13, 0);
    bf16Sizes(false, 1, 2, 30, 40, 20, 0);
    bf16Sizes(false, 1, 2, 40, 50, 64, 3);
    bf16Sizes(false, 1, 2, 40, 50, 64, 4);
    bf16Sizes(false, 1, 1, 9, 20, 200, 0);
    bf16Sizes(false, 1, 1, 1, 1, 1, 0);
  }

  private static void assertLaunches(long expected, String what, Runnable work) {
    EmulatedCard card = EmulatedCard.instance();
    long before = card == null ? 0 : card.launches();
    work.run();
    assertEquals(expected, card == null ? expected : card.launches() - before, what);
  }

  /** Heads as models have them are not converted before: one kernel forward; the rows of delta, dq, and dk with dv backward. */
  @Test
  void bf16IsReadWhereItLies() {
    try (Scope _ = Scope.open()) {
      Tensor q = bf16Heads(2, 33, 2, 40, 16);
      Tensor k = bf16Heads(2, 20, 2, 40, 0);
      Contraction.Attention op = new Contraction.Attention(1, false);
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(1, false);
      Tensor[] out = forward(Precision.BF16, op, q, k, k);
      assertLaunches(1, "attention", () -> forward(Precision.BF16, op, q, k, k));
      assertLaunches(3, "gradient", () -> backward(Precision.BF16, grad, q, q, k, k, out[0], out[1]));
      Tensor odd = bf16Heads(2, 20, 2, 40, 3);
      assertLaunches(2, "attention to keys at odd places", () -> forward(Precision.BF16, op, q, odd, k));
    }
  }

  @Test
  void bf16OfNothing() {
    bf16Sizes(false, 1, 1, 5, 0, 8, 0);
    bf16Sizes(false, 1, 1, 0, 5, 8, 0);
    bf16Sizes(false, 0, 2, 5, 6, 8, 0);
    bf16Sizes(false, 1, 1, 5, 6, 0, 0);
  }

  /** dk and dv are of parts of the queries, which are not rounded before they are added. */
  @Test
  void bf16OfFewKeys() {
    bf16Sizes(false, 1, 1, 400, 77, 24, 0);
    bf16Sizes(false, 1, 1, 260, 3, 130, 0);
    bf16Sizes(true, 1, 2, 300, 40, 16, 0);
  }

  @Test
  void bf16Masks() {
    try (Scope _ = Scope.open()) {
      Tensor q = bf16Heads(2, 140, 2, 24, 0);
      Tensor k = bf16Heads(2, 110, 2, 24, 0);
      Tensor dO = bf16(2, 2, 140, 24);
      sameInBf16(false, q, k, k, dO, allowed(0.5, 2, 1, 140, 110).to(Device.CUDA));
      sameInBf16(true, q, k, k, dO, allowed(0.7, 2, 2, 1, 110).to(Device.CUDA));
      sameInBf16(false, q, k, k, dO, normal(2, 1, 140, 110).to(Device.CUDA));
      Tensor omniGen = picture(2, 1, 140, 140, (b, h, t, s) -> s >= 33 * b && (t >= 110 || (s <= t && t >= 33 * b)));
      sameInBf16(false, q, q, q, dO, omniGen.to(Device.CUDA));
    }
  }

  /** Columns one below the other, a head for all, one number for all. */
  @Test
  void bf16Strides() {
    try (Scope _ = Scope.open()) {
      Tensor columns = bf16(1, 2, 24, 50).transpose(2, 3);
      Tensor shared = bf16(1, 1, 50, 24).expand(1, 2, 50, 24);
      Tensor one = bf16(1, 2, 1, 1).expand(1, 2, 50, 24);
      Tensor every = bf16(1, 2, 100, 24).slice(2, 25, 75);
      sameInBf16(false, columns, shared, every, one, null);
      sameInBf16(false, shared, columns, one, every, null);
      sameInBf16(true, every, every, shared, columns, null);
    }
  }

  /** Against the CPU: one rounding of results besides those of the factors within. */
  @Test
  void bf16OnTheCpu() {
    try (Scope _ = Scope.open()) {
      Tensor q = bf16Heads(1, 150, 2, 64, 0);
      Tensor k = bf16Heads(1, 77, 2, 64, 0);
      Contraction.Attention op = new Contraction.Attention(0.125, false);
      Tensor[] here = {q.to(Device.CPU), k.to(Device.CPU)};
      Tensor[] expected = Dispatch.run(op, here[0], here[1], here[1]);
      Tensor[] actual = forward(Precision.BF16, op, q, k, k);
      same("lse", expected[1], actual[1]);
      float[] e = Dispatch.run(op, wide(here[0]), wide(here[1]), wide(here[1]))[0].toFloats();
      float[] a = actual[0].to(Device.CPU).toFloats();
      for (int i = 0; i < e.length; i++) {
        assertEquals(e[i], a[i], 0x1p-8f, "element " + i);
      }
    }
  }

  /** Where F32 is multiplied as F32, BF16 is too. */
  @Test
  void bf16InFullPrecision() {
    try (Scope _ = Scope.open()) {
      Tensor q = bf16(1, 1, 20, 16);
      Contraction.Attention op = new Contraction.Attention(0.25, false);
      Tensor[] out = forward(Precision.FULL, op, q, q, q);
      sameBits("o", forward(Precision.FULL, op, wide(q), wide(q), wide(q))[0], out[0]);
    }
  }

  @Test
  void turnedLanesOfBf16() {
    try (Scope _ = Scope.open()) {
      Tensor q = bf16Heads(1, 140, 2, 40, 0);
      Tensor k = bf16Heads(1, 130, 2, 40, 0);
      Contraction.Attention op = new Contraction.Attention(0.3, false);
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(0.3, false);
      CudaTests.assertOrderOfLanesIsFree(() -> forward(Precision.BF16, op, q, k, k));
      Tensor[] out = forward(Precision.BF16, op, q, k, k);
      CudaTests.assertOrderOfLanesIsFree(() -> backward(Precision.BF16, grad, out[0], q, k, k, out[0], out[1]));
    }
  }
}
