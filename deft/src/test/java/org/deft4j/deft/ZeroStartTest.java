package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Arbitraries;
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
import org.deft4j.deft.testing.LayerSample;
import org.deft4j.nn.AdamW;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Optimizer;
import org.deft4j.nn.ParameterGroup;
import org.deft4j.nn.Schedule;
import org.deft4j.nn.Sgd;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The start {@code P = 0} of the paper's appendices B and C: for what it is the identity, and what can learn from there. */
class ZeroStartTest {
  private static final double RATE = 0.1;

  @Provide
  Arbitrary<LayerSample> layers() {
    return AdapterArbitraries.layers(Conditioning.WELL).filter(sample -> sample.type() == DType.F64);
  }

  /** A gradient of singular vectors is refused where there is more than one direction to choose from. */
  @Provide
  Arbitrary<LayerSample> severalOutputs() {
    return layers().filter(sample -> sample.out() > 1);
  }

  /** L, S and E are made of P by products and rectifiers. */
  @Provide
  Arbitrary<Decomposition> vanishing() {
    return named("relaxed", "relu", "relu-relu", "nmf", "nmf-paper", "qr-frozen");
  }

  /** E is P. */
  @Provide
  Arbitrary<Decomposition> injectedThroughP() {
    return named("relaxed", "relu", "relu-relu");
  }

  /** E is a rectified part of P, or a P that is not trained. */
  @Provide
  Arbitrary<Decomposition> fixedInjection() {
    return named("nmf", "nmf-paper", "qr-frozen");
  }

  @Provide
  Arbitrary<Decomposition> byQr() {
    return named("qr", "qr+p");
  }

  private static Arbitrary<Decomposition> named(String... methods) {
    return Arbitraries.of(methods).map(Decomposition::named);
  }

  private static Dense zero(LayerSample sample, Decomposition decomposition) {
    return sample.p(decomposition).times(0).map(Math::abs);
  }

  /** DEFT with {@code P = 0}, and R times {@code injection}. */
  private static DeftAdapter deft(LayerSample sample, Decomposition decomposition, double injection) {
    AdaptedLayer layer = sample.layer();
    try (DeftAdapter drawn = sample.deft(layer, decomposition, zero(sample, decomposition))) {
      Map<String, Tensor> matrices = drawn.tensors();
      Tensor mask = sample.masked() ? matrices.get(DeftAdapter.MASK).copy() : null;
      Tensor gate = sample.gated() ? matrices.get(DeftAdapter.GATE).copy() : null;
      return new DeftAdapter(LayerSample.PATH, layer, new Projection(matrices.get(DeftAdapter.P).copy(), mask, decomposition),
          matrices.get(DeftAdapter.R).mul(injection), gate, sample.scale());
    }
  }

  private static ParaAdapter para(LayerSample sample, Decomposition decomposition) {
    return sample.para(sample.layer(), decomposition, zero(sample, decomposition));
  }

  /** A random gradient of the layer's answer: since the gradients by the matrices are linear in it, it stands for any loss. */
  private static Dense upstream(LayerSample sample, int stream) {
    Dense answer = sample.forward(sample.weight());
    return Dense.normal(sample.seed() + 70 + stream, answer.height(), answer.width());
  }

  /** The gradients by everything that is trained, and by P, of the loss whose gradient by the layer's answer is {@code upstream}. */
  private static Gradients gradients(LayerSample sample, LayerAdapter adapter, Dense upstream) {
    List<Tensor> watched = new ArrayList<>(adapter.trainable().values());
    if (!adapter.trainable().containsKey(DeftAdapter.P)) {
      watched.add(adapter.tensors().get(DeftAdapter.P));
    }
    AdaptedLayer layer = adapter.layer();
    layer.attach(adapter);
    try (Tape tape = Tape.watch(watched)) {
      Tensor answer = layer.forward(sample.input());
      return tape.gradients(answer.mul(sample.tensor(upstream).reshape(answer.shape().toArray())).sum());
    } finally {
      layer.detach(adapter);
    }
  }

  private static double largest(Tensor x) {
    return Dense.of(x).largest();
  }

  private static List<ParameterGroup> groups(LayerAdapter adapter, double weightDecay) {
    return List.of(new ParameterGroup("all", List.copyOf(adapter.trainable().values()), 1, weightDecay));
  }

  // -------------------------------------------------------------------------------------------------- the identity

  private static void assertIdentity(LayerSample sample, LayerAdapter adapter) {
    AdaptedLayer layer = adapter.layer();
    Tensor weight = layer.weight().value();
    adapter.setStrength(sample.strength());
    assertArrayEquals(weight.toDoubles(), weight.add(adapter.weightDelta(weight)).toDoubles(), "W'");
    Tensor y0 = layer.product(sample.input(), weight);
    assertArrayEquals(y0.toDoubles(), adapter.applied(sample.input(), y0).toDoubles(), "x W'^T");
  }

  /** {@code L = S = E = 0}: {@code W' = W} to the bit, whatever R is. */
  @Property(tries = 60)
  void whatIsMadeOfPByProductsStartsAsTheIdentity(@ForAll("layers") LayerSample sample,
      @ForAll("vanishing") Decomposition decomposition) {
    try (Scope _ = Scope.open(); DeftAdapter deft = deft(sample, decomposition, 1);
        ParaAdapter para = para(sample, decomposition)) {
      assertIdentity(sample, deft);
      assertIdentity(sample, para);
    }
  }

  // ------------------------------------------------------------------------------------------------------ DEFT

  /** {@code s g C^T (x R^T)} with zeros where P is held, by the layer's answer to each of the weights {@code e_i R_k} in plain Java. */
  private static Dense firstOrder(LayerSample sample, Decomposition decomposition, Dense upstream) {
    Dense p = zero(sample, decomposition);
    Dense nothing = sample.forward(sample.weight().times(0));
    Dense result = p.map(x -> 0);
    for (int i = 0; i < p.height(); i++) {
      for (int k = 0; k < p.width(); k++) {
        Dense unit = p.map(x -> 0);
        unit.rows()[i][k] = sample.injectionScale();
        Dense moved = sample.forward(unit.times(sample.r())).minus(nothing);
        for (double[] row : moved.zip(upstream, (a, b) -> a * b).rows()) {
          for (double value : row) {
            result.rows()[i][k] += value;
          }
        }
      }
    }
    return result.zip(sample.mask(p), (value, kept) -> value * kept);
  }

  /**
   * M is of second order in P, so only the injection acts: {@code dP = s g C^T (x R^T)}; and {@code dR = s g E^T C^T x = 0}, as is the
   * gate's gradient.
   */
  @Property(tries = 60)
  void onlyTheProjectionHasAGradient(@ForAll("layers") LayerSample sample,
      @ForAll("injectedThroughP") Decomposition decomposition) {
    Dense upstream = upstream(sample, 0);
    try (Scope _ = Scope.open(); DeftAdapter adapter = deft(sample, decomposition, 1)) {
      Gradients gradients = gradients(sample, adapter, upstream);
      Dense actual = Dense.of(gradients.of(adapter.tensors().get(DeftAdapter.P)));
      firstOrder(sample, decomposition, upstream).assertNear(actual, 1e-12, "dP");
      assertTrue(actual.largest() > 0, "dP");
      adapter.trainable().forEach((name, matrix) -> {
        if (!name.equals(DeftAdapter.P)) {
          assertEquals(0, largest(gradients.of(matrix)), name);
        }
      });
    }
  }

  /** As LoRA's B and A: the first step moves P alone, by its gradient, the second R. */
  @Property(tries = 30)
  void theProjectionMovesFirstAndTheInjectionAfterIt(@ForAll("layers") LayerSample sample,
      @ForAll("injectedThroughP") Decomposition decomposition) {
    try (Scope _ = Scope.open(); DeftAdapter adapter = deft(sample, decomposition, 1);
        Optimizer descent = new Sgd(groups(adapter, 0), RATE, Schedule.constant(), 0, false)) {
      Tensor p = adapter.tensors().get(DeftAdapter.P);
      Tensor r = adapter.tensors().get(DeftAdapter.R);
      double[] before = r.toDoubles();
      Gradients first = gradients(sample, adapter, upstream(sample, 0));
      descent.step(first);
      assertArrayEquals(first.of(p).mul(-RATE).toDoubles(), p.toDoubles(), 0, "P after a step");
      assertArrayEquals(before, r.toDoubles(), "R after a step");
      descent.step(gradients(sample, adapter, upstream(sample, 1)));
      assertTrue(Dense.of(r).minus(sample.r()).largest() > 0, "R after two steps");
    }
  }

  /** With {@code R = 0} as well there is no first order either: every gradient is 0 for every loss, and stays so. */
  @Property(tries = 30)
  void withoutAnInjectionNothingEverMoves(@ForAll("layers") LayerSample sample, @ForAll("vanishing") Decomposition decomposition) {
    neverMoves(sample, decomposition, 0);
  }

  /** {@code relu'(0) = 0}: where E is rectified its gradient does not reach a P of 0, whatever R is. */
  @Property(tries = 30)
  void whereNoGradientReachesTheInjectionNothingEverMoves(@ForAll("layers") LayerSample sample,
      @ForAll("fixedInjection") Decomposition decomposition) {
    neverMoves(sample, decomposition, 1);
  }

  private static void neverMoves(LayerSample sample, Decomposition decomposition, double injection) {
    try (Scope _ = Scope.open(); DeftAdapter adapter = deft(sample, decomposition, injection)) {
      descend(sample, adapter, 0);
    }
  }

  /** Adam, which makes a step of any gradient that is not 0. */
  private static void descend(LayerSample sample, LayerAdapter adapter, double weightDecay) {
    Map<String, Tensor> trained = adapter.trainable();
    List<double[]> before = trained.values().stream().map(Tensor::toDoubles).toList();
    try (Optimizer adam = new AdamW(groups(adapter, weightDecay), RATE)) {
      for (int step = 0; step < 3; step++) {
        Gradients gradients = gradients(sample, adapter, upstream(sample, step));
        trained.forEach((name, matrix) -> assertEquals(0, largest(gradients.of(matrix)), name));
        adam.step(gradients);
      }
    }
    List<double[]> after = trained.values().stream().map(Tensor::toDoubles).toList();
    for (int i = 0; i < before.size(); i++) {
      assertArrayEquals(before.get(i), after.get(i), 0);
    }
  }

  /** The R that puts back what is removed, {@code P^T W / s}, is that 0: the two identity starts cannot be had together. */
  @Property(tries = 20)
  void theInjectionThatPutsBackIsZeroToo(@ForAll("layers") LayerSample sample) {
    Decomposition decomposition = new RelaxedDecomposition();
    try (Scope _ = Scope.open()) {
      Projection projection = new Projection(sample.tensor(zero(sample, decomposition)), decomposition);
      Tensor r = DeftAdapter.identityInput(projection, sample.layer().weight().value(), sample.injectionScale(), LayerSample.PATH);
      assertEquals(0, largest(r));
    }
  }

  // ------------------------------------------------------------------------------------------------------ PaRa

  /** {@code W' = W - L S^T W} is of second order in P: no loss has a gradient by P at 0, so that it stays there. */
  @Property(tries = 40)
  void paraNeverLeavesZero(@ForAll("layers") LayerSample sample, @ForAll("vanishing") Decomposition decomposition) {
    try (Scope _ = Scope.open(); ParaAdapter adapter = para(sample, decomposition)) {
      Gradients gradients = gradients(sample, adapter, upstream(sample, 5));
      assertEquals(0, largest(gradients.of(adapter.tensors().get(DeftAdapter.P))), "dP");
      if (decomposition.trainsProjection()) {
        descend(sample, adapter, 0.01);
      }
    }
  }

  /** It is the place that has no gradient, not the method: a thousandth beside it there is one. */
  @Property(tries = 20)
  void besideZeroParaHasAGradient(@ForAll("layers") LayerSample sample) {
    Decomposition decomposition = new RelaxedDecomposition();
    try (Scope _ = Scope.open(); ParaAdapter adapter = sample.para(sample.layer(), decomposition, sample.p(decomposition).times(1e-3))) {
      Gradients gradients = gradients(sample, adapter, upstream(sample, 0));
      assertTrue(largest(gradients.of(adapter.tensors().get(DeftAdapter.P))) > 0, "dP");
    }
  }

  /** Beside a LoRA P stays at 0 as well, while A and B learn: a LoRA is all it ever is. */
  @Property(tries = 20)
  void besideALoraParaNeverLeavesZeroEither(@ForAll("layers") LayerSample sample,
      @ForAll("injectedThroughP") Decomposition decomposition) {
    try (Scope _ = Scope.open(); LoraParaAdapter adapter = sample.loraPara(sample.layer(), decomposition, zero(sample, decomposition))) {
      Gradients gradients = gradients(sample, adapter, upstream(sample, 0));
      adapter.trainable().forEach((name, matrix) -> assertEquals(name.equals(DeftAdapter.P), largest(gradients.of(matrix)) == 0, name));
    }
  }

  // ------------------------------------------------------------------------------------------- the decompositions

  /** No Q of {@code 0 = Q T} is more its Q than another: the methods by QR say so, with the layer's name. */
  @Property(tries = 20)
  void qrRefusesZero(@ForAll("layers") LayerSample sample, @ForAll("byQr") Decomposition decomposition) {
    try (Scope _ = Scope.open(); DeftAdapter deft = deft(sample, decomposition, 1); ParaAdapter para = para(sample, decomposition)) {
      for (LayerAdapter adapter : List.of(deft, para)) {
        NumericException error = assertThrows(NumericException.class, adapter::update);
        assertTrue(error.getMessage().contains(LayerSample.PATH) && error.getMessage().contains("rank"), error.getMessage());
      }
    }
  }

  /**
   * The methods by singular values take 0, with the first r unit vectors for U, I_r: svd removes r outputs, eigen a millionth of them,
   * tsvd and lrmf nothing; and R is injected through U where E is made of it.
   */
  @Property(tries = 30)
  void singularVectorsOfZeroAreUnitVectors(@ForAll("layers") LayerSample sample) {
    Dense u = Dense.identity(sample.out()).columns(0, sample.rank());
    Dense none = u.times(0);
    assertFactors(sample, "svd", u, u);
    assertFactors(sample, "svd+p", u, none);
    assertFactors(sample, "tsvd", none, u);
    assertFactors(sample, "lrmf", none, none);
    assertFactors(sample, "eigen", u.times(1e-6), u);
  }

  private static void assertFactors(LayerSample sample, String method, Dense left, Dense injection) {
    try (Scope _ = Scope.open()) {
      Tensor p = Tensor.zeros(DType.F64, sample.out(), sample.rank());
      DenseFactors factors = DenseFactors.of(Decomposition.named(method).factors(p, LayerSample.PATH));
      left.times(Dense.identity(sample.out()).columns(0, sample.rank()).t()).assertNear(factors.removal(), 0, method + ", M");
      injection.assertNear(factors.injection(), 0, method + ", E");
    }
  }

  /** Which vectors they are P does not determine, so there is no gradient by it, not even where W' is W. */
  @Property(tries = 20)
  void singularVectorsOfZeroHaveNoGradient(@ForAll("severalOutputs") LayerSample sample) {
    for (String method : new String[] {"svd", "svd+p", "tsvd", "lrmf", "eigen"}) {
      try (Scope _ = Scope.open(); ParaAdapter adapter = para(sample, Decomposition.named(method))) {
        NumericException error = assertThrows(NumericException.class, () -> gradients(sample, adapter, upstream(sample, 0)), method);
        assertTrue(error.getMessage().contains("singular values"), error.getMessage());
      }
    }
  }
}
