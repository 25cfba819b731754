package org.deft4j.deft;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;
import org.deft4j.autograd.Tape;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** Captions that each pass encodes: the loss is that of captions encoded before, and its gradient reaches the text encoders. */
class TextEncoderGradientTest {
  private static final double STEP = 0.02;

  private final Path photos = Path.of(System.getProperty("deft4j.root", "..")).resolve("deft/src/demo/photos");

  private static double loss(Objective objective) {
    try (Scope _ = Scope.open()) {
      Supplier<Tensor> pass = objective.draw(2, new TorchRandom(3));
      return pass.get().item();
    }
  }

  @Test
  void theLossIsThatOfEncodedCaptionsAndItsSlopeIsTheGradient() {
    for (Path folder : Fixtures.models()) {
      List<TrainingPicture> pictures = PictureFolder.read(photos, "a toy", 32).subList(0, 2);
      try (StableDiffusion model = StableDiffusion.load(folder.toString());
          TrainingSet encoded = TrainingSet.encode(model, pictures, done -> {});
          TrainingSet ids = TrainingSet.tokenize(model, pictures, done -> {})) {
        double expected = loss(new NoisePrediction(model.unet(), model.scheduler(), encoded.examples()));
        assertEquals(expected, loss(new NoisePrediction(model, ids.examples())), "the same bits");
        model.textEncoders().forEach((part, encoder) -> {
          AdapterConfig config = AdapterConfig.lora(2).with(Targets.suffixes(List.of("layers.0.self_attn.v_proj")));
          try (AdapterSet set = AdapterSet.create(encoder, config, new TorchRandom(1)).attach()) {
            slope(set.adapters().values().iterator().next().tensors().get(LoraAdapter.B), () -> new NoisePrediction(model, ids.examples()));
          }
        });
      }
    }
  }

  private static Tensor gradient(Tensor b, Objective objective) {
    try (Tape tape = Tape.watch(b)) {
      return tape.gradients(objective.draw(2, new TorchRandom(3)).get()).of(b);
    }
  }

  /** Along its gradient g by h the loss changes by {@code h |g|}: central differences, h small beside what bends the loss. */
  private static void slope(Tensor b, Supplier<Objective> fresh) {
    try (Scope _ = Scope.open()) {
      Tensor g = gradient(b, fresh.get());
      double norm = g.norm().item();
      Dispatch.run(new InPlace.AddScaledInto(STEP / norm), b, g);
      double up = loss(fresh.get());
      Dispatch.run(new InPlace.AddScaledInto(-2 * STEP / norm), b, g);
      double down = loss(fresh.get());
      assertEquals(1, (up - down) / (2 * STEP * norm), 0.02, "slope over gradient, gradient " + norm);
    }
  }
}
