package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.KernelSamples.Sample;
import org.deft4j.tensor.internal.cuda.CudaTests;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.deft4j.tensor.internal.KernelSamples.normal;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * The card's reductions, norms and updates beyond what {@link CudaSamplesTest} compares: shapes for each way in which threads are divided
 * among rows and columns, nothing at all, and all samples with the threads in another order.
 */
@ExtendWith(OnCard.class)
class CudaRowsTest {
  private static final long LONG = 30_000;

  private final List<String> wrong = new ArrayList<>();

  /** The types that there are kernels of an operation for. */
  private static List<DType> types(Op op) {
    boolean takesBf16 = op instanceof Norm || op instanceof Reduction.Sum || op instanceof InPlace.AddScaledInto;
    return takesBf16 ? List.of(DType.F32, DType.F64, DType.BF16) : List.of(DType.F32, DType.F64);
  }

  private void compare(Op op, Tensor... in) {
    for (DType dtype : types(op)) {
      try (Scope _ = Scope.open()) {
        CudaTests.differences(op, dtype, in)
            .ifPresent(text -> wrong.add(new Sample(op, in) + " in " + dtype + ": " + text));
      }
    }
  }

  private void assertNoneWrong() {
    assertEquals(List.of(), wrong.subList(0, Math.min(20, wrong.size())), wrong.size() + " differ");
  }

  @Test
  void rowsAndColumnsOfEverySize() {
    for (long n : new long[] {1, 3, 16, 17, 33, 65, 257, 513, 1025}) {
      for (long inner : new long[] {1, 3, 40}) {
        Tensor x = normal(2, n, inner);
        compare(new Reduction.Sum(List.of(1), false), x);
        compare(new Reduction.Max(List.of(1), true), x);
        compare(new Reduction.Min(List.of(1), true), x);
        compare(new Reduction.ArgMax(1, true), x);
        compare(new Reduction.ArgMin(1, true), x);
        compare(new Reduction.Prod(1, true), x);
        compare(new Reduction.CumSum(1), x);
        compare(new Reduction.Softmax(1), x);
        compare(new Reduction.LogSoftmax(1), x);
        compare(new Reduction.LogSumExp(1, false), x);
        compare(new Fused.SoftmaxGrad(1), normal(2, n, inner), x);
      }
    }
    assertNoneWrong();
  }

  @Test
  void longOnesInSeveralSteps() {
    for (Tensor x : List.of(normal(8192, 1), normal(8193, 1), normal(16_400, 2), normal(4097, 3))) {
      compare(new Reduction.Sum(List.of(0), false), x);
      compare(new Reduction.Max(List.of(0), false), x);
      compare(new Reduction.Min(List.of(0), false), x);
      compare(new Reduction.Softmax(0), x);
    }
    compare(new Reduction.Sum(List.of(0, 2), false), normal(300, 3, 300));
    assertNoneWrong();
  }

  /** Of BF16, which has no 257: the sums that are added up once more keep what it would round away. */
  @Test
  void whatSumsAreMadeOfIsNotRounded() {
    float[] values = new float[3 * 8192];
    for (int i = 0; i < 257; i++) {
      values[i] = 1;
      values[8192 + i] = 1;
    }
    values[2 * 8192] = -512;
    Tensor x = Tensor.of(values, 3, 8192).cast(DType.BF16).to(Device.CUDA);
    assertArrayEquals(new double[] {2}, x.reshape(3 * 8192).sum(0).toDoubles(), "in several steps");
    assertArrayEquals(new double[] {2}, x.reshape(3, 1, 8192).sum(0, 2).toDoubles(), "over dimensions that are not neighbours");
    assertArrayEquals(new double[] {256, 256, -512}, x.sum(1).toDoubles(), "in one");
  }

  @Test
  void theFirstOfEqualOnesIsChosenAndOfSeveralNaN() {
    float nan = Float.NaN;
    for (float[] values : new float[][] {{1, 3, 3, -1, -1}, {nan, 3, nan}, {3, nan, nan, 9}, {-0f, 0f, -0f}}) {
      float[] many = new float[40 * values.length];
      for (int i = 0; i < many.length; i++) {
        many[i] = values[i % values.length];
      }
      for (Tensor x : List.of(Tensor.of(values, values.length), Tensor.of(many, many.length), Tensor.of(many, many.length / 2, 2))) {
        compare(new Reduction.ArgMax(0, false), x);
        compare(new Reduction.ArgMin(0, false), x);
        compare(new Reduction.Max(List.of(0), false), x);
        compare(new Reduction.Min(List.of(0), false), x);
      }
    }
    assertNoneWrong();
  }

  @Test
  void infinitiesAreOneOfAllThatSoftmaxTakes() {
    float inf = Float.POSITIVE_INFINITY;
    for (float[] values : new float[][] {{-inf, -inf}, {-inf, 1, 2}, {inf, 1}, {inf, inf, -inf}}) {
      Tensor column = Tensor.of(values, values.length, 1);
      for (Tensor x : List.of(Tensor.of(values, values.length), column.expand(values.length, 3).copy())) {
        compare(new Reduction.Softmax(0), x);
        compare(new Reduction.LogSoftmax(0), x);
        compare(new Reduction.LogSumExp(0, false), x);
      }
    }
    assertNoneWrong();
  }

  @Test
  void nothingReduced() {
    Tensor rowsOfNothing = normal(3, 0);
    compare(new Reduction.Sum(List.of(1), false), rowsOfNothing);
    compare(new Reduction.Prod(1, false), rowsOfNothing);
    compare(new Reduction.LogSumExp(1, false), rowsOfNothing);
    compare(new Reduction.Softmax(1), rowsOfNothing);
    compare(new Reduction.Softmax(0), rowsOfNothing);
    compare(new Reduction.CumSum(0), rowsOfNothing);
    compare(new Reduction.Max(List.of(0), false), rowsOfNothing);
    compare(new Reduction.Prod(0, false), normal(0, 4));
    compare(new Reduction.Sum(List.of(0, 2), false), normal(0, 4, 5));
    Tensor onCard = rowsOfNothing.to(Device.CUDA);
    for (Op op : List.of(new Reduction.Max(List.of(1), false), new Reduction.Min(List.of(1), false), new Reduction.ArgMax(1, false),
        new Reduction.ArgMin(1, false))) {
      assertThrows(ShapeException.class, () -> Dispatch.run(op, onCard), op::toString);
    }
    assertNoneWrong();
  }

  @Test
  void normsOfRowsThatRegistersHoldAndThatTheyDoNot() {
    for (long n : new long[] {1, 31, 36, 256, 257, 513, 1025, 3072, 4096, 4097, 4100, 12_000}) {
      Tensor x = normal(3, n).mul(2).add(100);
      Tensor dy = normal(3, n);
      Tensor w = normal(n);
      Tensor mean = normal(3).add(100);
      Tensor rstd = normal(3).abs().add(0.5);
      compare(new Norm.LayerNorm(1, 1e-5), x, w, normal(n));
      compare(new Norm.LayerNormOfSum(1e-5), x, dy, w, normal(n));
      compare(new Norm.RmsNorm(1e-6), x, w);
      compare(new Norm.LayerNormGrad(1, true), dy, x, mean, rstd, w);
      compare(new Norm.RmsNormGrad(true), dy, x, rstd, w);
    }
    assertNoneWrong();
  }

  @Test
  void weightsOfManyRows() {
    for (long rows : new long[] {0, 1, 16, 17, 700}) {
      Tensor statistics = normal(rows).abs().add(0.5);
      for (long n : new long[] {37, 38}) {
        Tensor x = normal(rows, n).add(3);
        compare(new Norm.LayerNormGrad(1, true), normal(rows, n), x, statistics, statistics.add(1), normal(n));
        compare(new Norm.RmsNormGrad(true), normal(rows, n), x, statistics, normal(n));
      }
      compare(new Norm.RmsNormGrad(true), normal(rows, 1), normal(rows, 1), statistics, normal(1));
    }
    assertNoneWrong();
  }

  @Test
  void groupsOfChannelsThatPartsCutAnyhow() {
    long[][] images = {{2, 4, 64, 64}, {1, 4, 64, 65}, {1, 2, 130, 129}, {2, 6, 1}, {3, 8, 33}, {1, 64, 100}, {0, 4, 5}, {1, 2, 530_000}};
    for (long[] sizes : images) {
      Tensor x = normal(sizes).mul(2).add(100);
      Tensor w = normal(sizes[1]);
      Tensor b = normal(sizes[1]);
      Tensor mean = normal(sizes[0], 2).add(100);
      Tensor rstd = normal(sizes[0], 2).abs().add(0.5);
      compare(new Norm.GroupNorm(2, 1e-5), x, w, b);
      compare(new Norm.GroupNormSilu(2, 1e-5), x, w, b);
      compare(new Norm.GroupNormGrad(2), normal(sizes), x, mean, rstd, w);
      compare(new Norm.GroupNormSiluGrad(2), normal(sizes), x, mean, rstd, w, b);
    }
    assertNoneWrong();
  }

  /** An offset a thousand times the deviation, and parts of a group that differ by more than their elements do. */
  @Test
  void anOffsetCostsTheVarianceNoDigits() {
    for (double offset : new double[] {0, 1e3, -4e3}) {
      Tensor x = normal(1, 2, 9000).add(offset);
      Tensor steps = Tensor.concat(2, x, x.add(50), x.add(-300));
      compare(new Norm.GroupNorm(1, 0), x, normal(2), normal(2));
      compare(new Norm.GroupNorm(1, 0), steps, normal(2), normal(2));
      compare(new Norm.LayerNorm(1, 0), x);
      compare(new Norm.LayerNorm(1, 0), steps);
    }
    assertNoneWrong();
  }

  @Test
  void scaledAdditionOfAnyStrides() {
    InPlace.AddScaledInto op = new InPlace.AddScaledInto(2);
    for (DType dtype : types(op)) {
      Tensor whole = Tensor.zeros(dtype, 8, 12).to(Device.CUDA);
      Tensor x = Tensor.of(new double[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 3, 4).cast(dtype).to(Device.CUDA);
      Dispatch.run(op, whole.slice(0, 1, 8, 2).slice(1, 3, 12, 3), x.t());
      double[] expected = new double[96];
      for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 3; j++) {
          expected[12 * (1 + 2 * i) + 3 + 3 * j] = 2 * (4 * j + i);
        }
      }
      assertArrayEquals(expected, whole.to(Device.CPU).toDoubles(), dtype.toString());
    }
  }

  @Test
  void noKernelLacksABarrier() {
    int compared = 0;
    for (Sample sample : KernelSamples.all()) {
      // Threads go round in the longest as they do in shorter ones.
      if (isOfRows(sample.op()) && Arrays.stream(sample.inputs()).allMatch(x -> x.elementCount() < LONG)) {
        for (DType dtype : types(sample.op())) {
          try (Scope _ = Scope.open()) {
            compared++;
            CudaTests.changesWithOrder(sample.op(), dtype, sample.inputs())
                .ifPresent(text -> wrong.add(sample + " in " + dtype + ": " + text));
          }
        }
      }
    }
    assertTrue(compared > 1000, compared + " samples");
    assertNoneWrong();
  }

  private static boolean isOfRows(Op op) {
    return op instanceof Reduction || op instanceof Norm || op instanceof Fused.SoftmaxGrad || op instanceof InPlace;
  }

  /** A chain of dimensions that are not neighbours is reduced in steps through memory that is given back while they are still to run. */
  @Test
  void memoryBetweenStepsIsGivenBack() {
    Tensor x = normal(2, 300, 3, 300).to(Device.CUDA);
    Dispatch.run(new Reduction.Sum(List.of(1, 3), false), x);
    Tensor again = Dispatch.run(new Reduction.Sum(List.of(1, 3), false), x)[0];
    assertEquals(Shape.of(2, 3), again.shape());
    double[] expected = x.to(Device.CPU).cast(DType.F64).sum(1, 3).toDoubles();
    double[] actual = again.to(Device.CPU).toDoubles();
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], 2e-3);
    }
  }
}
