package org.deft4j.autograd;

import java.util.function.UnaryOperator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The float32 gradients of fused operations are those of the operations they are fused of; and where there are none. */
@ExtendWith(LeakCheck.class)
class FusedGradientsTest {
  /** A few units in the last place of gradients of size 1. */
  private static final float TOLERANCE = 1e-6f;

  private final TorchRandom random = new TorchRandom(6);

  private Tensor draw(long... sizes) {
    return random.normal(DType.F32, sizes);
  }

  private static float[] gradient(Tensor x, Tensor dy, UnaryOperator<Tensor> function) {
    try (Scope _ = Scope.open(); Tape tape = Tape.watch(x)) {
      return tape.gradients(function.apply(x), dy).of(x).toFloats();
    }
  }

  @Test
  void rotary() {
    try (Scope _ = Scope.open()) {
      Tensor angle = draw(2, 1, 40, 24);
      Tensor cos = angle.cos();
      Tensor sin = angle.sin();
      Tensor x = draw(2, 40, 3, 48);
      Tensor dy = draw(2, 40, 3, 48).transpose(1, 2);
      float[] composite = gradient(x, dy, rows -> {
        Tensor h = rows.transpose(1, 2);
        Tensor a = h.slice(-1, 0, 24);
        Tensor b = h.slice(-1, 24, 48);
        return Tensor.concat(-1, a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin)));
      });
      assertArrayEquals(composite, gradient(x, dy, rows -> rows.transpose(1, 2).rotary(cos, sin)), TOLERANCE);
    }
  }

  @Test
  void gates() {
    try (Scope _ = Scope.open()) {
      Tensor x = draw(40, 200);
      Tensor dy = draw(40, 100);
      assertArrayEquals(gradient(x, dy, h -> h.slice(-1, 0, 100).mul(h.slice(-1, 100, 200).gelu())), gradient(x, dy, Tensor::geglu),
          TOLERANCE);
      assertArrayEquals(gradient(x, dy, h -> h.slice(-1, 0, 100).silu().mul(h.slice(-1, 100, 200))), gradient(x, dy, Tensor::swiglu),
          TOLERANCE);
    }
  }

  @Test
  void cosAndSinHaveNone() {
    try (Scope _ = Scope.open()) {
      Tensor x = draw(5, 8);
      Tensor cos = draw(5, 4);
      Tensor sin = draw(5, 4);
      for (Tensor constant : new Tensor[] {cos, sin}) {
        try (Tape _ = Tape.watch(constant)) {
          var error = assertThrows(UnsupportedOperationException.class, () -> x.rotary(cos, sin));
          assertTrue(error.getMessage().startsWith("rotary: not differentiable by cos and sin"), error.getMessage());
        }
      }
    }
  }
}
