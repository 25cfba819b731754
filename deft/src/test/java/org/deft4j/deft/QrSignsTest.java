package org.deft4j.deft;

import java.nio.file.Path;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Assume;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.deft.testing.Dense;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SafetensorsFile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * Which variants depend on the signs of Q's columns, which a QR is free to choose: those that inject through Q do, and an adapter that was
 * trained with LAPACK's signs is another one with those of a positive diagonal.
 */
class QrSignsTest {
  /** QR with a positive diagonal of T, as Gram and Schmidt's or Cholesky's. */
  record PositiveQr() implements Decomposition {
    @Override
    public String method() {
      return "qr-positive";
    }

    @Override
    public Factors factors(Tensor p, String layer) {
      Dense q = Dense.of(new QrDecomposition().factors(p, layer).left());
      return Factors.symmetric(q.timesColumns(signs(q, Dense.of(p))).tensor(p.dtype()));
    }
  }

  /** W [out, in], and P and R of rank r, all drawn. */
  record Sample(int out, int in, int r, long seed) {
    Dense p() {
      return Dense.normal(seed, out, r);
    }

    Dense input() {
      return Dense.normal(seed + 1, r, in);
    }

    /** {@code W' = W - L S^T W + E R}, without R where nothing is injected. */
    Dense adapted(Decomposition decomposition, boolean injects) {
      try (Scope _ = Scope.open()) {
        Factors factors = decomposition.factors(p().tensor(DType.F64), "layer");
        LowRankUpdate update = injects ? LowRankUpdate.replace(factors, input().tensor(DType.F64), 1) : LowRankUpdate.remove(factors);
        Tensor weight = Dense.normal(seed + 2, out, in).tensor(DType.F64);
        return Dense.of(weight.add(update.weightDelta(weight, 1)));
      }
    }
  }

  /** So wide that no row of R is next to nothing. */
  @Provide
  Arbitrary<Sample> samples() {
    return Combinators.combine(Arbitraries.integers().between(4, 12), Arbitraries.integers().between(4, 12),
        Arbitraries.integers().between(1, 4), Arbitraries.longs()).as(Sample::new);
  }

  /** Those of the diagonal of {@code T = Q^T P}. */
  private static double[] signs(Dense q, Dense p) {
    Dense t = q.t().times(p);
    double[] signs = new double[t.width()];
    for (int j = 0; j < signs.length; j++) {
      signs[j] = Math.signum(t.rows()[j][j]);
    }
    return signs;
  }

  /** {@code 2 q R} of the columns q that are flipped: not a matter of rounding. */
  @Property(tries = 200)
  void deftThroughQIsAnotherAdapterWithOtherSigns(@ForAll("samples") Sample sample) {
    Dense q = sample.p().q();
    Dense flipped = q.minus(q.timesColumns(signs(q, sample.p())));
    Assume.that(flipped.largest() > 0);
    Dense lapack = sample.adapted(new QrDecomposition(), true);
    Dense difference = lapack.minus(sample.adapted(new PositiveQr(), true));
    flipped.times(sample.input()).assertNear(difference, 1e-12, "2 q R");
    assertTrue(difference.frobenius() > 0.01 * lapack.frobenius(), () -> difference.frobenius() + " of " + lapack.frobenius());
  }

  @Property(tries = 200)
  void deftThroughPAndParaAreTheSameWithAnySigns(@ForAll("samples") Sample sample) {
    sample.adapted(new InjectedThroughP(new QrDecomposition()), true)
        .assertNear(sample.adapted(new InjectedThroughP(new PositiveQr()), true), 1e-12, "qr+p");
    sample.adapted(new QrDecomposition(), false).assertNear(sample.adapted(new PositiveQr(), false), 1e-12, "para");
  }

  /**
   * {@code qr-torch.safetensors}: 200 matrices of 1 to 12 rows and 1 to 5 columns, {@code <n>.P}, and {@code <n>.Q} of torch 1.13's linalg.qr, in float64:
   * 100 drawn and scaled by powers of ten, 40 with zeros at and above a pivot, 20 upper triangular, where nothing is reflected and
   * the sign stays, 20 square, whose last column is like that, 10 of signed unit vectors, 10 with columns a millionth apart.
   */
  @Example
  void theSignsAreThoseOfTorch() throws Exception {
    Path golden = Path.of(QrSignsTest.class.getResource("qr-torch.safetensors").toURI());
    int kept = 0;
    int columns = 0;
    try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(golden)) {
      assertEquals(400, file.names().size());
      for (int n = 0; n < 200; n++) {
        Tensor p = file.load(String.format("%03d.P", n));
        Dense q = Dense.of(file.load(String.format("%03d.Q", n)));
        Dense ours = Dense.of(new QrDecomposition().factors(p, "layer").left());
        // Of two columns that are nearly one, the second is what rounding leaves of it.
        q.assertNear(ours, n < 190 ? 1e-13 : 1e-9, "matrix " + n);
        for (double sign : signs(q, Dense.of(p))) {
          kept += sign > 0 ? 1 : 0;
          columns++;
        }
      }
    }
    assertTrue(kept > columns / 4 && kept < columns * 3 / 4, kept + " of " + columns + " columns with a positive diagonal");
  }
}
