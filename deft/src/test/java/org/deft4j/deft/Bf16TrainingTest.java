package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Training with activations in BF16, whose numbers have 8 bits: every method, on linear layers and convolutions, learns what it does in F32. */
class Bf16TrainingTest {
  /** Of a loss, relative to it: 30 layers whose results are each rounded to 2^-9. */
  private static final double ROUNDING = 3e-2;

  private static List<Double> losses(Precision precision, AdapterConfig config, boolean checkpointing) {
    Precision before = Precision.current();
    Precision.use(precision);
    TorchRandom random = new TorchRandom(3);
    List<TrainingExample> examples = TinyUnet.examples(3, 0);
    List<Double> losses = new ArrayList<>();
    try (UNet2DConditionModel unet = TinyUnet.create(); AdapterSet set = AdapterSet.create(unet, config, random)) {
      unet.setGradientCheckpointing(checkpointing);
      set.attach();
      TrainingOptions options = new TrainingOptions(8, 1e-2, 0.1, 0.999, 1e-4, 1, "constant", 0, 2, 1, checkpointing);
      new Trainer(new NoisePrediction(unet, TinyUnet.scheduler(), examples), set, options, random)
          .run(step -> losses.add(step.loss()), () -> false);
      for (Tensor trained : set.trainable()) {
        assertEquals(DType.F32, trained.dtype());
      }
      return losses;
    } finally {
      examples.forEach(TrainingExample::close);
      Precision.use(before);
    }
  }

  private static void learnsAlike(AdapterConfig config) {
    List<Double> exact = losses(Precision.FULL, config, false);
    List<Double> rounded = losses(Precision.BF16, config, false);
    assertNotEquals(exact, rounded);
    for (int i = 0; i < exact.size(); i++) {
      assertEquals(exact.get(i), rounded.get(i), ROUNDING * exact.get(i), "loss " + i);
    }
    assertEquals(rounded, losses(Precision.BF16, config, true), "with checkpointing");
  }

  @ParameterizedTest
  @EnumSource(Method.class)
  void everyMethodLearnsWhatItDoesInF32(Method method) {
    learnsAlike(AdapterConfig.of(method, 2).with(Targets.suffixes(List.of("to_q", "to_out.0", "conv1"))));
  }

  @ParameterizedTest
  @EnumSource(Method.class)
  void withDropoutOfEitherKind(Method method) {
    for (boolean wholeLayer : new boolean[] {false, true}) {
      AdapterExtras extras = new AdapterExtras(new Dropout(0.2, wholeLayer), false, 0);
      learnsAlike(AdapterConfig.of(method, 2).with(extras).with(Targets.suffixes(List.of("to_q", "conv1"))));
    }
  }

  @Test
  void predictionsAreOfTheSamplesType() {
    Precision before = Precision.current();
    try (UNet2DConditionModel unet = TinyUnet.create()) {
      Precision.use(Precision.BF16);
      TorchRandom random = new TorchRandom(4);
      try (Tensor sample = random.normal(DType.F32, 2, 4, 4, 4); Tensor context = random.normal(DType.F32, 2, 5, 6);
          Tensor time = Tensor.full(DType.F32, 7, 2); Tensor prediction = unet.forward(sample, time, context, null)) {
        assertEquals(DType.F32, prediction.dtype());
        Precision.use(Precision.FULL);
        try (Tensor exact = unet.forward(sample, time, context, null); Tensor off = exact.sub(prediction)) {
          double relative = off.norm().item() / exact.norm().item();
          assertTrue(relative > 1e-5 && relative < ROUNDING, "off by " + relative);
        }
      }
    } finally {
      Precision.use(before);
    }
  }
}
