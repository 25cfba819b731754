package org.deft4j.deft;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.deft.testing.Dense;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** LAPACK's column signs, and refusal where Q is undefined. */
class QrDecompositionTest {
  private static Tensor q(Tensor p) {
    return new QrDecomposition().factors(p, "block.to_q").left();
  }

  @Property(tries = 200)
  void columnsHaveTheSignsOfHouseholderReflections(@ForAll @IntRange(min = 1, max = 20) int rows,
      @ForAll @IntRange(min = 1, max = 8) int columns, @ForAll long seed) {
    try (Scope _ = Scope.open()) {
      Dense p = Dense.normal(seed, rows, Math.min(columns, rows));
      Dense expected = p.q();
      Dense actual = Dense.of(q(p.tensor(DType.F64)));
      for (int j = 0; j < p.width(); j++) {
        double dot = 0;
        for (int i = 0; i < rows; i++) {
          dot += expected.rows()[i][j] * actual.rows()[i][j];
        }
        assertTrue(dot > 0.999, "column " + j + " has " + dot + " of the expected direction");
      }
    }
  }

  /** A positive pivot gives a negative diagonal, a negative or zero pivot its opposite. */
  @Test
  void pivotsOfEverySign() {
    try (Scope _ = Scope.open()) {
      assertArrayEquals(new double[] {-0.6, -0.8}, q(Tensor.of(new double[] {3, 4}, 2, 1)).toDoubles(), 1e-15);
      assertArrayEquals(new double[] {-0.6, 0.8}, q(Tensor.of(new double[] {-3, 4}, 2, 1)).toDoubles(), 1e-15);
      assertArrayEquals(new double[] {0, -1}, q(Tensor.of(new double[] {0, 5}, 2, 1)).toDoubles(), 1e-15);
    }
  }

  @Test
  void dependentColumnsAreRefusedByName() {
    try (Scope _ = Scope.open()) {
      Tensor twice = Tensor.of(new float[] {1, 1, 2, 2, 3, 3}, 3, 2);
      NumericException error = assertThrows(NumericException.class, () -> q(twice));
      assertTrue(error.getMessage().contains("block.to_q") && error.getMessage().contains("rank"), error.getMessage());
      assertThrows(NumericException.class, () -> q(Tensor.zeros(DType.F32, 4, 2)));
      assertThrows(NumericException.class, () -> q(Tensor.of(new float[] {Float.NaN, 1, 2, 3}, 2, 2)));
    }
  }

  /** A multiple of another column is found out for any number of rows, though rounding leaves something of it. */
  @Property(tries = 300)
  void aMultipleOfAColumnIsRefused(@ForAll @IntRange(min = 2, max = 24) int rows, @ForAll @IntRange(min = 2, max = 6) int columns,
      @ForAll @DoubleRange(min = 0.01, max = 1000) double factor, @ForAll long seed) {
    try (Scope _ = Scope.open()) {
      Dense p = Dense.normal(seed, rows, Math.min(rows, columns) - 1);
      Tensor dependent = p.beside(p.columns(0, 1).times(factor)).tensor(DType.F64);
      assertThrows(NumericException.class, () -> q(dependent));
    }
  }
}
