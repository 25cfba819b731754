package org.deft4j.nn;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import org.deft4j.autograd.GradCheck;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

/** Every layer's gradients by its inputs and all its parameters, against central differences in float64. */
class LayerGradientsTest {
  private final RandomWeights random = new RandomWeights(3);

  @TestFactory
  Stream<DynamicTest> layers() {
    Linear adapted = new Linear(4, 3);
    Tensor down = Scope.release(random.tensor(2, 4));
    adapted.attach((x, y0) -> x.linear(down).matmul(Tensor.of(new double[] {1, 2, 3, -1, 0, 2}, 2, 3)).mul(y0));
    Conv2d adaptedConv = new Conv2d(2, 3, 3, 1, 1);
    adaptedConv.attach((x, y0) -> y0.square().mul(0.25));
    return Stream.of(
        layer("linear", new Linear(4, 3), m -> in -> m.forward(in[0]), random.tensor(2, 3, 4)),
        layer("linear without bias", new Linear(4, 3, false), m -> in -> m.forward(in[0]), random.tensor(5, 4)),
        layer("linear with adapter", adapted, m -> in -> m.forward(in[0]), random.tensor(5, 4)),
        layer("conv2d", new Conv2d(2, 3, 3, 1, 1), m -> in -> m.forward(in[0]), random.tensor(2, 2, 4, 3)),
        layer("conv2d 1x1", new Conv2d(2, 3, 1, 1, 0), m -> in -> m.forward(in[0]), random.tensor(2, 2, 4, 3)),
        layer("conv2d in groups without bias", new Conv2d(4, 2, 3, new ConvSpec(2, 1, 0, 1, 1, 2, 1, 1, 2), false),
            m -> in -> m.forward(in[0]), random.tensor(1, 4, 5, 4)),
        layer("conv2d with adapter", adaptedConv, m -> in -> m.forward(in[0]), random.tensor(1, 2, 3, 3)),
        layer("group_norm", new GroupNorm(2, 4, 1e-5), m -> in -> m.forward(in[0]), random.tensor(2, 4, 3, 2)),
        layer("group_norm with silu", new GroupNorm(2, 4, 1e-5), m -> in -> m.forwardSilu(in[0]), random.tensor(2, 4, 3, 2)),
        layer("layer_norm", new LayerNorm(5, 1e-5), m -> in -> m.forward(in[0]), random.tensor(2, 3, 5)),
        layer("layer_norm of a sum", new LayerNorm(5, 1e-5), m -> in -> {
          LayerNorm.OfSum h = m.forwardSum(in[0], in[1]);
          return h.sum().mul(h.norm());
        }, random.tensor(2, 3, 5), random.tensor(2, 3, 5)),
        layer("embedding", new Embedding(5, 3), m -> in -> m.forward(in[0]), Tensor.of(new long[] {4, 0, 4, 1}, 2, 2)),
        layer("timestep embedding", new TimestepEmbedding(4, 3), m -> in -> m.forward(in[0]), random.tensor(2, 4)),
        layer("self-attention", new MultiHeadAttention(6, 6, 2), m -> in -> m.forward(in[0], in[0]),
            random.tensor(2, 3, 6)),
        layer("cross-attention", new MultiHeadAttention(4, 5, 2, true), m -> in -> m.forward(in[0], in[1]),
            random.tensor(2, 3, 4), random.tensor(2, 2, 5)),
        layer("gated feed-forward", new GegluFeedForward(3), m -> in -> m.forward(in[0]), random.tensor(1, 2, 3)),
        layer("upsample", new Upsample2D(2), m -> in -> m.forward(in[0], 5, 3), random.tensor(1, 2, 3, 2)),
        layer("downsample", new Downsample2D(2, true), m -> in -> m.forward(in[0]), random.tensor(1, 2, 4, 5)),
        layer("downsample, padded below", new Downsample2D(2, false), m -> in -> m.forward(in[0]),
            random.tensor(1, 2, 4, 4)));
  }

  @TestFactory
  Stream<DynamicTest> activations() {
    return Stream.of(Activation.values()).map(activation -> dynamicTest(activation.name(), () -> {
      try (Scope _ = Scope.open()) {
        GradCheck.check(in -> activation.apply(in[0]), random.tensor(3, 4).mul(3));
      }
    }));
  }

  private <M extends Module> DynamicTest layer(String name, M module, Function<M, Function<Tensor[], Tensor>> forward,
      Tensor... inputs) {
    random.fill(module);
    List<Tensor> all = new ArrayList<>(List.of(inputs));
    module.parameters().values().forEach(parameter -> all.add(parameter.value()));
    return dynamicTest(name, () -> {
      assertFalse(module.parameters().isEmpty());
      try (Scope _ = Scope.open()) {
        GradCheck.check(forward.apply(module), all.toArray(Tensor[]::new));
      }
      module.close();
    });
  }
}
