package org.deft4j.deft;

import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.deft.testing.Dense;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.DTypeException;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Sums and truncations of thin factors against the dense matrix and its singular values. */
class LowRankTest {
  /** Factors with values of their own for every seed; of their k columns only {@code independent} are independent. */
  record Sample(int out, int in, int width, int independent, DType type, long seed) {
    LowRank matrix() {
      Dense columns = Dense.normal(seed + 2, independent, width);
      Dense u = Dense.normal(seed, out, independent).times(columns);
      Dense v = columns.t().times(Dense.normal(seed + 1, independent, in));
      return new LowRank(u.tensor(type), v.tensor(type));
    }

    LowRank other() {
      return new LowRank(Dense.normal(seed + 3, out, 3).tensor(type), Dense.normal(seed + 4, 3, in).tensor(type));
    }

    /** What rounding may do to a matrix with these factors. */
    double tolerance(LowRank matrix) {
      return (type == DType.F64 ? 1e-13 : 1e-6) * Dense.of(matrix.u()).frobenius() * Dense.of(matrix.v()).frobenius();
    }
  }

  @Provide
  Arbitrary<Sample> samples() {
    return Combinators.combine(Arbitraries.integers().between(1, 24), Arbitraries.integers().between(1, 24),
        Arbitraries.integers().between(1, 30), Arbitraries.integers().between(1, 30), Arbitraries.of(DType.F64, DType.F32),
        Arbitraries.longs())
        .as((out, in, width, independent, type, seed) ->
            new Sample(out, in, width, Math.min(width, independent), type, seed));
  }

  private static Dense dense(LowRank matrix) {
    return Dense.of(matrix.u()).times(Dense.of(matrix.v()));
  }

  private static void assertBest(Dense matrix, LowRank approximation, long rank, double tolerance) {
    assertTrue(approximation.width() <= rank, approximation.width() + " columns for rank " + rank);
    assertEquals(SingularValues.of(matrix).error(rank), matrix.minus(dense(approximation)).frobenius(), tolerance);
  }

  @Property(tries = 300)
  void truncationIsTheBestOfItsRank(@ForAll("samples") Sample sample, @ForAll @IntRange(min = 1, max = 12) int rank) {
    try (Scope _ = Scope.open()) {
      LowRank matrix = sample.matrix();
      LowRank truncated = matrix.truncated(rank);
      assertEquals(sample.type(), truncated.u().dtype());
      assertBest(dense(matrix), truncated, rank, sample.tolerance(matrix));
    }
  }

  @Property(tries = 100)
  void truncationOfATruncationIsTheBestOfItsRank(@ForAll("samples") Sample sample,
      @ForAll @IntRange(min = 1, max = 12) int rank, @ForAll @IntRange(min = 0, max = 5) int more) {
    try (Scope _ = Scope.open()) {
      LowRank matrix = sample.matrix();
      LowRank twice = matrix.truncated(rank + more).truncated(rank);
      assertBest(dense(matrix), twice, rank, 2 * sample.tolerance(matrix));
    }
  }

  @Property(tries = 100)
  void truncationAgainChangesNothing(@ForAll("samples") Sample sample, @ForAll @IntRange(min = 1, max = 12) int rank) {
    try (Scope _ = Scope.open()) {
      LowRank once = sample.matrix().truncated(rank);
      assertSame(once, once.truncated(rank));
      // As two halves the factors are too wide, and are worked out anew.
      LowRank halves = once.scaled(0.5).plus(once.scaled(0.5));
      Dense again = dense(halves.truncated(once.width()));
      assertEquals(0, dense(once).minus(again).frobenius(), 2 * sample.tolerance(once));
    }
  }

  @Property(tries = 100)
  void aMatrixOfSmallerRankStays(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open()) {
      LowRank matrix = sample.matrix();
      assertSame(matrix, matrix.truncated(sample.width()));
      LowRank truncated = matrix.truncated(sample.independent());
      assertEquals(0, dense(matrix).minus(dense(truncated)).frobenius(), sample.tolerance(matrix));
    }
  }

  @Property(tries = 100)
  void sumsAndMultiples(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open()) {
      LowRank a = sample.matrix();
      LowRank b = sample.other();
      Dense expected = dense(a).plus(dense(b).times(-0.5)).plus(dense(a).times(2));
      LowRank sum = LowRank.sum(List.of(a, b.scaled(-0.5), a.scaled(2)));
      assertEquals(2 * a.width() + b.width(), sum.width());
      expected.assertNear(dense(sum), 1e-14, "sum");
      dense(a).plus(dense(b)).assertNear(dense(a.plus(b)), 1e-14, "plus");
      assertBest(expected, sum.truncated(4), 4, sample.tolerance(sum));
    }
  }

  @Property(tries = 100)
  void singularValuesAreThoseOfTheDenseMatrix(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open()) {
      LowRank matrix = sample.matrix();
      double[] expected = SingularValues.of(dense(matrix)).values();
      double[] actual = matrix.singularValues();
      assertEquals(Math.min(Math.min(sample.out(), sample.in()), sample.width()), actual.length);
      double tolerance = 1e-13 * Dense.of(matrix.u()).frobenius() * Dense.of(matrix.v()).frobenius();
      for (int j = 0; j < expected.length; j++) {
        assertEquals(expected[j], j < actual.length ? actual[j] : 0, tolerance);
      }
    }
  }

  @Property(tries = 100)
  void relativeErrorIsWhatTruncationLosesAndFallsWithTheRank(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open()) {
      LowRank matrix = sample.matrix();
      ThinSvd svd = matrix.svd();
      double norm = dense(matrix).frobenius();
      double last = 1;
      for (long rank = 1; rank <= sample.width() + 1; rank++) {
        double error = svd.relativeError(rank);
        assertEquals(error, matrix.relativeError(rank));
        assertTrue(error >= 0 && error <= last, error + " after " + last);
        double lost = dense(matrix).minus(dense(svd.truncated(rank, sample.type()))).frobenius();
        assertEquals(lost, error * norm, sample.tolerance(matrix));
        last = error;
      }
      assertEquals(0, last);
    }
  }

  @Property(tries = 100)
  void multiplesAndTransposesHaveTheirSingularValues(@ForAll("samples") Sample sample,
      @ForAll @IntRange(min = 1, max = 6) int rank, @ForAll @IntRange(min = -60, max = 60) int exponent) {
    try (Scope _ = Scope.open()) {
      LowRank matrix = sample.matrix();
      double factor = -Math.scalb(1.0, exponent);
      double[] values = matrix.singularValues();
      double tolerance = 1e-12 * values[0];
      double[] scaled = matrix.scaled(factor).singularValues();
      double[] transposed = matrix.transposed().singularValues();
      assertEquals(values.length, scaled.length);
      for (int j = 0; j < values.length; j++) {
        assertEquals(values[j], scaled[j] / -factor, tolerance);
        assertEquals(values[j], transposed[j], tolerance);
      }
      assertEquals(matrix.relativeError(rank), matrix.scaled(factor).relativeError(rank), 1e-9);
      assertBest(dense(matrix).t(), matrix.transposed().truncated(rank), rank, sample.tolerance(matrix));
      assertBest(dense(matrix).times(factor), matrix.scaled(factor).truncated(rank), rank,
          sample.tolerance(matrix) * -factor);
    }
  }

  @Property(tries = 100)
  void basesAreOrthonormalAndTheValuesAreSplitEvenly(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open()) {
      LowRank matrix = sample.matrix();
      ThinSvd svd = matrix.svd();
      for (Tensor basis : List.of(svd.left(), svd.right())) {
        Dense q = Dense.of(basis);
        Dense.identity(q.width()).assertNear(q.t().times(q), 1e-13, "orthonormal columns");
      }
      LowRank truncated = svd.truncated(5, DType.F64);
      double[] values = svd.values().toDoubles();
      Dense u = Dense.of(truncated.u());
      Dense v = Dense.of(truncated.v());
      for (int j = 0; j < u.width(); j++) {
        assertEquals(values[j], u.t().times(u).rows()[j][j], 1e-12 * values[0]);
        assertEquals(values[j], v.times(v.t()).rows()[j][j], 1e-12 * values[0]);
      }
    }
  }

  @Test
  void zeroStaysZero() {
    try (Scope _ = Scope.open()) {
      LowRank half = new LowRank(Tensor.zeros(DType.F32, 7, 4), Dense.normal(0, 4, 5).tensor(DType.F32));
      for (LowRank zero : List.of(half, new LowRank(Tensor.zeros(DType.F32, 7, 4), Tensor.zeros(DType.F32, 4, 5)))) {
        assertArrayEquals(new double[4], zero.singularValues());
        assertEquals(0, zero.relativeError(1));
        LowRank truncated = zero.truncated(2);
        assertEquals(2, truncated.width());
        assertEquals(0, dense(truncated).largest());
      }
    }
  }

  /** {@code diag(3, 2)} written with a column too many, what rank 1 keeps of it, and the same far from 1, where squares overflow. */
  @Test
  void anExampleByHand() {
    try (Scope _ = Scope.open()) {
      LowRank matrix = new LowRank(Tensor.of(new double[] {1, 0, 2, 0, 2, 0}, 2, 3), Tensor.of(new double[] {1, 0, 0, 1, 1, 0}, 3, 2));
      assertArrayEquals(new double[] {3, 2}, matrix.singularValues(), 1e-14);
      for (double factor : new double[] {1, 1e-200, 1e200}) {
        assertEquals(2 / Math.sqrt(13), matrix.scaled(factor).relativeError(1), 1e-14);
      }
      new Dense(new double[][] {{3, 0}, {0, 0}}).assertNear(dense(matrix.truncated(1)), 1e-14, "rank 1");
    }
  }

  @Test
  void nothingLargerThanTheFactorsIsFormed() {
    long[] largest = new long[1];
    Dispatch.Listener listener = (op, inputs, outputs) -> {
      for (Tensor output : outputs) {
        largest[0] = Math.max(largest[0], output.elementCount());
      }
    };
    try (Scope _ = Scope.open()) {
      LowRank matrix = new LowRank(Dense.normal(1, 900, 6).tensor(DType.F32), Dense.normal(2, 6, 800).tensor(DType.F32));
      Dispatch.listen(listener);
      try {
        assertNotSame(matrix, matrix.plus(matrix).truncated(6));
      } finally {
        Dispatch.unlisten(listener);
      }
      assertEquals(900 * 12, largest[0]);
    }
  }

  @Test
  void nothingIsKeptButTheResult() {
    try (Scope _ = Scope.open()) {
      LowRank matrix = new Sample(30, 20, 8, 8, DType.F64, 6).matrix();
      long before = MemoryPool.cpu().liveBytes();
      LowRank truncated = matrix.truncated(3);
      double[] values = matrix.singularValues();
      assertTrue(matrix.relativeError(values.length - 1) > 0 && MemoryPool.cpu().liveBytes() > before);
      truncated.u().close();
      truncated.v().close();
      assertEquals(before, MemoryPool.cpu().liveBytes());
    }
  }

  @Test
  void whatIsNotFiniteIsRefusedByName() {
    try (Scope _ = Scope.open()) {
      Tensor nan = Tensor.of(new float[] {1, 2, Float.NaN, 4}, 2, 2).named("block.lora_B");
      Tensor good = Tensor.of(new float[] {1, 2, 3, 4}, 2, 2);
      Tensor infinite = Tensor.of(new float[] {1, Float.POSITIVE_INFINITY, 3, 4}, 2, 2);
      String message = assertThrows(NumericException.class, () -> new LowRank(nan, good).truncated(1)).getMessage();
      assertEquals("low rank: factor u, tensor 'block.lora_B' F32[2, 2], has a value that is not finite", message);
      assertThrows(NumericException.class, () -> new LowRank(nan, good).truncated(2));
      message = assertThrows(NumericException.class, () -> new LowRank(good, infinite).singularValues()).getMessage();
      assertEquals("low rank: factor v, tensor F32[2, 2], has a value that is not finite", message);
    }
  }

  @Test
  void whatDoesNotFitIsRefused() {
    try (Scope _ = Scope.open()) {
      Tensor u = Tensor.zeros(DType.F32, 4, 2);
      Tensor v = Tensor.zeros(DType.F32, 2, 3);
      LowRank matrix = new LowRank(u, v);
      assertThrows(ShapeException.class, () -> new LowRank(u, u));
      assertThrows(ShapeException.class, () -> new LowRank(u, Tensor.zeros(DType.F32, 2)));
      assertThrows(ShapeException.class, () -> new LowRank(Tensor.zeros(DType.F32, 4, 0), Tensor.zeros(DType.F32, 0, 3)));
      assertThrows(DTypeException.class, () -> new LowRank(u.cast(DType.F16), v.cast(DType.F16)));
      assertThrows(DTypeException.class, () -> new LowRank(u, v.cast(DType.F64)));
      assertThrows(ShapeException.class, () -> matrix.truncated(0));
      assertThrows(ShapeException.class, () -> matrix.relativeError(0));
      assertThrows(IllegalArgumentException.class, () -> LowRank.sum(List.of()));
      assertEquals("low rank: summands must have one size, found [4, 3] and [3, 4]",
          assertThrows(ShapeException.class, () -> matrix.plus(matrix.transposed())).getMessage());
      LowRank twice = new LowRank(u.cast(DType.F64), v.cast(DType.F64));
      assertEquals("low rank: summands must have one type, found F32 and F64; cast their factors first",
          assertThrows(DTypeException.class, () -> matrix.plus(twice)).getMessage());
    }
  }
}
