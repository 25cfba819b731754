package org.deft4j.nn;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** What runs in one pass where nobody listens has the bits of the steps that a listener is told of, and their gradients. */
class FusedLayersTest {
  private final SplittableRandom random = new SplittableRandom(4);

  private Tensor draw(long... sizes) {
    float[] values = new float[(int) Shape.of(sizes).elementCount()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(values, sizes);
  }

  private <M extends Module> M fill(M module) {
    module.parameters().values().forEach(parameter -> parameter.set(draw(parameter.shape().toArray())));
    return module;
  }

  private record Result(float[] y, List<float[]> gradients) {}

  private static Result run(Module module, Function<Tensor, Tensor> forward, Tensor x, Tensor dy) {
    List<Tensor> watched = new ArrayList<>(List.of(x));
    module.parameters().values().forEach(parameter -> watched.add(parameter.value()));
    try (Scope _ = Scope.open(); Tape tape = Tape.watch(watched)) {
      Tensor y = forward.apply(x);
      float[] values = y.toFloats();
      Gradients gradients = tape.gradients(y, dy);
      return new Result(values, watched.stream().map(tensor -> gradients.of(tensor).toFloats()).toList());
    }
  }

  @Test
  void groupNormWithSilu() {
    try (Scope _ = Scope.open(); GroupNorm norm = fill(new GroupNorm(3, 6, 1e-5))) {
      Tensor x = draw(2, 6, 19, 23).add(2);
      Tensor dy = draw(2, 6, 19, 23);
      Result alone = run(norm, norm::forwardSilu, x, dy);
      List<String> told = new ArrayList<>();
      Result observed;
      try (Module.Listening _ = norm.listen((path, output) -> told.add(path + output.shape()))) {
        observed = run(norm, norm::forwardSilu, x, dy);
      }
      assertEquals(List.of("[2, 6, 19, 23]"), told);
      assertArrayEquals(observed.y(), alone.y());
      for (int i = 0; i < 3; i++) {
        assertArrayEquals(observed.gradients().get(i), alone.gradients().get(i), 2e-4f);
      }
    }
  }

  @Test
  void residualAndLayerNorm() {
    try (Scope _ = Scope.open(); LayerNorm norm = fill(new LayerNorm(67, 1e-5))) {
      Tensor x = draw(300, 67);
      Tensor r = draw(300, 67);
      Tensor dy = draw(300, 67);
      Result fused = run(norm, in -> {
        LayerNorm.OfSum h = norm.forwardSum(in, r);
        return h.sum().add(h.norm().square());
      }, x, dy);
      Result apart = run(norm, in -> {
        Tensor h = in.add(r);
        return h.add(norm.forward(h).square());
      }, x, dy);
      assertArrayEquals(apart.y(), fused.y());
      for (int i = 0; i < 3; i++) {
        assertArrayEquals(apart.gradients().get(i), fused.gradients().get(i));
      }
    }
  }
}
