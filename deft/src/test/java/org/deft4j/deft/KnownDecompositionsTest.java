package org.deft4j.deft;

import java.lang.reflect.Constructor;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import net.jqwik.api.Example;
import net.jqwik.api.Group;
import org.deft4j.deft.testing.Claim;
import org.deft4j.deft.testing.DecompositionProperties;
import org.deft4j.deft.testing.Dense;
import org.deft4j.deft.testing.DenseFactors;
import org.deft4j.deft.testing.JacobiSvd;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Every decomposition of the project, by what the table of variants writes for L, S and E and by what it claims. */
@SuppressWarnings("ClassCanBeStatic") // jqwik's groups are inner classes
class KnownDecompositionsTest {
  /** A decomposition, its row of the table, its claims. */
  abstract static class Known extends DecompositionProperties {
    private final String method;
    private final Set<Claim> claims = EnumSet.noneOf(Claim.class);

    Known(String method, Claim... claims) {
      this.method = method;
      this.claims.addAll(Set.of(claims));
    }

    @Override
    protected final Decomposition decomposition() {
      return Decomposition.named(method);
    }

    @Override
    protected final Set<Claim> claims() {
      return claims;
    }

    @Override
    protected abstract DenseFactors expected(Dense p);
  }

  /** Householder's Q: an error of P grows with how nearly dependent its columns are. */
  abstract static class ByQr extends Known {
    ByQr(String method, Claim... claims) {
      super(method, claims);
    }

    @Override
    protected double amplification(Dense p) {
      double[] s = p.singularValues();
      return s[0] / s[s.length - 1];
    }
  }

  /** Singular vectors: an error of P grows with how close two singular values are. */
  abstract static class BySvd extends Known {
    BySvd(String method, Claim... claims) {
      super(method, claims);
    }

    @Override
    protected double amplification(Dense p) {
      return JacobiSvd.of(p).amplification();
    }
  }

  @Group
  class Relaxed extends Known {
    Relaxed() {
      super("relaxed", Claim.SYMMETRIC, Claim.ONE_SPAN, Claim.STARTS_AS_IDENTITY);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      return DenseFactors.of(p, p, p);
    }
  }

  @Group
  class Relu extends Known {
    Relu() {
      super("relu", Claim.ONE_SPAN, Claim.STARTS_AS_IDENTITY);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      return DenseFactors.of(p, p.relu(), p);
    }
  }

  @Group
  class Rectified extends Known {
    Rectified() {
      super("relu-relu", Claim.SYMMETRIC);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      return DenseFactors.of(p.relu(), p.relu(), p);
    }
  }

  @Group
  class Qr extends ByQr {
    Qr() {
      super("qr", Claim.SYMMETRIC, Claim.PROJECTOR, Claim.ORTHONORMAL, Claim.SHOWS_R, Claim.SPAN_INVARIANT, Claim.ONE_SPAN,
          Claim.STARTS_AS_IDENTITY,
          Claim.REFUSES_DEPENDENT_COLUMNS);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      return DenseFactors.of(p.q(), p.q(), p.q());
    }
  }

  @Group
  class FrozenQr extends Known {
    FrozenQr() {
      super("qr-frozen", Claim.SYMMETRIC, Claim.PROJECTOR, Claim.ORTHONORMAL, Claim.SHOWS_R, Claim.SPAN_INVARIANT, Claim.ONE_SPAN,
          Claim.STARTS_AS_IDENTITY);
    }

    @Override
    protected Dense admissible(Dense p) {
      return p.q();
    }

    @Override
    protected double amplification(Dense p) {
      // Q of a badly conditioned P A, against Q of P.
      return 1e4;
    }

    @Override
    protected DenseFactors expected(Dense p) {
      return DenseFactors.of(p, p, p);
    }
  }

  @Group
  class QrPlusP extends ByQr {
    QrPlusP() {
      super("qr+p", Claim.SYMMETRIC, Claim.PROJECTOR, Claim.ORTHONORMAL, Claim.SPAN_INVARIANT, Claim.ONE_SPAN, Claim.STARTS_AS_IDENTITY,
          Claim.REFUSES_DEPENDENT_COLUMNS);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      return DenseFactors.of(p.q(), p.q(), p);
    }
  }

  @Group
  class Svd extends BySvd {
    Svd() {
      super("svd", Claim.SYMMETRIC, Claim.PROJECTOR, Claim.ORTHONORMAL, Claim.SHOWS_R, Claim.SPAN_INVARIANT, Claim.ONE_SPAN,
          Claim.STARTS_AS_IDENTITY);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      Dense u = JacobiSvd.of(p).signedU();
      return DenseFactors.of(u, u, u);
    }
  }

  @Group
  class SvdPlusP extends BySvd {
    SvdPlusP() {
      super("svd+p", Claim.SYMMETRIC, Claim.PROJECTOR, Claim.ORTHONORMAL, Claim.SPAN_INVARIANT, Claim.ONE_SPAN, Claim.STARTS_AS_IDENTITY);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      Dense u = JacobiSvd.of(p).u();
      return DenseFactors.of(u, u, p);
    }
  }

  @Group
  class Tsvd extends BySvd {
    Tsvd() {
      super("tsvd", Claim.SYMMETRIC, Claim.ONE_SPAN, Claim.STARTS_AS_IDENTITY);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      JacobiSvd svd = JacobiSvd.of(p);
      Dense u = svd.signedU();
      return DenseFactors.of(u.timesColumns(svd.s()), u, u);
    }
  }

  @Group
  class Lrmf extends BySvd {
    Lrmf() {
      super("lrmf", Claim.SYMMETRIC, Claim.ONE_SPAN, Claim.STARTS_AS_IDENTITY);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      JacobiSvd svd = JacobiSvd.of(p);
      Dense l = svd.signedU().timesColumns(new Dense(new double[][] {svd.s()}).map(Math::sqrt).rows()[0]);
      return DenseFactors.of(l, l, l);
    }
  }

  @Group
  class Eigen extends BySvd {
    Eigen() {
      super("eigen", Claim.SYMMETRIC, Claim.ONE_SPAN, Claim.STARTS_AS_IDENTITY);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      Dense u = JacobiSvd.of(p).signedU();
      return new DenseFactors(p.times(p.t()).plus(u.times(u.t()).times(1e-6)), u);
    }
  }

  @Group
  class Nmf extends Known {
    Nmf() {
      super("nmf");
    }

    @Override
    protected DenseFactors expected(Dense p) {
      Dense w = p.columns(0, p.width() / 2).relu();
      Dense h = p.columns(p.width() / 2, p.width()).relu().t();
      return new DenseFactors(w.times(h).t(), w);
    }
  }

  @Group
  class NmfOfThePaper extends Known {
    NmfOfThePaper() {
      super("nmf-paper", Claim.ONE_SPAN, Claim.STARTS_AS_IDENTITY);
    }

    @Override
    protected DenseFactors expected(Dense p) {
      Dense w = p.columns(0, p.width() / 2).relu();
      return new DenseFactors(w.times(p.columns(p.width() / 2, p.width()).relu().t()), w);
    }
  }

  /** How far the released form is from a projection at a real size: by how little of what it takes away it would take away again. */
  @Example
  void theReluFormIsNoProjector() {
    Dense p = Dense.normal(1, 640, 8).times(0.02);
    Dense m = p.times(p.relu().t());
    assertEquals(0.87, m.times(m).minus(m).frobenius() / m.frobenius(), 0.02);
    assertEquals(0.98, m.minus(m.t()).frobenius() / m.frobenius(), 0.05);
  }

  /** What is removed beyond the span of E nothing can put back. */
  @Example
  void whatRemovesBeyondItsInjectionIsRefusedTheIdentity() {
    for (String method : List.of("relu-relu", "nmf")) {
      try (Scope _ = Scope.open()) {
        TorchRandom random = new TorchRandom(0);
        Decomposition decomposition = Decomposition.named(method);
        Tensor p = decomposition.start(random, DType.F32, 12, 3);
        Projection projection = new Projection(p, decomposition);
        InputException error = assertThrows(InputException.class,
            () -> DeftAdapter.identityInput(projection, random.normal(DType.F32, 12, 8), 1, "layer"));
        assertTrue(error.getMessage().contains(method + " cannot start as the identity"), error.getMessage());
      }
    }
  }

  /** A new one belongs above. */
  @Example
  void everyKnownDecompositionIsHeldToItsClaims() throws ReflectiveOperationException {
    Set<String> held = new TreeSet<>();
    for (Class<?> group : KnownDecompositionsTest.class.getDeclaredClasses()) {
      if (group.isAnnotationPresent(Group.class)) {
        Constructor<?> constructor = group.getDeclaredConstructor(KnownDecompositionsTest.class);
        held.add(((Known) constructor.newInstance(this)).decomposition().method());
      }
    }
    assertEquals(new TreeSet<>(Decomposition.known().stream().map(Decomposition::method).toList()), held);
  }
}
