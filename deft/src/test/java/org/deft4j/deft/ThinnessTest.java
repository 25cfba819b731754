package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.autograd.Tape;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Conv2d;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.View;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * No method makes anything larger than an activation of its layer, forward or back: with few rows and wide layers every matrix [out, out] or
 * [out, in] would stand out. A DoRA alone needs the lengths of the rows of what it makes of W, once a pass.
 */
class ThinnessTest {
  private static final int WIDTH = 96;
  private static final int RANK = 3;
  /** Rows of the linear layer's input, and positions of the convolution's. */
  private static final int ROWS = 8;

  /** One layer. */
  private static final class Model extends Module {
    final AdaptedLayer layer;

    Model(boolean convolution, TorchRandom random) {
      layer = convolution ? child("layer", new Conv2d(WIDTH, WIDTH, 1, 1, 0)) : child("layer", new Linear(WIDTH, WIDTH));
      parameters().values().forEach(parameter -> parameter.set(random.normal(DType.F32, parameter.shape().toArray()).mul(0.1)));
    }
  }

  private static Stream<AdapterConfig> configs() {
    Stream<AdapterConfig> projecting = Decomposition.known().stream().flatMap(decomposition -> Stream.of(Method.DEFT, Method.PARA, Method.LORA_PARA)
        .filter(method -> method != Method.PARA || decomposition.trainsProjection())
        .map(method -> AdapterConfig.of(method, RANK).with(decomposition)));
    return Stream.concat(Stream.of(AdapterConfig.lora(RANK)), projecting);
  }

  @ParameterizedTest
  @MethodSource("configs")
  void nothingIsLargerThanAnActivation(AdapterConfig plain) {
    for (boolean convolution : new boolean[] {false, true}) {
      for (boolean dropped : new boolean[] {false, true}) {
        if (dropped && plain.method() != Method.DEFT) {
          continue;
        }
        AdapterExtras extras = dropped ? new AdapterExtras(new Dropout(0.5, false), true, 0.2) : plain.extras();
        assertThin(plain.with(Start.RANDOM).with(extras), convolution);
      }
    }
  }

  private static void assertThin(AdapterConfig config, boolean convolution) {
    TorchRandom random = new TorchRandom(0);
    try (Scope _ = Scope.open()) {
      Model model = new Model(convolution, random);
      Tensor x = random.normal(DType.F32, convolution ? new long[] {1, WIDTH, 2, ROWS / 2} : new long[] {1, ROWS, WIDTH});
      try (AdapterSet first = AdapterSet.create(model, config.with(Targets.suffixes(List.of("layer"))), random).attach();
          AdapterSet second = AdapterSet.create(model, config.with(Targets.suffixes(List.of("layer"))), random).setInSequence(true).attach()) {
        List<Tensor> watched = new ArrayList<>(first.trainable());
        watched.addAll(second.trainable());
        watched.add(x);
        List<String> large = new ArrayList<>();
        int[] seen = new int[1];
        Dispatch.Listener listener = (op, _, out) -> {
          seen[0]++;
          Stream.of(out).map(Tensor::shape).filter(shape -> !(op instanceof View) && isLarge(shape)).map(shape -> op.label() + " " + shape)
              .forEach(large::add);
        };
        Dispatch.listen(listener);
        try (Tape tape = Tape.watch(watched)) {
          tape.gradients(model.layer.forward(x).sum());
        } finally {
          Dispatch.unlisten(listener);
        }
        assertTrue(seen[0] > 2, "operations seen: " + seen[0]);
        assertEquals(List.of(), large, config + (convolution ? " of a convolution" : " of a linear layer"));
      }
      model.close();
    }
  }

  /** More than the activations, which have 8 rows, and the factors, which have at most twice 3. */
  private static boolean isLarge(Shape shape) {
    return shape.elementCount() > (long) ROWS * WIDTH;
  }
}
