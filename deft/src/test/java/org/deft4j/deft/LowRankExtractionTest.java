package org.deft4j.deft;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.deft.testing.Dense;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.DTypeException;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Rehearsal;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.View;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What is extracted from a dense matrix, against the best that there is by Eckart and Young. */
class LowRankExtractionTest {
  /** How much more than the best approximation may leave over. */
  private static final double FACTOR = 1.01;

  /** A matrix large enough to be iterated on: both sides exceed 64 and twice the rank with the directions beyond it. */
  record Sample(int out, int in, int rank, DType type, long seed) {
    /** {@code sum_j j^-decay g_j h_j^T}, g and h orthonormal. */
    Tensor decaying(double decay) {
      int count = Math.min(out, in);
      Dense g = Dense.normal(seed, out, count).q();
      Dense h = Dense.normal(seed + 1, in, count).q();
      for (double[] row : g.rows()) {
        for (int j = 0; j < count; j++) {
          row[j] *= Math.pow(j + 1, -decay);
        }
      }
      return g.times(h.t()).tensor(type);
    }

    /** A product of factors of width {@code rank}. */
    Tensor ofItsRank() {
      return Dense.normal(seed, out, rank).times(Dense.normal(seed + 1, rank, in)).tensor(type);
    }

    LowRank extract(Tensor matrix) {
      return LowRankExtraction.of(matrix, rank, new TorchRandom(seed));
    }

    double rounding() {
      return type == DType.F64 ? 1e-13 : 1e-6;
    }
  }

  private static Arbitrary<Sample> samples(int low, int high, int rank, DType... types) {
    return Combinators.combine(Arbitraries.integers().between(low, high), Arbitraries.integers().between(low, high),
        Arbitraries.integers().between(1, rank), Arbitraries.of(types), Arbitraries.longs()).as(Sample::new);
  }

  @Provide
  Arbitrary<Sample> large() {
    return samples(70, 130, 18, DType.F64, DType.F32, DType.F16, DType.BF16);
  }

  @Provide
  Arbitrary<Sample> exact() {
    return samples(70, 130, 18, DType.F64, DType.F32);
  }

  @Provide
  Arbitrary<Sample> small() {
    return samples(1, 64, 80, DType.F64, DType.F32, DType.F16, DType.BF16);
  }

  private static Dense dense(LowRank matrix) {
    return Dense.of(matrix.u()).times(Dense.of(matrix.v()));
  }

  private static double left(Tensor matrix, LowRank approximation) {
    return Dense.of(matrix).minus(dense(approximation)).frobenius();
  }

  @Property(tries = 60)
  void asGoodAsTheBest(@ForAll("large") Sample sample, @ForAll @DoubleRange(min = 0, max = 3) double decay) {
    try (Scope _ = Scope.open()) {
      Tensor matrix = sample.decaying(decay);
      LowRank extracted = sample.extract(matrix);
      assertEquals(sample.type() == DType.F64 ? DType.F64 : DType.F32, extracted.u().dtype());
      assertEquals(sample.rank(), extracted.width());
      SingularValues best = SingularValues.of(Dense.of(matrix));
      double error = left(matrix, extracted);
      assertTrue(error <= FACTOR * best.error(sample.rank()) + sample.rounding() * best.error(0),
          () -> error + " left over, " + best.error(sample.rank()) + " by the best approximation");
    }
  }

  @Property(tries = 40)
  void aMatrixOfTheRankIsRecovered(@ForAll("exact") Sample sample) {
    try (Scope _ = Scope.open()) {
      Tensor matrix = sample.ofItsRank();
      assertEquals(0, left(matrix, sample.extract(matrix)), sample.rounding() * Dense.of(matrix).frobenius());
    }
  }

  @Property(tries = 100)
  void aSmallMatrixIsDecomposedItself(@ForAll("small") Sample sample) {
    try (Scope _ = Scope.open()) {
      Tensor matrix = Dense.normal(sample.seed(), sample.out(), sample.in()).tensor(sample.type());
      TorchRandom random = new TorchRandom(sample.seed());
      LowRank extracted = LowRankExtraction.of(matrix, sample.rank(), random);
      assertArrayEquals(new TorchRandom(sample.seed()).state(), random.state());
      assertTrue(extracted.width() <= sample.rank());
      SingularValues best = SingularValues.of(Dense.of(matrix));
      assertEquals(best.error(sample.rank()), left(matrix, extracted), sample.rounding() * best.error(0));
    }
  }

  @Property(tries = 20)
  void aSeedGivesItsBitsAndTheTransposeTheTransposed(@ForAll("large") Sample sample) {
    try (Scope _ = Scope.open()) {
      // Never square: of a square matrix neither side is the smaller.
      Tensor matrix = new Sample(sample.out(), sample.out() + 1 + sample.in() % 50, sample.rank(), sample.type(), sample.seed())
          .decaying(0.5);
      LowRank first = sample.extract(matrix);
      assertArrayEquals(first.u().toDoubles(), sample.extract(matrix).u().toDoubles());
      assertArrayEquals(first.v().toDoubles(), sample.extract(matrix).v().toDoubles());
      LowRank turned = sample.extract(matrix.t());
      assertArrayEquals(first.u().t().toDoubles(), turned.v().toDoubles());
      assertArrayEquals(first.v().t().toDoubles(), turned.u().toDoubles());
    }
  }

  @Property(tries = 20)
  void theErrorFallsWithTheRank(@ForAll("large") Sample sample, @ForAll @IntRange(min = 1, max = 6) int step) {
    try (Scope _ = Scope.open()) {
      Tensor matrix = sample.decaying(1);
      double last = Dense.of(matrix).frobenius();
      for (int rank = 1; rank <= sample.rank(); rank += step) {
        double error = left(matrix, LowRankExtraction.of(matrix, rank, new TorchRandom(sample.seed())));
        assertTrue(error < last, error + " at rank " + rank + " after " + last);
        last = error;
      }
    }
  }

  /** Also where its squares leave the range of float32. */
  @Property(tries = 20)
  void aMultipleGivesTheMultiple(@ForAll("exact") Sample sample, @ForAll @IntRange(min = -80, max = 80) int exponent) {
    try (Scope _ = Scope.open()) {
      Tensor matrix = sample.decaying(1);
      double factor = -Math.scalb(1.0, exponent);
      Dense expected = dense(sample.extract(matrix)).times(factor);
      Dense actual = dense(sample.extract(matrix.mul(factor)));
      assertEquals(0, expected.minus(actual).frobenius(), sample.rounding() * expected.frobenius());
    }
  }

  @Test
  void zeroStaysZero() {
    try (Scope _ = Scope.open()) {
      for (long side : new long[] {10, 200}) {
        LowRank zero = LowRankExtraction.of(Tensor.zeros(DType.F32, side, side + 5), 4, new TorchRandom(0));
        assertEquals(4, zero.width());
        assertEquals(0, dense(zero).largest());
      }
    }
  }

  /** Values that fall from 1 to 10^-6, where beside the largest float32 has one digit left. */
  @Test
  void directionsFarBelowTheLargestAreNotLost() {
    try (Scope _ = Scope.open()) {
      Sample sample = new Sample(90, 100, 10, DType.F32, 5);
      Tensor matrix = sample.decaying(6);
      double[] best = SingularValues.of(Dense.of(matrix)).values();
      double[] found = sample.extract(matrix).singularValues();
      for (int j = 0; j < found.length; j++) {
        assertEquals(best[j], found[j], 1e-7);
      }
    }
  }

  @Test
  void onlyThinMatricesAreMadeBesideTheMatrix() {
    Set<Shape> shapes = new HashSet<>();
    Dispatch.Listener listener = (op, inputs, outputs) -> {
      if (!(op instanceof View)) {
        List.of(outputs).forEach(output -> shapes.add(output.shape()));
      }
    };
    try (Scope _ = Scope.open()) {
      Tensor matrix = Dense.normal(3, 200, 100).tensor(DType.BF16);
      Dispatch.listen(listener);
      LowRank extracted;
      try {
        extracted = LowRankExtraction.of(matrix, 2, new TorchRandom(0));
      } finally {
        Dispatch.unlisten(listener);
      }
      assertEquals(Shape.of(200, 2), extracted.u().shape());
      assertFalse(shapes.isEmpty());
      shapes.forEach(shape -> assertTrue(shape.elementCount() <= 200 * 18, shape.toString()));
    }
  }

  @Test
  void nothingIsKeptButTheResult() {
    try (Scope _ = Scope.open()) {
      for (long[] sizes : new long[][] {{40, 30}, {100, 120}, {120, 100}}) {
        Tensor matrix = new TorchRandom(1).normal(DType.F32, sizes);
        long before = MemoryPool.cpu().liveBytes();
        LowRank extracted = LowRankExtraction.of(matrix, 3, new TorchRandom(0));
        assertTrue(MemoryPool.cpu().liveBytes() > before);
        extracted.u().close();
        extracted.v().close();
        assertEquals(before, MemoryPool.cpu().liveBytes());
      }
    }
  }

  @Test
  void aRehearsalHasTheShapes() {
    try (Rehearsal _ = Rehearsal.open(); Scope _ = Scope.open()) {
      LowRank extracted = LowRankExtraction.of(Tensor.zeros(DType.BF16, 200, 100), 2, new TorchRandom(0));
      assertEquals(Shape.of(200, 2), extracted.u().shape());
      assertEquals(Shape.of(2, 100), extracted.plus(extracted).truncated(2).v().shape());
    }
  }

  /** A rank of any size asks for the whole matrix. */
  @Test
  void theLargestRank() {
    try (Scope _ = Scope.open()) {
      Tensor matrix = Dense.normal(4, 90, 80).tensor(DType.F64);
      LowRank all = LowRankExtraction.of(matrix, Long.MAX_VALUE, new TorchRandom(0));
      assertEquals(80, all.width());
      Dense.of(matrix).assertNear(dense(all), 1e-13, "the matrix");
    }
  }

  @Test
  void whatCannotBeExtractedIsRefused() {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(0);
      for (long side : new long[] {3, 120}) {
        float[] values = new float[Math.toIntExact(side * side)];
        values[4] = Float.NEGATIVE_INFINITY;
        Tensor infinite = Tensor.of(values, side, side).named("to_q");
        assertEquals("low-rank extraction: tensor 'to_q' F32[" + side + ", " + side + "] has a value that is not finite",
            assertThrows(NumericException.class, () -> LowRankExtraction.of(infinite, 1, random)).getMessage());
      }
      Tensor matrix = Tensor.zeros(DType.F32, 3, 3);
      assertThrows(ShapeException.class, () -> LowRankExtraction.of(matrix, 0, random));
      assertThrows(ShapeException.class, () -> LowRankExtraction.of(matrix.reshape(9), 1, random));
      assertThrows(ShapeException.class, () -> LowRankExtraction.of(Tensor.zeros(DType.F32, 0, 3), 1, random));
      assertThrows(DTypeException.class, () -> LowRankExtraction.of(matrix.cast(DType.I64), 1, random));
    }
  }
}
