package org.deft4j.deft;

import java.util.List;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Assume;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.autograd.GradCheck;
import org.deft4j.deft.testing.AdapterArbitraries;
import org.deft4j.deft.testing.Conditioning;
import org.deft4j.deft.testing.Dense;
import org.deft4j.deft.testing.DenseFactors;
import org.deft4j.deft.testing.LayerSample;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

/** The gate of a DEFT, {@code g = sigmoid(G)}: its gradient, and where it starts. */
class GateTest {
  /** G of a new adapter. */
  private static final double START = 0.5;

  @Provide
  Arbitrary<Decomposition> decompositions() {
    return AdapterArbitraries.decompositions();
  }

  /** Linear layers and convolutions with a gate, small enough for central differences by each number. */
  @Provide
  Arbitrary<LayerSample> small() {
    return AdapterArbitraries.layers(Conditioning.WELL).map(s -> gated(s, Math.min(s.in(), 3), Math.min(s.out(), 6), 1));
  }

  @Provide
  Arbitrary<LayerSample> layers() {
    return AdapterArbitraries.layers(Conditioning.WELL).map(s -> gated(s, s.in(), s.out(), s.batch()));
  }

  private static LayerSample gated(LayerSample s, int in, int out, int batch) {
    return new LayerSample(s.kind(), in, out, Math.min(s.rank(), out), batch, s.bias(), true, false, DType.F64, s.scale(),
        s.strength() == 0 ? 1 : s.strength(), s.conditioning(), s.seed());
  }

  private static AdapterConfig config(LayerSample sample, Decomposition decomposition, Start start) {
    return AdapterConfig.deft(sample.rank()).with(decomposition).with(Targets.suffixes(List.of("layer"))).with(start)
        .withAlpha(sample.scale() * sample.rank()).with(new AdapterExtras(Dropout.NONE, true, 0));
  }

  /** {@code y = x W^T - (y0 S) L^T + s g (x R^T) E^T} of the layer and its adapter, by P, R, G and x. */
  @Property(tries = 40)
  void gradientsAreThoseOfCentralDifferences(@ForAll("small") LayerSample sample,
      @ForAll("decompositions") Decomposition decomposition) {
    Dense p = sample.p(decomposition);
    // A rectifier has no derivative at 0.
    Assume.that(p.map(x -> Math.abs(x) < 1e-3 ? 1 : 0).largest() == 0);
    try (Scope _ = Scope.open(); DeftAdapter adapter = sample.deft(sample.layer(), decomposition, p)) {
      AdaptedLayer layer = adapter.layer();
      adapter.setStrength(sample.strength());
      layer.attach(adapter);
      Tensor x = sample.input();
      GradCheck.check(ignored -> layer.forward(x), adapter.tensors().get(DeftAdapter.P), adapter.tensors().get(DeftAdapter.R),
          adapter.tensors().get(DeftAdapter.GATE), x);
    }
  }

  /** {@code G = 0.5} as the authors' code has it, hence {@code g = 0.62}; trained, whichever way R starts. */
  @Property(tries = 20)
  void theNumberOfANewGateIsAHalf(@ForAll("layers") LayerSample sample) {
    for (Start start : new Start[] {Start.IDENTITY, Start.RANDOM}) {
      try (Scope _ = Scope.open(); AdapterSet set = AdapterSet.create(sample.model(DType.F64),
          config(sample, new RelaxedDecomposition(), start), new TorchRandom(sample.seed()))) {
        LayerAdapter adapter = set.adapters().get(LayerSample.PATH);
        Tensor gate = adapter.tensors().get(DeftAdapter.GATE);
        assertArrayEquals(new double[] {START}, gate.toDoubles());
        assertSame(gate, adapter.trainable().get(DeftAdapter.GATE));
        Dense r = Dense.of(adapter.tensors().get(DeftAdapter.R));
        r.times(0.6224593312018546).assertNear(Dense.of(adapter.update().input()), 1e-15, "g R");
      }
    }
  }

  /**
   * The start as the identity makes up for the gate, {@code s g E R = M W}: nothing is changed. And g is in it: with {@code G = 0}, so
   * {@code g = 0.5}, 0.5 / 0.62 of M W comes back. R is a solution by E, whose condition amplifies its rounding.
   */
  @Property(tries = 60)
  void aGatedStartIsTheIdentityWhereThereIsOne(@ForAll("layers") LayerSample sample,
      @ForAll("decompositions") Decomposition decomposition) {
    Assume.that(!decomposition.method().equals("relu-relu") && !decomposition.method().equals("nmf"));
    try (Scope _ = Scope.open(); AdapterSet set = AdapterSet.create(sample.model(DType.F64), config(sample, decomposition, Start.IDENTITY),
        new TorchRandom(sample.seed()))) {
      DeftAdapter adapter = (DeftAdapter) set.adapters().get(LayerSample.PATH);
      Tensor weight = adapter.layer().weight().value();
      DenseFactors factors = DenseFactors.of(decomposition.factors(adapter.tensors().get(DeftAdapter.P), LayerSample.PATH));
      double tolerance = sample.tolerance(condition(factors.injection()));
      Dense removed = factors.removal().times(sample.weight());
      removed.times(0).assertNear(Dense.of(adapter.weightDelta(weight)), tolerance, "delta W");
      Dense before = Dense.of(adapter.layer().forward(sample.input()));
      set.attach();
      before.assertNear(Dense.of(adapter.layer().forward(sample.input())), tolerance, "forward pass");

      Projection projection = new Projection(adapter.tensors().get(DeftAdapter.P).copy(), decomposition);
      try (DeftAdapter half = new DeftAdapter(LayerSample.PATH, adapter.layer(), projection, adapter.tensors().get(DeftAdapter.R).copy(),
          Tensor.zeros(DType.F64, 1), adapter.scale())) {
        double back = 0.5 * (1 + Math.exp(-START));
        removed.times(back - 1).assertNear(Dense.of(half.weightDelta(weight)), tolerance, "delta W with another gate");
      }
    }
  }

  private static double condition(Dense matrix) {
    double[] s = matrix.singularValues();
    return s[0] / s[s.length - 1];
  }
}
