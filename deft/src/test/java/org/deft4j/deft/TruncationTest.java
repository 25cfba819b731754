package org.deft4j.deft;

import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.deft.testing.AdapterArbitraries;
import org.deft4j.deft.testing.Conditioning;
import org.deft4j.deft.testing.Dense;
import org.deft4j.deft.testing.JacobiSvd;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Fewer singular vectors: how many are kept, and that M has just those. */
class TruncationTest {
  private static final List<String> WITH_SINGULAR_VALUES = List.of("svd", "svd+p", "tsvd", "lrmf", "eigen");

  @Provide
  Arbitrary<String> methods() {
    return Arbitraries.of(WITH_SINGULAR_VALUES);
  }

  @Provide
  Arbitrary<Dense> matrices() {
    return AdapterArbitraries.tallMatrices(Conditioning.WELL);
  }

  /** M is {@code sum of f(s_j) u_j u_j^T} over the kept j, so it has their number for its rank; R is injected through all r columns. */
  @Property(tries = 150)
  void theRemovalHasTheLeadingVectorsAlone(@ForAll("methods") String method, @ForAll("matrices") Dense p,
      @ForAll @IntRange(min = 1, max = 13) int columns) {
    Decomposition truncated = Decomposition.named(method).truncated(Truncation.columns(columns));
    int kept = Math.min(columns, p.width());
    try (Scope _ = Scope.open()) {
      Factors factors = truncated.factors(p.tensor(DType.F64), "layer");
      Dense removal = Dense.of(factors.left()).times(Dense.of(factors.right()).t());
      assertEquals(kept, removal.rank());
      assertEquals(p.width(), factors.injection().size(1));
      JacobiSvd svd = JacobiSvd.of(p);
      Dense u = svd.u().columns(0, kept);
      double[] eigenvalues = new double[kept];
      for (int j = 0; j < kept; j++) {
        double s = svd.s()[j];
        eigenvalues[j] = switch (method) {
          case "tsvd", "lrmf" -> s;
          case "eigen" -> s * s + 1e-6;
          default -> 1;
        };
      }
      u.timesColumns(eigenvalues).times(u.t()).assertNear(removal, 1e-12 * svd.amplification(), method + " of " + kept);
    }
  }

  /**
   * What is kept carries the share of the sum of squares that was asked for, and one vector less would not; of {@code eigen} it is the sum of
   * the eigenvalues of {@code P P^T + 1e-6 1}, as in the authors' code, of which those beyond r are kept by nobody.
   */
  @Property(tries = 100)
  void asManyAreKeptAsCarryTheVariance(@ForAll("methods") String method, @ForAll("matrices") Dense p,
      @ForAll @DoubleRange(min = 0.01, max = 0.99) double variance, @ForAll @IntRange(max = 3) int smaller) {
    Dense scaled = p.times(Math.pow(0.1, smaller));
    try (Scope _ = Scope.open()) {
      Factors factors = Decomposition.named(method).truncated(Truncation.variance(variance)).factors(scaled.tensor(DType.F64), "layer");
      int kept = (int) factors.left().size(1);
      double[] s = scaled.singularValues();
      double jitter = method.equals("eigen") ? 1e-6 : 0;
      double beyond = jitter * (p.height() - p.width());
      assertTrue(kept == s.length || share(s, jitter, beyond, kept) >= variance - 1e-12, kept + " of " + variance);
      assertTrue(kept == 1 || share(s, jitter, beyond, kept - 1) < variance + 1e-12, kept - 1 + " would do");
      assertEquals(kept, Dense.of(factors.right()).rank());
    }
  }

  private static double share(double[] s, double jitter, double beyond, int count) {
    double sum = 0;
    double total = beyond;
    for (int j = 0; j < s.length; j++) {
      total += s[j] * s[j] + jitter;
      sum += j < count ? s[j] * s[j] + jitter : 0;
    }
    return sum / total;
  }

  @Example
  void theOthersHaveNoSingularValuesToLeaveOut() {
    for (Decomposition decomposition : Decomposition.known()) {
      String method = decomposition.method();
      if (WITH_SINGULAR_VALUES.contains(method)) {
        assertEquals(method, decomposition.truncated(Truncation.columns(1)).method());
      } else {
        InputException error = assertThrows(InputException.class, () -> decomposition.truncated(Truncation.columns(1)));
        assertTrue(error.getMessage().contains(method.replace("+p", "")), error.getMessage());
      }
    }
    assertThrows(InputException.class, () -> Truncation.columns(0));
    assertThrows(InputException.class, () -> Truncation.variance(0));
    assertThrows(InputException.class, () -> Truncation.variance(1.5));
  }
}
