package org.deft4j.deft;

import java.util.Arrays;
import java.util.List;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.deft.testing.AdapterArbitraries;
import org.deft4j.deft.testing.Conditioning;
import org.deft4j.deft.testing.Dense;
import org.deft4j.deft.testing.DenseFactors;
import org.deft4j.deft.testing.JacobiSvd;
import org.deft4j.deft.testing.LayerSample;
import org.deft4j.nn.AdamW;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Where two variants are one, where they are not, and what each does with dependent columns. */
class EquivalencesTest {
  @Provide
  Arbitrary<Dense> matrices() {
    return AdapterArbitraries.tallMatrices(Conditioning.WELL);
  }

  @Provide
  Arbitrary<Dense> badMatrices() {
    return AdapterArbitraries.tallMatrices(Conditioning.BAD);
  }

  @Provide
  Arbitrary<Dense> deficientMatrices() {
    return AdapterArbitraries.tallMatrices(Conditioning.DEFICIENT);
  }

  private static Dense removal(String method, Dense p) {
    return DenseFactors.of(factors(method, p)).removal();
  }

  private static Factors factors(String method, Dense p) {
    return Decomposition.named(method).factors(p.tensor(DType.F64), "block.to_q");
  }

  /** {@code U diag(s) U^T = (U diag(sqrt s)) (U diag(sqrt s))^T}; its square is {@code P P^T}. */
  @Property(tries = 100)
  void tsvdRemovesWhatLrmfRemoves(@ForAll("badMatrices") Dense p) {
    try (Scope _ = Scope.open()) {
      Dense tsvd = removal("tsvd", p);
      tsvd.assertNear(removal("lrmf", p), 1e-12, "tsvd and lrmf");
      p.times(p.t()).assertNear(tsvd.times(tsvd), 1e-12, "M M = P P^T");
    }
  }

  @Property(tries = 100)
  void eigenIsRelaxedPlusAMillionthOfTheProjector(@ForAll("badMatrices") Dense p) {
    try (Scope _ = Scope.open()) {
      Dense expected = removal("relaxed", p).plus(removal("svd", p).times(1e-6));
      expected.assertNear(removal("eigen", p), 1e-12, "P P^T + 1e-6 U U^T");
    }
  }

  /** A projector is its span's: that of P, whichever way it is found. The bases differ by a rotation, so R means something else. */
  @Property(tries = 100)
  void svdAndQrAreOneProjector(@ForAll("matrices") Dense p) {
    try (Scope _ = Scope.open()) {
      removal("qr", p).assertNear(removal("svd", p), 1e-12, "Q Q^T = U U^T");
      Dense q = Dense.of(factors("qr", p).injection());
      Dense u = Dense.of(factors("svd", p).injection());
      Dense rotation = q.t().times(u);
      Dense.identity(p.width()).assertNear(rotation.t().times(rotation), 1e-12, "Q^T U is orthogonal");
      u.assertNear(q.times(rotation), 1e-12, "U = Q (Q^T U)");
    }
  }

  /** Where the columns of P are orthonormal, relaxed, svd, tsvd and lrmf are qr. */
  @Property(tries = 60)
  void forOrthonormalColumnsAllAreTheProjector(@ForAll("matrices") Dense p) {
    Dense q = p.q();
    try (Scope _ = Scope.open()) {
      for (String method : new String[] {"relaxed", "qr-frozen", "svd", "tsvd", "lrmf"}) {
        removal("qr", q).assertNear(removal(method, q), 1e-12, method);
      }
    }
  }

  /**
   * The spectral norm of M: {@code s1^2} of P where it is relaxed, s1 by tsvd and lrmf, {@code s1^2 + 1e-6} by eigen, 1 for a
   * projector, at most the product of the norms otherwise.
   */
  @Property(tries = 60)
  void theNormOfTheRemoval(@ForAll("matrices") Dense p) {
    double s1 = p.norm();
    try (Scope _ = Scope.open()) {
      assertEquals(s1 * s1, removal("relaxed", p).norm(), 1e-12);
      assertEquals(s1 * s1 + 1e-6, removal("eigen", p).norm(), 1e-12);
      assertEquals(s1, removal("tsvd", p).norm(), 1e-12);
      assertEquals(s1, removal("lrmf", p).norm(), 1e-12);
      assertEquals(1, removal("qr", p).norm(), 1e-12);
      assertEquals(1, removal("svd", p).norm(), 1e-12);
      double rectified = p.relu().norm();
      assertEquals(rectified * rectified, removal("relu-relu", p).norm(), 1e-12);
      assertTrue(removal("relu", p).norm() <= s1 * rectified + 1e-12);
    }
  }

  // ---------------------------------------------------------------------------------------------------- rank deficiency

  /** The column that depends on the first adds no direction: M has the rank of P. */
  @Property(tries = 60)
  void relaxedTsvdAndLrmfIgnoreADependentColumn(@ForAll("deficientMatrices") Dense p) {
    try (Scope _ = Scope.open()) {
      assertEquals(p.width() - 1, p.rank());
      for (String method : new String[] {"relaxed", "tsvd", "lrmf"}) {
        assertTrue(removal(method, p).minus(projectionOf(p).times(removal(method, p))).largest() < 1e-7, method + " leaves the span of P");
      }
      removal("relaxed", p).assertNear(removal("tsvd", p).times(removal("tsvd", p)), 1e-12, "M M = P P^T");
    }
  }

  /** Q Q^T of the columns before the last, which is a multiple of the first. */
  private static Dense projectionOf(Dense p) {
    if (p.width() == 1) {
      return Dense.zeros(p.height(), p.height());
    }
    Dense q = p.columns(0, p.width() - 1).q();
    return q.times(q.t());
  }

  /** svd still removes r directions, one of which P says nothing about; eigen a millionth of it. */
  @Property(tries = 60)
  void svdAndEigenMakeUpADirectionForADependentColumn(@ForAll("deficientMatrices") Dense p) {
    try (Scope _ = Scope.open()) {
      Dense u = Dense.of(factors("svd", p).left());
      Dense.identity(p.width()).assertNear(u.t().times(u), 1e-12, "U^T U = I");
      assertEquals(p.width(), removal("svd", p).rank());
      assertEquals(p.width(), removal("eigen", p).rank());
    }
  }

  /** A singular value of 0 has no vector that P determines, so that the gradient is refused, not made up. */
  @Property(tries = 40)
  void theGradientOfSingularVectorsIsRefusedForADependentColumn(@ForAll("deficientMatrices") Dense matrix) {
    Dense p = matrix.t().beside(Dense.zeros(matrix.width(), 1)).t();
    for (String method : new String[] {"svd", "tsvd", "lrmf", "eigen"}) {
      try (Scope _ = Scope.open()) {
        Tensor tensor = p.tensor(DType.F64);
        try (Tape tape = Tape.watch(tensor)) {
          Factors factors = Decomposition.named(method).factors(tensor, "block.to_q");
          Tensor loss = factors.left().mul(Dense.normal(1, p.height(), p.width()).tensor(DType.F64)).sum();
          assertThrows(NumericException.class, () -> tape.gradients(loss), method);
        }
      }
    }
  }

  // ---------------------------------------------------------------------------------------------------------- frozen qr

  /** Training moves R alone: P, which is Q, has no gradient, keeps its bits, and stays orthonormal. */
  @Property(tries = 20)
  void aFrozenBasisStaysAsItIs(@ForAll("frozenLayers") LayerSample sample) {
    AdapterConfig config = AdapterConfig.deft(sample.rank()).with(new FrozenQrDecomposition())
        .with(Targets.suffixes(List.of("layer")));
    try (Scope _ = Scope.open(); AdapterSet set = AdapterSet.create(sample.model(sample.type()), config,
        new TorchRandom(sample.seed())).attach()) {
      LayerAdapter adapter = set.adapters().get(LayerSample.PATH);
      Tensor p = adapter.tensors().get(DeftAdapter.P);
      Tensor r = adapter.tensors().get(DeftAdapter.R);
      assertFalse(set.trainable().contains(p));
      double[] before = p.toDoubles();
      double[] learned = r.toDoubles();
      try (AdamW optimizer = new AdamW(set.groups(0.1, 0.01), 0.1); Tape tape = Tape.watch(set.trainable())) {
        Gradients gradients = tape.gradients(adapter.layer().forward(sample.input()).square().sum());
        assertFalse(gradients.has(p));
        optimizer.step(gradients);
      }
      assertArrayEquals(before, p.toDoubles());
      assertFalse(Arrays.equals(learned, r.toDoubles()), "R learns");
      Dense q = Dense.of(p);
      Dense.identity(sample.rank()).assertNear(q.t().times(q), sample.tolerance(), "Q^T Q = I");
    }
  }

  @Provide
  Arbitrary<LayerSample> frozenLayers() {
    return AdapterArbitraries.layers();
  }

  /** The oracle itself: {@code U diag(s) V^T = P, U^T U = V^T V = I}, and the singular values that P was made with. */
  @Property(tries = 60)
  void theOracleDecomposes(@ForAll("badMatrices") Dense p) {
    JacobiSvd svd = JacobiSvd.of(p);
    p.assertNear(svd.u().timesColumns(svd.s()).times(svd.v().t()), 1e-14, "U S V^T");
    Dense.identity(p.width()).assertNear(svd.u().t().times(svd.u()), 1e-13, "U^T U");
    Dense.identity(p.width()).assertNear(svd.v().t().times(svd.v()), 1e-13, "V^T V");
    assertEquals(1, svd.s()[0], 1e-14);
    assertEquals(p.width() == 1 ? 1 : 1e-4, svd.s()[p.width() - 1], 1e-14);
  }
}
