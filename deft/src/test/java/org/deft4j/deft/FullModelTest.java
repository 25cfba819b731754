package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Full fine-tuning: every parameter learns, and what was learned can be written and read. */
class FullModelTest {
  @TempDir
  Path folder;

  private final Path photos = Fixtures.repository().resolve("deft/src/demo/photos");

  @Test
  void theLossFallsAndTheWrittenModelIsTheTrainedOne() throws IOException {
    for (Path path : Fixtures.models()) {
      try (StableDiffusion model = StableDiffusion.load(path.toString(), DType.F32);
          StableDiffusion original = StableDiffusion.load(path.toString(), DType.F32);
          TrainingSet set = TrainingSet.encode(model, PictureFolder.read(photos, "a toy", 32), done -> {})) {
        double before = loss(model, set);
        TrainingOptions options = TrainingOptions.steps(12).withLearningRate(1e-3);
        new Trainer(objective(model, set), new FullModel(model.unet()), options, new TorchRandom(1)).run(step -> {}, () -> false);
        double after = loss(model, set);
        assertTrue(after < 0.95 * before, path + ": loss " + before + " before and " + after + " after");
        model.unet().parameters().forEach((name, parameter) -> assertTrue(
            !Arrays.equals(parameter.value().toFloats(), original.unet().parameters().get(name).value().toFloats()),
            name + " did not change"));
        Path written = folder.resolve(path.getFileName());
        Files.createDirectory(written);
        model.save(written);
        try (StableDiffusion again = StableDiffusion.load(written.toString())) {
          again.unet().parameters().forEach((name, parameter) -> assertArrayEquals(
              model.unet().parameters().get(name).value().toFloats(), parameter.value().toFloats(), name));
          assertEquals(after, loss(again, set), "loss of the model that was read again");
        }
      }
    }
  }

  private static NoisePrediction objective(StableDiffusion model, TrainingSet set) {
    return new NoisePrediction(model.unet(), model.scheduler(), set.examples());
  }

  /** The loss over all pictures, always with the same noise. */
  private static double loss(StableDiffusion model, TrainingSet set) {
    try (Scope _ = Scope.open()) {
      return objective(model, set).draw(2 * set.examples().size(), new TorchRandom(7)).get().item();
    }
  }

  @Test
  void weightsIn16BitsAreRefused() {
    for (DType type : new DType[] {DType.BF16, DType.F16}) {
      try (StableDiffusion model = StableDiffusion.load(Fixtures.models().getFirst().toString(), type)) {
        long narrow = model.unet().parameters().values().stream().map(Parameter::value).filter(w -> w.dtype() == type).count();
        String message = assertThrows(InputException.class, () -> new FullModel(model.unet())).getMessage();
        assertTrue(message.startsWith("full fine-tuning needs float32 weights: " + narrow + " of "), message);
        assertTrue(message.contains("parameter conv_in.weight " + type), message);
      }
    }
  }
}
