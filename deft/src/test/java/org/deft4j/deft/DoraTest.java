package org.deft4j.deft;

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
import org.deft4j.deft.testing.LayerSample;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** DoRA against {@code diag(m / n) (W + s B A)} with n the lengths of its rows, formed in plain Java. */
class DoraTest {
  private static final int LENGTHS = -5;

  @Provide
  Arbitrary<LayerSample> layers() {
    return AdapterArbitraries.layers(Conditioning.WELL);
  }

  /** m [out, 1], none of it near 0. */
  private static Dense lengths(LayerSample sample) {
    return Dense.normal(sample.seed() + LENGTHS, sample.out(), 1).map(x -> x + Math.copySign(0.1, x)).rounded(sample.type());
  }

  private static Dense sum(LayerSample sample) {
    return sample.weight().plus(sample.b().times(sample.r()).times(sample.scale()));
  }

  private static double length(double[] row) {
    double squares = 0;
    for (double x : row) {
      squares += x * x;
    }
    return Math.sqrt(squares);
  }

  /** {@code factor(i)} times row i. */
  private static Dense timesRows(Dense matrix, double[] factors) {
    return matrix.t().timesColumns(factors).t();
  }

  /** c. */
  private static double[] factors(LayerSample sample) {
    double[] factors = new double[sample.out()];
    for (int i = 0; i < factors.length; i++) {
      factors[i] = lengths(sample).rows()[i][0] / length(sum(sample).rows()[i]);
    }
    return factors;
  }

  /** By how much an error of the squares of the lengths grows: {@code (|w_i| + s |b_i A|)^2 / n_i^2}, the largest. */
  private static double amplification(LayerSample sample) {
    Dense added = sample.b().times(sample.r()).times(sample.scale());
    double largest = 1;
    for (int i = 0; i < sample.out(); i++) {
      double ratio = (length(sample.weight().rows()[i]) + length(added.rows()[i])) / length(sum(sample).rows()[i]);
      largest = Math.max(largest, ratio * ratio);
    }
    return largest;
  }

  private static DoraAdapter dora(LayerSample sample, AdaptedLayer layer) {
    long[] sizes = layer.weight().shape().toArray();
    sizes[0] = sample.rank();
    return new DoraAdapter(LayerSample.PATH, layer, sample.tensor(sample.r()).reshape(sizes), sample.tensor(sample.b()), sample.scale(),
        sample.tensor(lengths(sample)).reshape(sample.out()));
  }

  /** On every kind of layer, with bias and strength; the same bits outside of training; gone when detached. */
  @Property(tries = 40)
  void equalsItsDenseForm(@ForAll("layers") LayerSample sample) {
    Dense delta = timesRows(sum(sample), factors(sample)).minus(sample.weight()).times(sample.strength());
    try (Scope _ = Scope.open(); DoraAdapter adapter = dora(sample, sample.layer())) {
      AdaptedLayer layer = adapter.layer();
      double tolerance = sample.tolerance() * amplification(sample);
      adapter.setStrength(sample.strength());
      layer.attach(adapter);
      Tensor answer = layer.forward(sample.input());
      sample.forward(sample.weight().plus(delta)).assertNear(Dense.of(answer), tolerance, "forward");
      delta.assertNear(Dense.of(adapter.weightDelta(layer.weight().value())), tolerance, "delta W");
      adapter.setTraining(false);
      assertArrayEquals(answer.toDoubles(), layer.forward(sample.input()).toDoubles(), "outside of training");
      layer.detach(adapter);
      sample.forward(sample.weight()).assertNear(Dense.of(layer.forward(sample.input())), sample.tolerance(), "detached");
    }
  }

  /** The lengths of W's rows are those that it starts with, and {@code m / n} is 1 to the bit. */
  @Property(tries = 40)
  void changesNothingAtFirst(@ForAll("layers") LayerSample sample) {
    AdapterConfig config = AdapterConfig.dora(sample.rank()).withAlpha(sample.scale() * sample.rank())
        .with(Targets.suffixes(List.of("layer")));
    try (Scope _ = Scope.open()) {
      LayerSample.OneLayer model = sample.model(sample.type());
      double[] before = model.layer().forward(sample.input()).toDoubles();
      try (AdapterSet set = AdapterSet.create(model, config, new TorchRandom(sample.seed())).attach()) {
        assertArrayEquals(before, model.layer().forward(sample.input()).toDoubles());
        LayerAdapter adapter = set.adapters().get(LayerSample.PATH);
        assertEquals(0, Dense.of(adapter.weightDelta(model.layer().weight().value())).largest(), "delta W");
        Dense rows = Dense.zeros(sample.out(), 1);
        for (int i = 0; i < sample.out(); i++) {
          rows.rows()[i][0] = length(sample.weight().rows()[i]);
        }
        rows.assertNear(Dense.of(adapter.tensors().get(DoraAdapter.MAGNITUDE)), sample.tolerance(), "m");
        assertEquals(config.parameterCount(model.layer().weight().shape()), set.parameterCount());
      }
    }
  }

  /**
   * With {@code y = x W'^T}, G the loss's gradient by y, and n held fixed: {@code dm = sum of G * x (W + s B A)^T / n},
   * {@code dB = (c G)^T s x A^T}, {@code dA = s (c G B)^T x}, {@code dx = c G (W + s B A)}.
   */
  @Property(tries = 40)
  void theLengthsOfTheSumAreConstants(@ForAll("layers") LayerSample any) {
    LayerSample sample = new LayerSample(LayerSample.Kind.LINEAR, any.in(), any.out(), any.rank(), any.batch(), any.bias(), false, false,
        DType.F64, any.scale(), 1, any.conditioning(), any.seed());
    try (Scope _ = Scope.open(); DoraAdapter adapter = dora(sample, sample.layer())) {
      adapter.layer().attach(adapter);
      Tensor input = sample.input();
      Dense x = Dense.of(input);
      Dense g = Dense.normal(sample.seed() + 1000, sample.batch(), sample.out());
      Tensor a = adapter.tensors().get(LoraAdapter.A);
      Tensor b = adapter.tensors().get(LoraAdapter.B);
      Tensor m = adapter.tensors().get(DoraAdapter.MAGNITUDE);
      try (Tape tape = Tape.watch(a, b, m, input)) {
        Gradients gradients = tape.gradients(adapter.layer().forward(input).mul(sample.tensor(g)).sum());
        Dense scaled = g.timesColumns(factors(sample));
        double tolerance = sample.tolerance() * amplification(sample);
        scaled.t().times(x.times(sample.r().t())).times(sample.scale()).assertNear(Dense.of(gradients.of(b)), tolerance, "dB");
        scaled.times(sample.b()).t().times(x).times(sample.scale()).assertNear(Dense.of(gradients.of(a)), tolerance, "dA");
        scaled.times(sum(sample)).assertNear(Dense.of(gradients.of(input)), tolerance, "dx");
        Dense dm = Dense.zeros(sample.out(), 1);
        Dense products = g.zip(x.times(sum(sample).t()), (left, right) -> left * right);
        for (int i = 0; i < sample.out(); i++) {
          for (int n = 0; n < sample.batch(); n++) {
            dm.rows()[i][0] += products.rows()[n][i] / length(sum(sample).rows()[i]);
          }
        }
        dm.assertNear(Dense.of(gradients.of(m)), tolerance, "dm");
      }
    }
  }

  /** PEFT's: {@code y = y0 + (c - 1) x~ W^T + c s x~ A^T B^T + b}. */
  @Property(tries = 40)
  void dropoutIsThatOfPeft(@ForAll("layers") LayerSample sample) {
    Dropout dropout = new Dropout(0.4, false);
    try (Scope _ = Scope.open(); DoraAdapter adapter = dora(sample, sample.layer())) {
      AdaptedLayer layer = adapter.layer();
      Tensor x = sample.input();
      Tensor plain = layer.forward(x);
      Tensor dropped = dropout.apply(x, 9);
      Tensor c = sample.tensor(Dense.zeros(1, sample.out()).map(_ -> 1).timesColumns(factors(sample))).reshape(sample.out());
      Tensor thin = layer.mixOutputs(layer.product(dropped, adapter.tensors().get(LoraAdapter.A)), adapter.tensors().get(LoraAdapter.B));
      Tensor expected = plain.add(layer.scaleOutputs(layer.product(dropped, layer.weight().value()), c.add(-1)))
          .add(layer.scaleOutputs(thin.mul(sample.scale()), c));
      adapter.setDropout(dropout, 9);
      layer.attach(adapter);
      Dense.of(expected).assertNear(Dense.of(layer.forward(x)), sample.tolerance() * amplification(sample), "dropout");
    }
  }

  /** {@code [3, 4] + 2 [1] [1, 0] = [5, 4]} of length sqrt 41, brought to 10; and {@code [0, 2]} with b = 0, brought to 1. */
  @Test
  void byHand() {
    try (Scope _ = Scope.open()) {
      Linear layer = layer(3, 4, 0, 2);
      Tensor a = Tensor.of(new double[] {1, 0}, 1, 2);
      Tensor b = Tensor.of(new double[] {1, 0}, 2, 1);
      try (DoraAdapter adapter = new DoraAdapter("layer", layer, a, b, 2, Tensor.of(new double[] {10, 1}, 2))) {
        layer.attach(adapter);
        double n = Math.sqrt(41);
        Tensor y = layer.forward(Tensor.of(new double[] {7, -1}, 1, 2));
        assertArrayEquals(new double[] {10 * (5 * 7 + 4 * -1) / n, -1}, y.toDoubles(), 1e-12);
        Tensor delta = adapter.weightDelta(layer.weight().value());
        assertArrayEquals(new double[] {50 / n - 3, 40 / n - 4, 0, -1}, delta.toDoubles(), 1e-12);
      }
    }
  }

  /** A row of zeros has no length to divide by. */
  @Test
  void aRowOfZerosStaysOne() {
    try (Scope _ = Scope.open()) {
      Linear layer = layer(0, 0, 0, 2);
      Tensor a = Tensor.of(new double[] {1, 0}, 1, 2);
      try (DoraAdapter adapter = DoraAdapter.start("layer", layer, a, Tensor.zeros(DType.F64, 2, 1), 1)) {
        layer.attach(adapter);
        assertArrayEquals(new double[] {0, -2}, layer.forward(Tensor.of(new double[] {7, -1}, 1, 2)).toDoubles());
      }
    }
  }

  /** The lengths are those of the weight that the layer has, kept or not. */
  @Test
  void anotherWeightHasOtherLengths() {
    try (Scope _ = Scope.open()) {
      Linear layer = layer(3, 4, 0, 2);
      Tensor a = Tensor.of(new double[] {1, 0}, 1, 2);
      try (DoraAdapter adapter = DoraAdapter.start("layer", layer, a, Tensor.zeros(DType.F64, 2, 1), 1)) {
        layer.attach(adapter);
        for (boolean training : new boolean[] {true, false}) {
          adapter.setTraining(training);
          Tensor original = layer.weight().value().share();
          assertArrayEquals(new double[] {17, -2}, layer.forward(Tensor.of(new double[] {7, -1}, 1, 2)).toDoubles());
          layer.weight().set(Scope.release(Tensor.of(new double[] {30, 40, 2, 0}, 2, 2)));
          assertArrayEquals(new double[] {17, 14}, layer.forward(Tensor.of(new double[] {7, -1}, 1, 2)).toDoubles(), 1e-12);
          layer.weight().set(original);
        }
      }
    }
  }

  private static Linear layer(double... weight) {
    Linear layer = new Linear(2, 2, false);
    layer.weight().set(Scope.release(Tensor.of(weight, 2, 2)));
    return layer;
  }
}
