package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.nn.Losses;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The autoencoder against diffusers': the posterior and all that is made of it, pictures, gradients, every part. */
class VaeGoldenTest {
  private static final double VALUE = 3e-5;
  private static final double GRADIENT = 2e-4;
  /** As in the fixtures' own loss. */
  private static final double KL_WEIGHT = 1e-3;

  static List<TinyModel> models() {
    return TinyModel.all();
  }

  @ParameterizedTest
  @MethodSource("models")
  void picturesToLatentsAndBack(TinyModel model) {
    try (Scope _ = Scope.open(); AutoencoderKL vae = model.vae(); Activations activations = new Activations(vae)) {
      Map<String, Tensor> golden = model.golden("vae");
      Tensor moments = vae.moments(golden.get("image"));
      AutoencoderKL.Posterior posterior = AutoencoderKL.Posterior.of(moments);
      Tensor sample = posterior.sample(golden.get("sample_noise"));
      Tensor scaled = vae.scale(sample);
      Fixtures.closeTo("moments", moments, golden.get("moments"), VALUE);
      Fixtures.closeTo("mean", posterior.mean(), golden.get("mean"), VALUE);
      Fixtures.closeTo("mode", posterior.mode(), golden.get("mode"), VALUE);
      Fixtures.closeTo("logvar", posterior.logVariance(), golden.get("logvar"), VALUE);
      Fixtures.closeTo("std", posterior.std(), golden.get("std"), VALUE);
      Fixtures.closeTo("sample", sample, golden.get("sample"), VALUE);
      Fixtures.closeTo("latents_scaled", scaled, golden.get("latents_scaled"), VALUE);
      Fixtures.closeTo("decode_input", vae.unscale(scaled), golden.get("decode_input"), VALUE);
      Fixtures.relativelyCloseTo("kl", posterior.kl(), golden.get("kl"), 1e-5);
      Fixtures.closeTo("decoded", vae.decode(golden.get("decode_input")), golden.get("decoded"), VALUE);
      if (model.hasGolden("vae_activations")) {
        assertTrue(activations.compare(model.golden("vae_activations"), VALUE) > 10);
      }
      assertEquals(golden.get("image").size(2) / vae.config().downscale(), sample.size(2));
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void lossAndGradients(TinyModel model) {
    try (Scope _ = Scope.open(); AutoencoderKL vae = model.vae()) {
      Map<String, Tensor> golden = model.golden("vae");
      Tensor image = golden.get("image");
      List<Tensor> watched = new ArrayList<>(vae.parameters().values().stream().map(Parameter::value).toList());
      watched.add(image);
      try (Tape tape = Tape.watch(watched)) {
        AutoencoderKL.Posterior posterior = vae.encode(image);
        Tensor decoded = vae.decode(posterior.sample(golden.get("sample_noise")));
        Tensor loss = Losses.mse(decoded, golden.get("target")).add(posterior.kl().mean().mul(KL_WEIGHT));
        Fixtures.relativelyCloseTo("loss", loss, golden.get("loss"), 2e-6);
        Gradients gradients = tape.gradients(loss);
        Map<String, Tensor> expected = TinyModel.gradients(golden);
        assertTrue(expected.size() > 1);
        expected.forEach((name, gradient) -> Fixtures.relativelyCloseTo(name,
            gradients.of(name.equals("image") ? image : vae.parameters().get(name).value()), gradient, GRADIENT));
      }
    }
  }
}
