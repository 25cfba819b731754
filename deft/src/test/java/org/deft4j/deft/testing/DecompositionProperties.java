package org.deft4j.deft.testing;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.autograd.GradCheck;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterExtras;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.Decomposition;
import org.deft4j.deft.DeftAdapter;
import org.deft4j.deft.Dropout;
import org.deft4j.deft.Factors;
import org.deft4j.deft.InputException;
import org.deft4j.deft.LayerAdapter;
import org.deft4j.deft.LoraParaAdapter;
import org.deft4j.deft.LowRankUpdate;
import org.deft4j.deft.Method;
import org.deft4j.deft.ParaAdapter;
import org.deft4j.deft.Start;
import org.deft4j.deft.Targets;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Linear;
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

/**
 * What must hold for a {@link Decomposition}: with each method and on every kind of layer the cheap kernel is the dense form;
 * what it {@link Claim claims} is so, and what it does not claim is not. To hold one's own to it:
 *
 * <pre>{@code
 * class MyDecompositionTest extends DecompositionProperties {
 *   protected Decomposition decomposition() { return new MyDecomposition(); }
 *   protected Set<Claim> claims() { return EnumSet.of(Claim.SYMMETRIC); }
 * }
 * }</pre>
 */
public abstract class DecompositionProperties {
  /** By how much, at least, a claim that is not made fails on one of the samples: far above rounding. */
  private static final double FLOOR = 0.01;

  /** For subclasses. */
  protected DecompositionProperties() {}

  /** The decomposition under test. */
  protected abstract Decomposition decomposition();

  /** What it claims, and no more than that. */
  protected abstract Set<Claim> claims();

  /**
   * M and E for {@code p} in plain Java; unless overridden what the decomposition itself says in float64, so that the kernel
   * alone is tested.
   */
  protected DenseFactors expected(Dense p) {
    try (Scope _ = Scope.open()) {
      return DenseFactors.of(decomposition().factors(p.tensor(DType.F64), LayerSample.PATH));
    }
  }

  /** A P that the decomposition takes, with the span of {@code p}; unless overridden {@code p} itself. */
  protected Dense admissible(Dense p) {
    return p;
  }

  /** How many times larger than in P an error is in L, S and E; unless overridden 1. */
  protected double amplification(Dense p) {
    return 1;
  }

  /** Random layers and adapters, P of full rank. */
  @Provide
  protected Arbitrary<LayerSample> layers() {
    return AdapterArbitraries.layers();
  }

  private Dense p(LayerSample sample) {
    return admissible(sample.p(decomposition())).rounded(sample.type());
  }

  private DenseFactors expectedMasked(LayerSample sample, Dense p) {
    return expected(sample.masked(p));
  }

  // ------------------------------------------------------------------------------------------- cheap form, dense form

  /** {@code W' = W - M W + s g E R}, by forward pass and by weight. */
  @Property(tries = 40)
  void deftEqualsItsDenseForm(@ForAll("layers") LayerSample sample) {
    Dense p = p(sample);
    DenseFactors f = expectedMasked(sample, p);
    Dense delta = f.injection().times(sample.r()).times(sample.injectionScale()).minus(f.removal().times(sample.weight()));
    try (Scope _ = Scope.open(); DeftAdapter adapter = sample.deft(sample.layer(), decomposition(), p)) {
      compare("deft", sample, p, delta, adapter);
    }
  }

  /** {@code W' = W - M W}. */
  @Property(tries = 30)
  void paraEqualsItsDenseForm(@ForAll("layers") LayerSample sample) {
    Dense p = p(sample);
    Dense delta = expectedMasked(sample, p).removal().times(sample.weight()).times(-1);
    try (Scope _ = Scope.open(); ParaAdapter adapter = sample.para(sample.layer(), decomposition(), p)) {
      compare("para", sample, p, delta, adapter);
    }
  }

  /** {@code W' = W - M W + s B A}. */
  @Property(tries = 30)
  void loraParaEqualsItsDenseForm(@ForAll("layers") LayerSample sample) {
    Dense p = p(sample);
    Dense delta = sample.b().times(sample.r()).times(sample.scale()).minus(expectedMasked(sample, p).removal().times(sample.weight()));
    try (Scope _ = Scope.open(); LoraParaAdapter adapter = sample.loraPara(sample.layer(), decomposition(), p)) {
      compare("lora-para", sample, p, delta, adapter);
    }
  }

  /** Attached, and outside of training, where the thin factors are kept: the same bits. */
  private void compare(String method, LayerSample sample, Dense p, Dense delta, LayerAdapter adapter) {
    AdaptedLayer layer = adapter.layer();
    String what = method + " " + decomposition().method() + " on " + layer.weight();
    double tolerance = sample.tolerance(amplification(sample.masked(p)));
    adapter.setStrength(sample.strength());
    Dense expected = sample.forward(sample.weight().plus(delta.times(sample.strength())));
    layer.attach(adapter);
    Tensor answer = layer.forward(sample.input());
    expected.assertNear(Dense.of(answer), tolerance, what);
    delta.times(sample.strength()).assertNear(Dense.of(adapter.weightDelta(layer.weight().value())), tolerance, what + ", delta W");
    adapter.setTraining(false);
    assertArrayEquals(answer.toDoubles(), layer.forward(sample.input()).toDoubles(), what);
    layer.detach(adapter);
    sample.forward(sample.weight()).assertNear(Dense.of(layer.forward(sample.input())), sample.tolerance(), what + ", detached");
  }

  // ------------------------------------------------------------------------------------------------------------ claims

  /** Every {@link Claim} that is made, to rounding. */
  @Property(tries = 40)
  void whatIsClaimedHolds(@ForAll("layers") LayerSample sample) {
    double amplification = amplification(p(sample));
    for (Claim claim : claims()) {
      try (Scope _ = Scope.open()) {
        double violation = claim.violation(decomposition(), sample, this::admissible);
        double tolerance = sample.tolerance(claim == Claim.SPAN_INVARIANT ? 10 * amplification : amplification);
        assertTrue(violation <= tolerance, claim + " of " + decomposition().method() + " is violated by " + violation
            + ", allowed are " + tolerance);
      }
    }
  }

  /** Every {@link Claim} that is not made fails on one of a few samples, by far more than rounding. */
  @Example
  void whatIsNotClaimedDoesNotHold() {
    Set<Claim> others = EnumSet.allOf(Claim.class);
    others.removeAll(claims());
    for (Claim claim : others) {
      double largest = 0;
      for (LayerSample sample : AdapterArbitraries.fixed()) {
        try (Scope _ = Scope.open()) {
          largest = Math.max(largest, claim.violation(decomposition(), sample, this::admissible));
        }
      }
      assertTrue(largest > FLOOR, decomposition().method() + " could claim " + claim + ": it is violated by " + largest + " at most");
    }
  }

  /** {@code delta W} has rank r at most where the decomposition claims one span, 2 r otherwise. */
  @Property(tries = 20)
  void whatChangesHasLowRank(@ForAll("layers") LayerSample sample) {
    try (Scope _ = Scope.open(); DeftAdapter adapter = sample.deft(sample.layer(DType.F64), decomposition(), p(sample))) {
      Dense delta = Dense.of(adapter.update().weightDelta(adapter.layer().weight().value().cast(sample.type()), 1));
      double[] s = delta.singularValues();
      int bound = claims().contains(Claim.ONE_SPAN) ? sample.rank() : 2 * sample.rank();
      double beyond = s.length > bound ? s[bound] / Math.max(1, s[0]) : 0;
      assertTrue(beyond <= sample.tolerance(amplification(p(sample))), "singular value " + bound + " of delta W is " + beyond
          + " of the first");
    }
  }

  /** A P without full rank is refused with the layer's name, or gives finite factors. */
  @Property(tries = 20)
  void dependentColumnsAreRefusedByNameOrGiveFiniteFactors(@ForAll("layers") LayerSample sample) {
    try (Scope _ = Scope.open()) {
      Dense p = p(sample.with(Conditioning.DEFICIENT));
      if (claims().contains(Claim.REFUSES_DEPENDENT_COLUMNS)) {
        NumericException error = assertThrows(NumericException.class, () -> decomposition().factors(sample.tensor(p), LayerSample.PATH));
        assertTrue(error.getMessage().contains(LayerSample.PATH), error.getMessage());
      } else {
        Factors factors = decomposition().factors(sample.tensor(p), LayerSample.PATH);
        for (Tensor factor : List.of(factors.left(), factors.right(), factors.injection())) {
          assertEquals(0, factor.mul(0).sum().item());
        }
      }
    }
  }

  // ------------------------------------------------------------------------------------------------- start and training

  /**
   * Nothing is changed, to the bit where E is L and s g is 1. Where {@link Claim#STARTS_AS_IDENTITY} is not claimed the start may be refused; a
   * P that happens to allow it, as one with as many columns as rows, is taken.
   */
  @Property(tries = 30)
  void identityStartChangesNothingOrIsRefused(@ForAll("layers") LayerSample sample) {
    AdapterConfig config = AdapterConfig.deft(sample.rank()).with(decomposition()).with(Targets.suffixes(List.of("layer")))
        .withAlpha(sample.scale() * sample.rank()).with(new AdapterExtras(Dropout.NONE, sample.gated(), 0));
    try (Scope _ = Scope.open()) {
      LayerSample.OneLayer model = sample.model(sample.type());
      Dense before = Dense.of(model.layer().forward(sample.input()));
      try (AdapterSet set = AdapterSet.create(model, config, new TorchRandom(sample.seed())).attach()) {
        LayerAdapter adapter = set.adapters().get(LayerSample.PATH);
        LowRankUpdate update = adapter.update();
        Tensor injection = update.injection();
        boolean same = update.left() == injection;
        // Where R is a solution by E, its rounding is amplified by the condition of E.
        double[] s = Dense.of(injection).singularValues();
        double amplification = same ? 1 : Math.max(1, s[0] / s[s.length - 1] / 50);
        before.assertNear(Dense.of(model.layer().forward(sample.input())), sample.tolerance() * amplification, "forward pass");
        if (sample.scale() == 1 && !sample.gated() && same) {
          assertEquals(0, Dense.of(adapter.weightDelta(model.layer().weight().value())).largest(), "delta W");
        }
      } catch (InputException e) {
        assertFalse(claims().contains(Claim.STARTS_AS_IDENTITY), e.getMessage());
        assertTrue(e.getMessage().contains(decomposition().method()), e.getMessage());
        AdapterSet.create(model, config.with(Start.RANDOM), new TorchRandom(sample.seed())).close();
      }
    }
  }

  /**
   * P starts, both ways, with as many columns as it is said to have, as finite factors [out, at most r], E [out, r]; and learns
   * or not, as it is said to.
   */
  @Property(tries = 20)
  void startsHaveTheirShape(@ForAll("layers") LayerSample sample) {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(sample.seed());
      for (Tensor p : List.of(decomposition().start(random, sample.type(), sample.out(), sample.rank()),
          decomposition().officialStart(random, sample.type(), sample.out(), sample.rank()))) {
        assertEquals(sample.type(), p.dtype());
        assertArrayEquals(new long[] {sample.out(), decomposition().columns(sample.rank())}, p.shape().toArray());
        Factors factors = decomposition().factors(p, LayerSample.PATH);
        assertArrayEquals(new long[] {sample.out(), sample.rank()}, factors.injection().shape().toArray());
        assertArrayEquals(factors.left().shape().toArray(), factors.right().shape().toArray());
        assertTrue(factors.left().size(1) <= sample.rank());
        assertEquals(0, factors.left().mul(0).sum().item());
      }
      try (DeftAdapter adapter = sample.deft(sample.layer(), decomposition(), p(sample))) {
        assertEquals(decomposition().trainsProjection(), adapter.trainable().containsKey(DeftAdapter.P));
        AdapterConfig config = AdapterConfig.of(Method.DEFT, sample.rank()).with(decomposition());
        long trained = adapter.trainable().values().stream().mapToLong(Tensor::elementCount).sum() - (sample.gated() ? 1 : 0);
        assertEquals(config.parameterCount(adapter.layer().weight().shape()), trained);
      }
    }
  }

  /** Gradients by P, R and the layer's input against central differences, away from 0, where rectifiers have none. */
  @Property(tries = 6)
  void gradientsAreThoseOfCentralDifferences(@ForAll("layers") LayerSample sample) {
    Linear layer = new Linear(1, 1, false);
    int out = Math.max(sample.rank() + 1, Math.min(sample.out(), 6));
    try (Scope _ = Scope.open()) {
      Tensor p = admissible(away(sample.seed(), out, (int) decomposition().columns(sample.rank()))).tensor(DType.F64);
      GradCheck.check(t -> LowRankUpdate.replace(decomposition().factors(t[0], LayerSample.PATH), t[1], sample.scale())
          .delta(layer, t[2], t[2].linear(t[3]), 0.6), p, away(sample.seed() + 1, sample.rank(), 3).tensor(DType.F64),
          away(sample.seed() + 2, 2, 3).tensor(DType.F64), away(sample.seed() + 3, out, 3).tensor(DType.F64));
    }
  }

  private static Dense away(long seed, int height, int width) {
    return Dense.normal(seed, height, width).map(x -> x + Math.copySign(0.1, x));
  }
}
