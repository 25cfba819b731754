package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.autograd.Checkpoint;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.Decompose;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Factors that are worked out together for a pass: the bits of those that each layer works out, outside and inside a checkpoint. */
class PreparedFactorsTest {
  private static final TorchRandom RANDOM = new TorchRandom(5);

  /** Layers of two shapes, used once or twice. */
  private static final class Stack extends Module {
    private final Linear a = child("a", new Linear(12, 20, true));
    private final Linear b = child("b", new Linear(20, 20, false));
    private final Linear c = child("c", new Linear(20, 12, true));

    Tensor forward(Tensor x, boolean twice, boolean checkpointing) {
      Tensor first = turn(x, checkpointing);
      return twice ? turn(first, checkpointing) : first;
    }

    private Tensor turn(Tensor x, boolean checkpointing) {
      return checkpointing ? Checkpoint.run(in -> inner(in[0]), x) : inner(x);
    }

    private Tensor inner(Tensor x) {
      return c.forward(b.forward(a.forward(x).silu()).silu());
    }
  }

  private static Stack stack() {
    Stack stack = new Stack();
    stack.parameters().forEach((_, parameter) -> {
      try (Scope scope = Scope.open()) {
        parameter.set(scope.keep(RANDOM.normal(DType.F32, parameter.shape().toArray()).mul(0.3)));
      }
    });
    return stack;
  }

  private static AdapterConfig config(String method) {
    AdapterConfig config = switch (method) {
      case "para" -> AdapterConfig.para(3);
      case "lora" -> AdapterConfig.lora(3);
      default -> AdapterConfig.deft(3).with(Decomposition.named(method));
    };
    return config.with(Targets.suffixes(List.of("a", "b", "c")));
  }

  private static List<float[]> gradients(Stack stack, AdapterSet set, Tensor x, boolean twice, boolean checkpointing, boolean prepared) {
    List<float[]> found = new ArrayList<>();
    try (Scope _ = Scope.open(); Tape tape = Tape.watch(set.trainable()); Trainable.Prepared _ = prepared ? set.prepare() : () -> {}) {
      Tensor loss = stack.forward(x, twice, checkpointing).square().sum();
      Gradients gradients = tape.gradients(loss);
      found.add(loss.toFloats());
      set.trainable().forEach(t -> found.add(gradients.of(t).toFloats()));
    }
    return found;
  }

  @ParameterizedTest
  @CsvSource({"para, lora", "para, qr", "qr, para", "qr+p, para", "relaxed, qr", "svd, para", "lora, para"})
  void sameBits(String method, String beside) {
    try (Stack stack = stack(); Scope _ = Scope.open(); AdapterSet _ = AdapterSet.create(stack, config(beside), RANDOM).attach();
        AdapterSet set = AdapterSet.create(stack, config(method), RANDOM).attach()) {
      Tensor x = RANDOM.normal(DType.F32, 7, 12);
      same(gradients(stack, set, x, false, false, false), gradients(stack, set, x, false, false, true), 0);
      same(gradients(stack, set, x, false, true, false), gradients(stack, set, x, false, true, true), 0);
      // What comes back through two uses is added before the decomposition and not after it.
      List<float[]> twice = gradients(stack, set, x, true, false, true);
      same(gradients(stack, set, x, true, false, false), twice, 1e-5F);
      same(twice, gradients(stack, set, x, true, true, true), 0);
    }
  }

  private static void same(List<float[]> expected, List<float[]> found, float tolerance) {
    assertEquals(expected.size(), found.size());
    for (int i = 0; i < expected.size(); i++) {
      float largest = 0;
      for (float value : expected.get(i)) {
        largest = Math.max(largest, Math.abs(value));
      }
      if (tolerance == 0) {
        assertArrayEquals(expected.get(i), found.get(i));
      } else {
        assertArrayEquals(expected.get(i), found.get(i), tolerance * largest);
      }
    }
  }

  /** A layer that a pass does not come to has a gradient with the others of its shape, and is told apart. */
  @Test
  void layersThatAreNotUsedAreKnown() {
    try (Stack stack = stack(); Scope _ = Scope.open(); AdapterSet set = AdapterSet.create(stack, config("para"), RANDOM).attach()) {
      Tensor x = RANDOM.normal(DType.F32, 7, 12);
      try (Tape tape = Tape.watch(set.trainable()); Trainable.Prepared prepared = set.prepare()) {
        assertEquals(3, prepared.unused().size());
        tape.gradients(stack.c.forward(stack.a.forward(x)).square().sum());
        assertEquals(List.of(set.adapters().get("b").trainable().get(DeftAdapter.P)), prepared.unused());
      }
    }
  }

  /** One operation for the layers of a shape, and none for what is switched off or not trained. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void oneForAll(boolean checkpointing) {
    try (Stack stack = stack(); Scope _ = Scope.open(); AdapterSet set = AdapterSet.create(stack, config("para"), RANDOM).attach()) {
      Tensor x = RANDOM.normal(DType.F32, 7, 12);
      List<String> decomposed = new ArrayList<>();
      Dispatch.Listener listener = (op, inputs, _) -> {
        if (op instanceof Decompose) {
          decomposed.add(op.label() + " " + inputs[0].shape());
        }
      };
      Dispatch.listen(listener);
      try {
        gradients(stack, set, x, false, checkpointing, true);
        assertEquals(List.of("qr [2, 20, 3]", "qr [1, 12, 3]", "qr_grad [1, 12, 3]", "qr_grad [2, 20, 3]"), decomposed);
        decomposed.clear();
        set.setEnabled(false).prepare().close();
        set.setEnabled(true).setTraining(false).prepare().close();
        assertEquals(List.of(), decomposed);
      } finally {
        Dispatch.unlisten(listener);
      }
    }
  }
}
