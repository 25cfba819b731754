package org.deft4j.deft;

import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * One layer of every DEFT that PEFT and the paper know, recorded with OmniGen's models: output, all gradients, merged weight,
 * identity start.
 */
class DeftLayerGoldenTest {
  private static final double TOLERANCE = 2e-5;

  @TestFactory
  Stream<DynamicTest> layers() {
    return Fixtures.folders("deft_layer").stream().map(folder -> folder.resolve("deft_layer.safetensors")).flatMap(file ->
        Stream.of(new RelaxedDecomposition(), new ReluDecomposition(), new QrDecomposition()).map(decomposition ->
            DynamicTest.dynamicTest(file.getParent().getFileName() + " " + decomposition.method(), () -> {
              try (Scope _ = Scope.open()) {
                layer(Fixtures.golden(file), decomposition);
              }
            })));
  }

  private static void layer(Map<String, Tensor> golden, Decomposition decomposition) {
    String variant = decomposition.method() + ".";
    Tensor weight = golden.get("W");
    Linear layer = new Linear(weight.size(1), weight.size(0), false);
    layer.weight().set(weight.share());
    try (layer; DeftAdapter adapter = new DeftAdapter("layer", layer, new Projection(golden.get("P").copy(), decomposition),
        golden.get("R").copy(), null, 1)) {
      layer.attach(adapter);
      Tensor x = golden.get("x").copy();
      Tensor p = adapter.tensors().get(DeftAdapter.P);
      Tensor r = adapter.tensors().get(DeftAdapter.R);
      try (Tape tape = Tape.watch(x, p, r)) {
        Tensor y = layer.forward(x);
        Fixtures.closeTo("y", y, golden.get(variant + "y"), TOLERANCE);
        Gradients gradients = tape.gradients(y, golden.get("upstream"));
        Fixtures.closeTo("dx", gradients.of(x), golden.get(variant + "grad_x"), TOLERANCE);
        Fixtures.closeTo("dP", gradients.of(p), golden.get(variant + "grad_P"), TOLERANCE);
        Fixtures.closeTo("dR", gradients.of(r), golden.get(variant + "grad_R"), TOLERANCE);
      }
      Fixtures.closeTo("merged", weight.add(adapter.weightDelta(weight)), golden.get(variant + "W_merged"), TOLERANCE);
      Tensor start = golden.get("identity_init.R." + decomposition.method());
      if (start != null) {
        Tensor ours = DeftAdapter.identityInput(new Projection(p, decomposition), weight, 1, "layer");
        Fixtures.closeTo("identity start", ours, start, TOLERANCE);
      }
      if (golden.containsKey(variant + "Q")) {
        Fixtures.closeTo("Q", decomposition.factors(p, "layer").left(), golden.get(variant + "Q"), TOLERANCE);
      }
      assertTrue(golden.containsKey(variant + "y"), "the variant is recorded");
    }
  }
}
