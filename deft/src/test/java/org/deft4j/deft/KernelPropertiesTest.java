package org.deft4j.deft;

import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** The cheap kernel against the dense form {@code W' = W - M W + s E R}, and what holds for each projection. */
class KernelPropertiesTest {
  /** A layer and the matrices of an adapter, with values of its own for every seed. */
  record Sample(int in, int out, int rank, int rows, boolean bias, DType type, double scale, double strength, long seed) {
    Dense weight() {
      return Dense.normal(seed, out, in);
    }

    Dense p() {
      return Dense.normal(seed + 1, out, rank);
    }

    Dense r() {
      return Dense.normal(seed + 2, rank, in);
    }

    Dense x() {
      return Dense.normal(seed + 3, rows, in);
    }

    double tolerance() {
      return type == DType.F64 ? 1e-12 : 1e-5;
    }

    Tensor tensor(Dense values) {
      return values.tensor(type);
    }

    Linear layer() {
      Linear layer = new Linear(in, out, bias);
      layer.weight().set(Scope.release(tensor(weight())));
      if (bias) {
        layer.bias().set(Scope.release(tensor(Dense.normal(seed + 4, 1, out)).reshape(out)));
      }
      layer.parameters().values().forEach(parameter -> Scope.adopt(parameter.value()));
      return layer;
    }

    Dense biasRows() {
      Dense row = bias ? Dense.normal(seed + 4, 1, out) : Dense.zeros(1, out);
      Dense all = Dense.zeros(rows, out);
      for (int i = 0; i < rows; i++) {
        System.arraycopy(row.rows()[0], 0, all.rows()[i], 0, out);
      }
      return all;
    }

    DeftAdapter deft(Decomposition decomposition) {
      return new DeftAdapter("layer", tensor(p()), tensor(r()), decomposition, scale);
    }

    ParaAdapter para(Decomposition decomposition) {
      return new ParaAdapter("layer", tensor(p()), decomposition);
    }
  }

  @Provide
  Arbitrary<Sample> samples() {
    Arbitrary<int[]> sizes = Combinators.combine(Arbitraries.integers().between(1, 24),
        Arbitraries.integers().between(1, 24), Arbitraries.integers().between(1, 8), Arbitraries.integers().between(1, 5))
        .as((in, out, rank, rows) -> new int[] {in, out, Math.min(rank, out), rows});
    return Combinators.combine(sizes, Arbitraries.of(true, false), Arbitraries.of(DType.F64, DType.F32),
        Arbitraries.of(1.0, 0.5, 1.5), Arbitraries.of(1.0, 0.6, 0.0, -1.0), Arbitraries.longs())
        .as((s, bias, type, scale, strength, seed) ->
            new Sample(s[0], s[1], s[2], s[3], bias, type, scale, strength, seed));
  }

  @Provide
  Arbitrary<Decomposition> decompositions() {
    return Arbitraries.of(Decomposition.known());
  }

  /** L, S and E as the table of variants writes them, in plain Java. */
  private static Dense[] factors(Decomposition decomposition, Dense p) {
    return switch (decomposition) {
      case RelaxedDecomposition d -> new Dense[] {p, p, p};
      case ReluDecomposition d -> new Dense[] {p, p.relu(), p};
      case QrDecomposition d -> new Dense[] {p.q(), p.q(), p.q()};
      default -> throw new AssertionError("no oracle for " + decomposition.method());
    };
  }

  private static Dense removed(Decomposition decomposition, Sample sample) {
    Dense[] f = factors(decomposition, sample.p());
    return f[0].times(f[1].t()).times(sample.weight());
  }

  private static Dense injected(Decomposition decomposition, Sample sample) {
    return factors(decomposition, sample.p())[2].times(sample.r()).times(sample.scale());
  }

  private static Dense forward(Sample sample, LayerAdapter adapter) {
    Linear layer = sample.layer();
    adapter.setStrength(sample.strength());
    layer.attach(adapter);
    return Dense.of(layer.forward(sample.tensor(sample.x())));
  }

  private static Dense expected(Sample sample, Dense weightDelta) {
    Dense weight = sample.weight().plus(weightDelta.times(sample.strength()));
    return sample.x().times(weight.t()).plus(sample.biasRows());
  }

  @Property(tries = 150)
  void deftEqualsItsDenseForm(@ForAll("samples") Sample sample, @ForAll("decompositions") Decomposition decomposition) {
    try (Scope _ = Scope.open(); DeftAdapter adapter = sample.deft(decomposition)) {
      Dense delta = injected(decomposition, sample).minus(removed(decomposition, sample));
      expected(sample, delta).assertNear(forward(sample, adapter), sample.tolerance(), "deft " + decomposition.method());
    }
  }

  @Property(tries = 100)
  void paraEqualsItsDenseForm(@ForAll("samples") Sample sample, @ForAll("decompositions") Decomposition decomposition) {
    try (Scope _ = Scope.open(); ParaAdapter adapter = sample.para(decomposition)) {
      Dense delta = removed(decomposition, sample).times(-1);
      expected(sample, delta).assertNear(forward(sample, adapter), sample.tolerance(), "para " + decomposition.method());
    }
  }

  @Property(tries = 50)
  void loraEqualsItsDenseForm(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open(); LoraAdapter adapter = new LoraAdapter("layer", sample.tensor(sample.r()),
        sample.tensor(sample.p()), sample.scale())) {
      Dense delta = sample.p().times(sample.r()).times(sample.scale());
      expected(sample, delta).assertNear(forward(sample, adapter), sample.tolerance(), "lora");
    }
  }

  @Property(tries = 50)
  void adaptersAreSummedFromTheOriginalProduct(@ForAll("samples") Sample sample,
      @ForAll("decompositions") Decomposition decomposition) {
    try (Scope _ = Scope.open(); DeftAdapter first = sample.deft(decomposition);
        ParaAdapter second = sample.para(new QrDecomposition())) {
      Linear layer = sample.layer();
      first.setStrength(0.7);
      second.setStrength(0.4);
      layer.attach(first);
      layer.attach(second);
      Dense delta = injected(decomposition, sample).minus(removed(decomposition, sample)).times(0.7)
          .minus(removed(new QrDecomposition(), sample).times(0.4));
      Dense weight = sample.weight().plus(delta);
      sample.x().times(weight.t()).plus(sample.biasRows())
          .assertNear(Dense.of(layer.forward(sample.tensor(sample.x()))), sample.tolerance(), "two adapters");
      layer.detach(first);
      layer.detach(second);
      sample.x().times(sample.weight().t()).plus(sample.biasRows())
          .assertNear(Dense.of(layer.forward(sample.tensor(sample.x()))), sample.tolerance(), "detached");
    }
  }

  @Property(tries = 50)
  void outsideTrainingTheThinFactorsAreKeptAndGiveTheSameBits(@ForAll("samples") Sample sample,
      @ForAll("decompositions") Decomposition decomposition) {
    try (Scope _ = Scope.open(); DeftAdapter adapter = sample.deft(decomposition)) {
      Linear layer = sample.layer();
      layer.attach(adapter);
      Tensor x = sample.tensor(sample.x());
      double[] trained = layer.forward(x).toDoubles();
      adapter.setTraining(false);
      for (int i = 0; i < 2; i++) {
        org.junit.jupiter.api.Assertions.assertArrayEquals(trained, layer.forward(x).toDoubles());
      }
    }
  }

  @Property(tries = 60)
  void qrMakesAnOrthogonalProjector(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open()) {
      Factors factors = new QrDecomposition().factors(sample.tensor(sample.p()), "layer");
      Dense q = Dense.of(factors.left());
      Dense m = q.times(q.t());
      Dense.identity(sample.rank()).assertNear(q.t().times(q), sample.tolerance(), "Q^T Q = I");
      m.t().assertNear(m, 0, "symmetric");
      m.assertNear(m.times(m), sample.tolerance(), "idempotent");
    }
  }

  @Property(tries = 60)
  void theProjectorDependsOnTheSpanAlone(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open()) {
      Dense mix = Dense.identity(sample.rank()).times(4).plus(Dense.normal(sample.seed() + 5, sample.rank(), sample.rank())
          .map(x -> Math.max(-1, Math.min(1, x)) / 4));
      Dense q = Dense.of(new QrDecomposition().factors(sample.p().tensor(DType.F64), "layer").left());
      Dense mixed = Dense.of(new QrDecomposition().factors(sample.p().times(mix).tensor(DType.F64), "layer").left());
      q.times(q.t()).assertNear(mixed.times(mixed.t()), conditioned(sample.p(), 1e-12), "P and P A");
    }
  }

  /** A tolerance that grows with how nearly dependent the columns of P are. */
  private static double conditioned(Dense p, double tolerance) {
    Dense t = p.q().t().times(p);
    double smallest = Double.MAX_VALUE;
    for (int i = 0; i < t.height(); i++) {
      smallest = Math.min(smallest, Math.abs(t.rows()[i][i]));
    }
    return tolerance * Math.max(1, p.largest() / smallest);
  }

  @Property(tries = 60)
  void theAdaptedWeightShowsRInTheBasis(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open(); DeftAdapter adapter = sample.deft(new QrDecomposition())) {
      Tensor weight = sample.tensor(sample.weight());
      Dense adapted = Dense.of(weight.add(adapter.weightDelta(weight)));
      sample.r().times(sample.scale()).assertNear(sample.p().q().t().times(adapted), sample.tolerance(),
          "Q^T W' = s R");
    }
  }

  @Property(tries = 60)
  void paraTwiceIsParaOnceAndNothingIsLeftInTheSpan(@ForAll("samples") Sample sample) {
    try (Scope _ = Scope.open(); ParaAdapter adapter = sample.para(new QrDecomposition())) {
      Tensor weight = sample.tensor(sample.weight());
      Tensor once = weight.add(adapter.weightDelta(weight));
      Tensor twice = once.add(adapter.weightDelta(once));
      Dense.of(once).assertNear(Dense.of(twice), sample.tolerance(), "twice");
      Dense.zeros(sample.rank(), sample.in()).assertNear(sample.p().q().t().times(Dense.of(once)),
          sample.tolerance(), "Q^T W' = 0");
    }
  }

  @Property(tries = 60)
  void identityStartChangesNothing(@ForAll("samples") Sample sample, @ForAll("decompositions") Decomposition decomposition) {
    try (Scope _ = Scope.open()) {
      Linear layer = sample.layer();
      Tensor p = sample.tensor(sample.p());
      Tensor r = DeftAdapter.identityInput(decomposition, p, layer.weight().value(), sample.scale(), "layer");
      try (DeftAdapter adapter = new DeftAdapter("layer", p, r, decomposition, sample.scale())) {
        Dense before = Dense.of(layer.forward(sample.tensor(sample.x())));
        layer.attach(adapter);
        before.assertNear(Dense.of(layer.forward(sample.tensor(sample.x()))), sample.tolerance(),
            "forward pass");
        if (sample.scale() == 1) {
          assertEquals(0, Dense.of(adapter.weightDelta(layer.weight().value())).largest(), "delta W");
        }
      }
    }
  }
}
