package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The training loss and its gradients against the official {@code training_losses}: rows of several sizes, and of one. */
class RectifiedFlowGoldenTest {
  private static final double LOSS = 5e-6;
  private static final double TIMES_RECORDED = 10;
  /** Norms are recorded with six digits. */
  private static final double NORM = 1e-5;
  private static final List<String> CASES = List.of("train", "train_flat");

  static List<OmniGenModelFixture> fixtures() {
    return OmniGenModelFixture.all();
  }

  /** A recorded batch. */
  private record Batch(OmniGenModelFixture.Condition condition, List<Tensor> x1, List<Tensor> x0, Tensor t, List<Tensor> xt) {
    static Batch of(OmniGenModelFixture fixture, String name, Map<String, Tensor> golden) {
      List<Tensor> x1 = OmniGenModelFixture.list(golden, "x1");
      List<Tensor> x0 = OmniGenModelFixture.list(golden, "x0");
      Tensor t = golden.get("t");
      List<Tensor> xt = new ArrayList<>();
      for (int i = 0; i < x1.size(); i++) {
        xt.add(RectifiedFlow.point(x1.get(i), x0.get(i), t.toFloats()[i]));
      }
      return new Batch(fixture.condition(name, golden), x1, x0, t, xt);
    }

    List<Tensor> predictions(OmniGenTransformer model) {
      return model.forward(condition.input(), condition.pictures(), xt, t, null);
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void lossesAndGradients(OmniGenModelFixture fixture) {
    JsonObject recorded = Json.read(fixture.folder().resolve("tolerances.json"));
    for (String name : CASES) {
      try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(null)) {
        Map<String, Tensor> golden = fixture.golden(name);
        Batch batch = Batch.of(fixture, name, golden);
        List<Tensor> expected = OmniGenModelFixture.list(golden, "xt");
        List<Parameter> parameters = model.parameters().values().stream().filter(p -> !p.isBuffer()).toList();
        List<Tensor> watched = new ArrayList<>(parameters.stream().map(Parameter::value).toList());
        watched.addAll(batch.xt());
        batch.condition().pictures().forEach(watched::addAll);
        try (Tape tape = Tape.watch(watched)) {
          List<Tensor> predictions = batch.predictions(model);
          Tensor loss = RectifiedFlow.loss(predictions, batch.x1(), batch.x0());
          Fixtures.closeTo(name + " loss", loss.reshape(1), golden.get("loss.mean"), LOSS);
          for (int i = 0; i < predictions.size(); i++) {
            Fixtures.closeTo(name + " xt " + i, batch.xt().get(i), expected.get(i), 1e-6);
            Fixtures.closeTo(name + " output " + i, predictions.get(i), OmniGenModelFixture.list(golden, "output").get(i), 5e-5);
            Tensor own = RectifiedFlow.loss(predictions.subList(i, i + 1), batch.x1().subList(i, i + 1), batch.x0().subList(i, i + 1));
            Fixtures.closeTo(name + " loss of sample " + i, own.reshape(1), golden.get("loss.per_sample").slice(0, i, i + 1L), LOSS);
          }
          Gradients gradients = tape.gradients(loss);
          checkNorms(name, fixture.cases().requireObject(name), model, gradients);
          check(name, golden, recorded.requireObject(name + ".safetensors"), model, batch, gradients);
        }
      }
    }
  }

  private static void checkNorms(String name, JsonObject recorded, OmniGenTransformer model, Gradients gradients) {
    JsonObject norms = recorded.requireObject("grad_norms");
    double squares = 0;
    for (String key : norms.keys()) {
      double norm = gradients.of(model.parameters().get(key).value()).norm().item();
      assertEquals(norms.requireNumber(key), norm, NORM * norm, name + " norm of " + key);
      squares += norm * norm;
    }
    double global = recorded.requireNumber("global_grad_norm");
    assertEquals(global, Math.sqrt(squares), NORM * global, name + " global norm");
    long trained = model.parameters().values().stream().filter(parameter -> !parameter.isBuffer()).count();
    assertEquals(trained, norms.keys().size(), "every parameter has a recorded norm");
  }

  private static void check(String name, Map<String, Tensor> golden, JsonObject recorded, OmniGenTransformer model, Batch batch,
      Gradients gradients) {
    List<Tensor> latents = batch.condition().pictures().stream().flatMap(List::stream).toList();
    List<Tensor> xt = new ArrayList<>();
    int compared = 0;
    for (Map.Entry<String, Tensor> entry : golden.entrySet()) {
      String key = entry.getKey();
      if (!key.startsWith("grad.")) {
        continue;
      }
      String what = key.substring("grad.".length());
      Tensor gradient;
      if (what.startsWith("input_latent.")) {
        gradient = gradients.of(latents.get(Integer.parseInt(what.substring("input_latent.".length()))));
      } else if (what.startsWith("xt.")) {
        gradient = gradients.of(batch.xt().get(Integer.parseInt(what.substring("xt.".length()))));
      } else if (what.equals("xt")) {
        batch.xt().forEach(x -> xt.add(gradients.of(x)));
        gradient = Tensor.concat(0, xt);
      } else {
        gradient = gradients.of(model.parameters().get(what).value());
      }
      // The gradients by x_t have no entry; they are of the size of those by the input latents.
      double limit = recorded.has(key) ? TIMES_RECORDED * recorded.requireObject(key).requireNumber("max_diff_float64") : 1e-6;
      Fixtures.closeTo(name + " " + key, gradient, entry.getValue(), limit);
      compared++;
    }
    assertTrue(compared > 0, "no gradients in " + name);
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void checkpointingHasTheSameBits(OmniGenModelFixture fixture) {
    for (String name : CASES) {
      try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(null)) {
        Batch batch = Batch.of(fixture, name, fixture.golden(name));
        List<Tensor> watched = model.parameters().values().stream().filter(p -> !p.isBuffer()).map(Parameter::value).toList();
        List<List<Tensor>> both = new ArrayList<>();
        for (boolean checkpointing : new boolean[] {false, true}) {
          model.setGradientCheckpointing(checkpointing);
          try (Tape tape = Tape.watch(watched)) {
            Gradients gradients = tape.gradients(RectifiedFlow.loss(batch.predictions(model), batch.x1(), batch.x0()));
            both.add(watched.stream().map(gradients::of).toList());
          }
        }
        for (int i = 0; i < watched.size(); i++) {
          assertArrayEquals(both.get(0).get(i).toFloats(), both.get(1).get(i).toFloats(), watched.get(i).toString());
        }
      }
    }
  }
}
