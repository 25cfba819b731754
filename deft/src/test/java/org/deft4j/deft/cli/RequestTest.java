package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.List;
import org.deft4j.deft.InputException;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

/** What is asked for meets the model: its own values for what was not said, and a refusal of what it cannot do. */
class RequestTest {
  private final Path photos = Fixtures.repository().resolve("deft/src/demo/photos");

  @Test
  void theModelFillsInWhatWasNotSaid() {
    for (Path path : Fixtures.models()) {
      try (DiffusionModel model = DiffusionModel.open(path.toString(), null)) {
        PictureMaker maker = PictureMaker.of(model, new PictureRequest("a toy", null, null, null, null, null, null, new OmniGenOptions()));
        assertEquals(30, maker.description().get("steps"));
        assertEquals(model.defaultSize(), maker.description().get("width"));
        assertEquals(model.defaultSize(), maker.description().get("height"));
        TrainingJob job = TrainingJob.of(model, TrainingRequest.of(photos, "a toy", null));
        assertEquals(model.defaultSize(), job.description().get("size"));
        assertEquals(model.attentionProjections(), TrainingRequest.of(photos, null, null).targetsFor(model));
        assertEquals(List.of("to_k"), new TrainingRequest(List.of(photos), List.of(), null, null, null, List.of("to_k"), false, null)
            .targetsFor(model));
      }
    }
  }

  @Test
  void aSizeThatTheModelDoesNotMakeIsRefused() {
    for (Path path : Fixtures.models()) {
      try (DiffusionModel model = DiffusionModel.open(path.toString(), null)) {
        int odd = 4 * model.grain() + 1;
        PictureRequest picture = new PictureRequest("a toy", null, null, null, null, odd, null, new OmniGenOptions());
        assertEquals("--width " + odd + ", --height " + model.defaultSize() + ": multiples of " + model.grain()
            + " are needed for this model",
            assertThrows(InputException.class, () -> PictureMaker.of(model, picture)).getMessage());
        TrainingRequest training = TrainingRequest.of(photos, "a toy", odd);
        assertEquals("--size " + odd + ": a multiple of " + model.grain() + " is needed for this model",
            assertThrows(InputException.class, () -> TrainingJob.of(model, training)).getMessage());
      }
    }
  }
}
