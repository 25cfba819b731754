package org.deft4j.deft;

import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.deft.testing.AdapterArbitraries;
import org.deft4j.deft.testing.Conditioning;
import org.deft4j.deft.testing.Dense;
import org.deft4j.deft.testing.DenseFactors;
import org.deft4j.deft.testing.LayerSample;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The cheap kernel of LoRA, and of several adapters on a layer, against the dense form. */
class KernelPropertiesTest {
  private static final double FIRST = 0.7;
  private static final double SECOND = 0.4;

  /** Well conditioned, so that whichever decomposition is drawn keeps the tolerance as it is. */
  @Provide
  Arbitrary<LayerSample> layers() {
    return AdapterArbitraries.layers(Conditioning.WELL);
  }

  @Provide
  Arbitrary<Decomposition> decompositions() {
    return AdapterArbitraries.decompositions();
  }

  private static DenseFactors factors(Decomposition decomposition, LayerSample sample) {
    Dense p = sample.masked(sample.p(decomposition));
    return DenseFactors.of(decomposition.factors(p.tensor(DType.F64), LayerSample.PATH));
  }

  /** {@code s g E R - M W} of DEFT over {@code weight}. */
  private static Dense deft(Decomposition decomposition, LayerSample sample, Dense weight) {
    DenseFactors f = factors(decomposition, sample);
    return f.injection().times(sample.r()).times(sample.injectionScale()).minus(f.removal().times(weight));
  }

  /** {@code W' = W + s B A}. */
  @Property(tries = 60)
  void loraEqualsItsDenseForm(@ForAll("layers") LayerSample sample) {
    try (Scope _ = Scope.open(); LoraAdapter adapter = lora(sample, sample.layer())) {
      adapter.setStrength(sample.strength());
      adapter.layer().attach(adapter);
      Dense delta = sample.b().times(sample.r()).times(sample.scale() * sample.strength());
      sample.forward(sample.weight().plus(delta)).assertNear(Dense.of(adapter.layer().forward(sample.input())), sample.tolerance(), "lora");
    }
  }

  private static LoraAdapter lora(LayerSample sample, AdaptedLayer layer) {
    long[] sizes = layer.weight().shape().toArray();
    sizes[0] = sample.rank();
    return new LoraAdapter(LayerSample.PATH, layer, sample.tensor(sample.r()).reshape(sizes), sample.tensor(sample.b()), sample.scale());
  }

  /** LoRA is the DEFT that removes nothing: {@code L = S = 0, E = B}. The same bits. */
  @Property(tries = 40)
  void loraIsDeftThatRemovesNothing(@ForAll("layers") LayerSample sample) {
    try (Scope _ = Scope.open(); LoraAdapter lora = lora(sample, sample.layer())) {
      AdaptedLayer layer = lora.layer();
      Tensor zero = sample.tensor(sample.b().times(0));
      Tensor y0 = layer.product(sample.input(), layer.weight().value());
      LowRankUpdate deft = LowRankUpdate.replace(new Factors(zero, zero, sample.tensor(sample.b())), lora.tensors().get(LoraAdapter.A),
          sample.scale());
      assertArrayEquals(y0.add(lora.delta(sample.input(), y0)).toDoubles(), deft.applied(layer, sample.input(), y0, 1).toDoubles());
    }
  }

  /** PaRa is the DEFT with {@code R = 0}. */
  @Property(tries = 40)
  void paraIsDeftThatInjectsNothing(@ForAll("layers") LayerSample sample, @ForAll("decompositions") Decomposition decomposition) {
    try (Scope _ = Scope.open(); ParaAdapter para = sample.para(sample.layer(), decomposition, sample.p(decomposition))) {
      AdaptedLayer layer = para.layer();
      LowRankUpdate removal = para.update();
      Factors factors = new Projection(para.tensors().get(DeftAdapter.P), para.tensors().get(DeftAdapter.MASK), decomposition)
          .factors("layer");
      long[] sizes = layer.weight().shape().toArray();
      sizes[0] = sample.rank();
      LowRankUpdate deft = LowRankUpdate.replace(factors, Tensor.zeros(sample.type(), sizes), sample.scale());
      Tensor y0 = layer.product(sample.input(), layer.weight().value());
      Dense.of(removal.applied(layer, sample.input(), y0, sample.strength()))
          .assertNear(Dense.of(deft.applied(layer, sample.input(), y0, sample.strength())), sample.tolerance(), decomposition.method());
    }
  }

  /** {@code W' = W + a D1(W) + b D2(W)}: every delta is that of the original weight. */
  @Property(tries = 60)
  void adaptersAreSummedFromTheOriginalProduct(@ForAll("layers") LayerSample sample,
      @ForAll("decompositions") Decomposition decomposition) {
    Dense weight = sample.weight();
    Dense removed = factors(new RelaxedDecomposition(), sample).removal().times(weight);
    twoAdapters(sample, decomposition, false, weight.plus(deft(decomposition, sample, weight).times(FIRST)).minus(removed.times(SECOND)));
  }

  /** {@code W1 = W + a D1(W), W' = W1 + b D2(W1)}: the second corrects what the first made. */
  @Property(tries = 60)
  void inSequenceTheSecondCorrectsWhatTheFirstMade(@ForAll("layers") LayerSample sample,
      @ForAll("decompositions") Decomposition decomposition) {
    Dense first = sample.weight().plus(deft(decomposition, sample, sample.weight()).times(FIRST));
    Dense removed = factors(new RelaxedDecomposition(), sample).removal().times(first);
    twoAdapters(sample, decomposition, true, first.minus(removed.times(SECOND)));
  }

  private static void twoAdapters(LayerSample sample, Decomposition decomposition, boolean inSequence, Dense expected) {
    Decomposition relaxed = new RelaxedDecomposition();
    try (Scope _ = Scope.open(); DeftAdapter first = sample.deft(sample.layer(), decomposition, sample.p(decomposition));
        ParaAdapter second = sample.para(first.layer(), relaxed, sample.p(relaxed))) {
      AdaptedLayer layer = first.layer();
      first.setStrength(FIRST);
      second.setStrength(SECOND);
      second.setInSequence(inSequence);
      layer.attach(first);
      layer.attach(second);
      sample.forward(expected).assertNear(Dense.of(layer.forward(sample.input())), sample.tolerance(), "two adapters, "
          + decomposition.method());
    }
  }

  /**
   * In sequence, {@code -b M2 D1(W)} is added to the sum. For two orthogonal projections of rank 8 of a 64 x 32 weight, each with
   * an injection as large as the part that it removes, that is 22 % of the change.
   */
  @Example
  void sumAndSequenceDifferByMoreThanRounding() {
    Dense weight = Dense.normal(1, 64, 32);
    Dense q1 = Dense.normal(2, 64, 8).q();
    Dense q2 = Dense.normal(3, 64, 8).q();
    Dense d1 = q1.times(Dense.normal(4, 8, 32).minus(q1.t().times(weight)));
    Dense d2 = q2.times(Dense.normal(5, 8, 32).minus(q2.t().times(weight)));
    try (Scope _ = Scope.open()) {
      Tensor w = weight.tensor(DType.F64);
      LowRankUpdate first = LowRankUpdate.replace(Factors.symmetric(q1.tensor(DType.F64)), Dense.normal(4, 8, 32).tensor(DType.F64), 1);
      LowRankUpdate second = LowRankUpdate.replace(Factors.symmetric(q2.tensor(DType.F64)), Dense.normal(5, 8, 32).tensor(DType.F64), 1);
      Tensor once = w.add(first.weightDelta(w, 1));
      Dense sequence = Dense.of(once.add(second.weightDelta(once, 1)));
      Dense sum = Dense.of(once.add(second.weightDelta(w, 1)));
      q2.times(q2.t().times(d1)).times(-1).assertNear(sequence.minus(sum), 1e-12, "sequence - sum = -M2 D1(W)");
      double share = sequence.minus(sum).frobenius() / d1.plus(d2).frobenius();
      assertTrue(share > 0.2, "sum and sequence differ by " + share);
    }
  }
}
