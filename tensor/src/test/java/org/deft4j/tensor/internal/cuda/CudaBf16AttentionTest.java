package org.deft4j.tensor.internal.cuda;

import java.util.stream.Stream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Attention on tensor cores of BF16 tensors: against the same numbers in F32, whose results {@link CudaAttentionPrecisionTest} knows. */
@ExtendWith(OnCard.class)
class CudaBf16AttentionTest {
  private final AttentionInputs inputs = new AttentionInputs(23);

  /**
   * What BF16 gives is what the same numbers in F32 do, each number of a result then rounded: the kernels read other tensors, and multiply
   * the same.
   */
  private void sameInBf16(boolean causal, Tensor q, Tensor k, Tensor v, Tensor dO, Tensor mask) {
    double scale = 1 / Math.sqrt((double) Math.max(1, q.size(3)));
    String what = (causal ? "causal " : "") + q + k + (mask == null ? "" : " mask " + mask);
    Contraction.Attention op = new Contraction.Attention(scale, causal);
    Contraction.AttentionGrad grad = new Contraction.AttentionGrad(scale, causal);
    Tensor[] out = AttentionInputs.forward(Precision.BF16, op, with(mask, q, k, v));
    Tensor[] wide = AttentionInputs.forward(Precision.BF16, op, with(mask, wide(q), wide(k), wide(v)));
    sameBits(what + " o", wide[0], out[0]);
    assertArrayEquals(wide[1].to(Device.CPU).toFloats(), out[1].to(Device.CPU).toFloats(), what + " lse");
    Tensor[] found = AttentionInputs.backward(Precision.BF16, grad, with(mask, dO, q, k, v, out[0], out[1]));
    Tensor[] gradients = AttentionInputs.backward(Precision.BF16, grad, with(mask, wide(dO), wide(q), wide(k), wide(v), wide(out[0]), out[1]));
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
    return inputs.normal(sizes).cast(DType.BF16).to(Device.CUDA);
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
      Tensor[] out = AttentionInputs.forward(Precision.BF16, op, q, k, k);
      assertLaunches(1, "attention", () -> AttentionInputs.forward(Precision.BF16, op, q, k, k));
      assertLaunches(3, "gradient", () -> AttentionInputs.backward(Precision.BF16, grad, q, q, k, k, out[0], out[1]));
      Tensor odd = bf16Heads(2, 20, 2, 40, 3);
      assertLaunches(2, "attention to keys at odd places", () -> AttentionInputs.forward(Precision.BF16, op, q, odd, k));
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
      sameInBf16(false, q, k, k, dO, inputs.allowed(0.5, 2, 1, 140, 110).to(Device.CUDA));
      sameInBf16(true, q, k, k, dO, inputs.allowed(0.7, 2, 2, 1, 110).to(Device.CUDA));
      sameInBf16(false, q, k, k, dO, inputs.normal(2, 1, 140, 110).to(Device.CUDA));
      Tensor omniGen = AttentionInputs.picture(2, 1, 140, 140, (b, h, t, s) -> s >= 33 * b && (t >= 110 || (s <= t && t >= 33 * b)));
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
      Tensor[] actual = AttentionInputs.forward(Precision.BF16, op, q, k, k);
      CudaAttentionPrecisionTest.same("lse", expected[1], actual[1]);
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
      Tensor[] out = AttentionInputs.forward(Precision.FULL, op, q, q, q);
      sameBits("o", AttentionInputs.forward(Precision.FULL, op, wide(q), wide(q), wide(q))[0], out[0]);
    }
  }

  @Test
  void turnedLanesOfBf16() {
    try (Scope _ = Scope.open()) {
      Tensor q = bf16Heads(1, 140, 2, 40, 0);
      Tensor k = bf16Heads(1, 130, 2, 40, 0);
      Contraction.Attention op = new Contraction.Attention(0.3, false);
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(0.3, false);
      CudaTests.assertOrderOfLanesIsFree(() -> AttentionInputs.forward(Precision.BF16, op, q, k, k));
      Tensor[] out = AttentionInputs.forward(Precision.BF16, op, q, k, k);
      CudaTests.assertOrderOfLanesIsFree(() -> AttentionInputs.backward(Precision.BF16, grad, out[0], q, k, k, out[0], out[1]));
    }
  }
}
