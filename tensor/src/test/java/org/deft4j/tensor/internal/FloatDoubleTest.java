package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Unary;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The float32 kernels compute what the float64 kernels, which are other code, compute; and what is left to choose is as in torch. */
class FloatDoubleTest {
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  @Test
  void float32AgreesWithFloat64() {
    List<KernelSamples.Sample> samples = new ArrayList<>(KernelSamples.all());
    samples.removeIf(sample -> sample.op() instanceof Unary || sample.op() instanceof Binary
        || sample.op() instanceof Fused.ActivationGrad);
    Tensor x = KernelSamples.normal(1000);
    Tensor positive = x.abs().add(0.01);
    Tensor y = KernelSamples.normal(1000);
    for (Unary op : KernelSamples.unaries()) {
      samples.add(new KernelSamples.Sample(op, positive));
      samples.add(new KernelSamples.Sample(new Fused.ActivationGrad(op), y, positive));
    }
    for (Binary op : KernelSamples.binaries()) {
      samples.add(new KernelSamples.Sample(op, positive, y.abs().add(0.1)));
    }
    for (Fused.Gated gated : List.of(Fused.Gated.GEGLU, Fused.Gated.SWIGLU)) {
      samples.add(new KernelSamples.Sample(gated, KernelSamples.normal(40, 64)));
      samples.add(new KernelSamples.Sample(new Fused.GatedGrad(gated), KernelSamples.normal(40, 32), KernelSamples.normal(40, 64)));
    }
    for (boolean inverse : new boolean[] {false, true}) {
      samples.add(new KernelSamples.Sample(new Fused.Rotary(inverse), KernelSamples.normal(3, 40, 64),
          KernelSamples.normal(40, 32), KernelSamples.normal(40, 32)));
    }
    int checked = 0;
    for (KernelSamples.Sample sample : samples) {
      try (Scope _ = Scope.open()) {
        checked += check(sample) ? 1 : 0;
      }
    }
    assertTrue(checked > 400, "only " + checked + " samples are finite");
  }

  /** Within rounding of the largest element; samples with special values are left out. */
  private static boolean check(KernelSamples.Sample sample) {
    boolean tame = Arrays.stream(sample.inputs()).flatMapToDouble(t -> Arrays.stream(t.toDoubles()))
        .allMatch(v -> Math.abs(v) < 1e3);
    if (!tame || sample.op() instanceof Reduction.Prod) {
      return false;
    }
    Tensor[] in = Arrays.stream(sample.inputs()).map(t -> sample.op() instanceof InPlace.ClipInto ? t : t.cast(DType.F32)).toArray(Tensor[]::new);
    Tensor[] wide = Arrays.stream(sample.inputs()).map(t -> t.cast(DType.F64)).toArray(Tensor[]::new);
    boolean changes = sample.op() instanceof InPlace;
    Tensor[] own = changes ? Arrays.stream(in).map(KernelHash::copy).toArray(Tensor[]::new) : in;
    Tensor[] found = Dispatch.run(sample.op(), own);
    Tensor[] wanted = Dispatch.run(sample.op(), wide);
    found = changes ? own : found;
    wanted = changes ? wide : wanted;
    for (int i = 0; i < found.length; i++) {
      double[] a = wanted[i].toDoubles();
      double[] b = found[i].toDoubles();
      double largest = Arrays.stream(a).map(Math::abs).max().orElse(0);
      for (int k = 0; k < a.length; k++) {
        int at = k;
        double limit = 1e-5 * largest + 1e-30;
        assertTrue(Math.abs(a[k] - b[k]) <= limit, () -> sample + ": element " + at + " is " + b[at] + ", in float64 " + a[at]);
      }
    }
    return true;
  }

  @Test
  void nanIsTheLargestAndTheSmallest() {
    Tensor x = Tensor.of(new float[] {1, Float.NaN, 3, Float.NaN, -5, 7, 2, 7}, 2, 4);
    for (DType dtype : new DType[] {DType.F32, DType.F64}) {
      Tensor t = x.cast(dtype);
      assertArrayEquals(new float[] {Float.NaN, 7}, t.max(false, 1).toFloats());
      assertArrayEquals(new float[] {Float.NaN, -5}, t.min(false, 1).toFloats());
      assertArrayEquals(new long[] {1, 1}, t.argmax(1).toLongs(), "the first NaN; the first of equals");
      assertArrayEquals(new long[] {1, 0}, t.argmin(1).toLongs());
    }
  }

  @Test
  void choosingAmongNothingIsRefused() {
    Tensor none = Tensor.zeros(DType.F32, 3, 0);
    assertTrue(assertThrows(ShapeException.class, () -> none.max(false, 1)).getMessage().startsWith("max: "));
    assertTrue(assertThrows(ShapeException.class, () -> none.argmin(1)).getMessage().startsWith("arg_min: "));
    assertArrayEquals(new float[] {0, 0, 0}, none.sum(1).toFloats());
  }

  @Test
  void infinitiesInSoftmaxAndLogSumExp() {
    float inf = Float.POSITIVE_INFINITY;
    Tensor x = Tensor.of(new float[] {0, -inf, 0, -inf, -inf, -inf, 1, inf, 2}, 3, 3);
    assertArrayEquals(new float[] {0.5f, 0, 0.5f, Float.NaN, Float.NaN, Float.NaN, Float.NaN, Float.NaN, Float.NaN},
        x.softmax(1).toFloats());
    float[] sums = Dispatch.run(new Reduction.LogSumExp(1, false), x)[0].toFloats();
    assertEquals(Math.log(2), sums[0], 1e-7);
    assertEquals(-inf, sums[1]);
    assertEquals(inf, sums[2]);
  }

  @Test
  void comparisonsOfEveryTypeThatIsStored() {
    Tensor a = Tensor.of(new long[] {-1, 5, Long.MAX_VALUE - 1, 7});
    Tensor b = Tensor.of(new long[] {1, 5, Long.MAX_VALUE, 6});
    assertArrayEquals(new long[] {1, 0, 1, 0}, a.less(b).toLongs(), "longs beyond 2^53 are told apart");
    assertArrayEquals(new long[] {1, 1, 1, 0}, a.lessEqual(b).toLongs());
    assertArrayEquals(new long[] {0, 1, 0, 0}, a.equal(b).toLongs());
    Tensor half = Tensor.of(new float[] {1.5f, -2, Float.NaN});
    for (DType dtype : new DType[] {DType.F16, DType.BF16, DType.F32, DType.F64}) {
      assertArrayEquals(new long[] {1, 1, 0}, half.cast(dtype).equal(half.cast(dtype)).toLongs());
    }
    Tensor bytes = Tensor.of(new int[] {200, 3, 0}).cast(DType.U8);
    assertArrayEquals(new long[] {0, 1, 1}, bytes.less(Tensor.of(new int[] {100, 4, 255}).cast(DType.U8)).toLongs());
  }

  /** An offset 10,000 times the deviation costs the group norm no digits beyond those that x itself has lost. */
  @Test
  void aLargeOffsetDoesNotSpoilTheVariance() {
    Tensor x = KernelSamples.normal(2, 8, 33, 21).add(1e4);
    Tensor ones = Tensor.full(DType.F32, 1, 8);
    Tensor zeros = Tensor.zeros(DType.F32, 8);
    double[] found = Dispatch.run(new Norm.GroupNorm(2, 1e-5), x, ones, zeros)[0].toDoubles();
    double[] wanted = Dispatch.run(new Norm.GroupNorm(2, 1e-5), x.cast(DType.F64), ones.cast(DType.F64),
        zeros.cast(DType.F64))[0].toDoubles();
    for (int i = 0; i < wanted.length; i++) {
      assertEquals(wanted[i], found[i], 2e-6);
    }
  }

  /** The sum of a million tenths in one chain would be off by 958. */
  @Test
  void longSumsKeepTheirDigits() {
    Tensor tenths = Tensor.full(DType.F32, 0.1f, 1_000_003);
    assertEquals(1_000_003 * (double) 0.1f, tenths.sum().item(), 0.2);
    assertEquals(1_000_003 * (double) 0.1f, tenths.reshape(1_000_003, 1).sum(0).item(), 0.2);
  }
}
