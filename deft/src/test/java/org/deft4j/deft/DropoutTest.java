package org.deft4j.deft;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.DoubleRange;
import org.deft4j.autograd.Checkpoint;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.deft.testing.AdapterArbitraries;
import org.deft4j.deft.testing.Conditioning;
import org.deft4j.deft.testing.Dense;
import org.deft4j.deft.testing.LayerSample;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.InPlace;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What dropout drops, where, when, and that it can be repeated. */
class DropoutTest {
  private static final int SIDE = 100;

  @Provide
  Arbitrary<LayerSample> layers() {
    return AdapterArbitraries.layers(Conditioning.WELL);
  }

  @Provide
  Arbitrary<Boolean> places() {
    return Arbitraries.of(true, false);
  }

  @Provide
  Arbitrary<Method> methods() {
    return Arbitraries.of(Method.values());
  }

  /** Attached DEFT on the sample's layer with such a dropout, by the start that changes something. */
  private static AdapterSet set(LayerSample sample, Dropout dropout) {
    return set(sample, Method.DEFT, dropout);
  }

  private static AdapterSet set(LayerSample sample, Method method, Dropout dropout) {
    AdapterConfig config = AdapterConfig.of(method, sample.rank()).with(Start.RANDOM).with(Targets.suffixes(List.of("layer")))
        .with(new AdapterExtras(dropout, false, 0));
    AdapterSet set = AdapterSet.create(sample.model(sample.type()), config, new TorchRandom(sample.seed())).attach();
    Optional.ofNullable(adapter(set).tensors().get(LoraAdapter.B)).ifPresent(b -> Dispatch.run(new InPlace.CopyInto(), b,
        new TorchRandom(sample.seed() + 1).normal(b.dtype(), b.shape().toArray()).mul(0.3)));
    return set;
  }

  private static LayerAdapter adapter(AdapterSet set) {
    return set.adapters().get(LayerSample.PATH);
  }

  private static double[] forward(AdapterSet set, Tensor x) {
    return adapter(set).layer().forward(x).toDoubles();
  }

  /** An element is 0 or {@code 1 / (1 - p)} of what it was; the mean of many stays, to six standard deviations. */
  @Property(tries = 60)
  void theMeanIsPreserved(@ForAll @DoubleRange(min = 0.01, max = 0.9) double probability, @ForAll long seed) {
    try (Scope _ = Scope.open()) {
      double[] values = new Dropout(probability, false).apply(Tensor.full(DType.F64, 1, SIDE, SIDE), seed).toDoubles();
      assertTrue(Arrays.stream(values).allMatch(x -> x == 0 || Math.abs(x * (1 - probability) - 1) < 1e-15));
      double deviation = Math.sqrt(probability / (1 - probability)) / SIDE;
      assertEquals(1, Arrays.stream(values).average().orElseThrow(), 6 * deviation);
    }
  }

  /** To the bit. */
  @Property(tries = 40)
  void zeroProbabilityIsTheIdentity(@ForAll("layers") LayerSample sample, @ForAll("places") boolean wholeLayer) {
    try (Scope _ = Scope.open(); AdapterSet without = set(sample, Dropout.NONE); AdapterSet zero = set(sample,
        new Dropout(0, wholeLayer)).setDropoutSeed(1)) {
      assertArrayEquals(forward(without, sample.input()), forward(zero, sample.input()));
      Tensor x = sample.input();
      assertArrayEquals(x.toDoubles(), new Dropout(0, wholeLayer).apply(x, 3).toDoubles());
    }
  }

  /** The authors' form is the layer with a dropped input. PEFT's drops the input of R alone: {@code y0 - (y0 S) L^T + s (x~ R^T) E^T}. */
  @Property(tries = 60)
  void theWholeInputIsDroppedOrThatOfWhatIsInjected(@ForAll("layers") LayerSample sample, @ForAll("places") boolean wholeLayer) {
    Dropout dropout = new Dropout(0.4, wholeLayer);
    try (Scope _ = Scope.open(); AdapterSet set = set(sample, dropout).setDropoutSeed(7); AdapterSet without = set(sample, Dropout.NONE)) {
      AdaptedLayer layer = adapter(without).layer();
      Tensor x = sample.input();
      Tensor dropped = dropout.apply(x, new SplittableRandom(7).nextLong());
      Tensor expected = layer.forward(dropped);
      if (!wholeLayer) {
        without.detach();
        // What the frozen weight made of the dropped elements, and what was removed of that, comes back.
        Tensor missing = layer.product(x.sub(dropped), layer.weight().value());
        Factors factors = new RelaxedDecomposition().factors(adapter(without).tensors().get(DeftAdapter.P), "layer");
        expected = expected.add(LowRankUpdate.remove(factors).applied(layer, x, missing, 1));
      }
      Dense.of(expected).assertNear(Dense.of(adapter(set).layer().forward(x)), sample.tolerance(), wholeLayer ? "whole layer"
          : "injection");
    }
  }

  /** Each method's own place: {@code y(x) + delta(x~) - delta(x)}, where delta is what the method adds or removes and no bias is in it. */
  @Property(tries = 60)
  void everyMethodsOwnInputIsDropped(@ForAll("layers") LayerSample sample, @ForAll("methods") Method method) {
    Dropout dropout = new Dropout(0.4, false);
    try (Scope _ = Scope.open(); AdapterSet set = set(sample, method, dropout).setDropoutSeed(7);
        AdapterSet without = set(sample, method, Dropout.NONE)) {
      AdaptedLayer layer = adapter(without).layer();
      Tensor x = sample.input();
      Tensor dropped = dropout.apply(x, new SplittableRandom(7).nextLong());
      Tensor weight = layer.weight().value();
      LowRankUpdate update = adapter(without).update();
      // Only what is removed beside an injection is that of the undropped product.
      boolean mixed = method == Method.DEFT || method == Method.LORA_PARA;
      Tensor delta = update.delta(layer, dropped, layer.product(mixed ? x : dropped, weight), 1);
      without.detach();
      Dense.of(layer.forward(x).add(delta)).assertNear(Dense.of(adapter(set).layer().forward(x)), sample.tolerance(), method.label());
    }
  }

  /** Authors' PaRa: {@code base(x) - (x~ W^T) Q Q^T}, and with both, LoRA's input alone in PEFT's place, all of it in the authors'. */
  @Property(tries = 40)
  void theWholeLayersInputIsDroppedWhateverTheMethod(@ForAll("layers") LayerSample sample, @ForAll("methods") Method method) {
    Dropout dropout = new Dropout(0.4, true);
    try (Scope _ = Scope.open(); AdapterSet set = set(sample, method, dropout).setDropoutSeed(7);
        AdapterSet without = set(sample, method, Dropout.NONE)) {
      Tensor dropped = dropout.apply(sample.input(), new SplittableRandom(7).nextLong());
      Dense.of(adapter(without).layer().forward(dropped)).assertNear(Dense.of(adapter(set).layer().forward(sample.input())),
          sample.tolerance(), method.label());
    }
  }

  /** A seed says which elements; another says others; outside of training there are none. */
  @Property(tries = 40)
  void theSeedSaysWhichAndOnlyInTraining(@ForAll("layers") LayerSample sample, @ForAll("places") boolean wholeLayer) {
    try (Scope _ = Scope.open(); AdapterSet set = set(sample, new Dropout(0.5, wholeLayer)); AdapterSet without = set(sample,
        Dropout.NONE)) {
      Tensor x = sample.input();
      double[] first = forward(set.setDropoutSeed(1), x);
      assertArrayEquals(first, forward(set, x), "until the next seed");
      boolean others = false;
      for (int seed = 2; seed < 60; seed++) {
        others |= !Arrays.equals(first, forward(set.setDropoutSeed(seed), x));
      }
      assertTrue(others, "no other seed drops other elements");
      assertArrayEquals(first, forward(set.setDropoutSeed(1), x), "the first seed again");
      assertArrayEquals(forward(without.setTraining(false), x), forward(set.setTraining(false), x), "outside of training");
    }
  }

  /** A block that is computed again for its gradient drops the same, so that gradients have the same bits. */
  @Property(tries = 40)
  void aCheckpointDropsTheSameAgain(@ForAll("layers") LayerSample sample, @ForAll("places") boolean wholeLayer) {
    try (Scope _ = Scope.open(); AdapterSet set = set(sample, new Dropout(0.3, wholeLayer)).setDropoutSeed(5)) {
      AdaptedLayer layer = adapter(set).layer();
      List<double[]> plain = gradients(set, sample.input(), false);
      List<double[]> again = gradients(set, sample.input(), true);
      for (int i = 0; i < plain.size(); i++) {
        assertArrayEquals(plain.get(i), again.get(i), "gradient " + i + " of " + layer.weight());
      }
      assertFalse(plain.isEmpty());
    }
  }

  private static List<double[]> gradients(AdapterSet set, Tensor x, boolean checkpoint) {
    AdaptedLayer layer = adapter(set).layer();
    try (Tape tape = Tape.watch(set.trainable())) {
      Tensor y = checkpoint ? Checkpoint.run(t -> layer.forward(t[0]), x) : layer.forward(x);
      Gradients gradients = tape.gradients(y.square().sum());
      return set.trainable().stream().map(t -> gradients.of(t).toDoubles()).toList();
    }
  }
}
