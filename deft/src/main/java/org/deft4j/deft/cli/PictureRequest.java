package org.deft4j.deft.cli;

import java.util.List;
import org.deft4j.diffusion.DiffusionModel;

/**
 * What pictures are asked for, whatever the kind of model; null where nothing was said.
 *
 * @param negative what they should not show
 * @param scheduler the name of a way to take the noise out
 * @param omniGen what only OmniGen models understand
 */
record PictureRequest(String prompt, String negative, String scheduler, Integer steps, Double guidance, Integer width,
    Integer height, OmniGenOptions omniGen) {
  /** What was given, or the model's own. */
  int widthFor(DiffusionModel model) {
    return width == null ? model.defaultSize() : width;
  }

  /** What was given, or the model's own. */
  int heightFor(DiffusionModel model) {
    return height == null ? model.defaultSize() : height;
  }

  /** Adds a sentence where the model makes no pictures of this size. */
  void checkSize(List<String> problems, DiffusionModel model) {
    if (widthFor(model) % model.grain() != 0 || heightFor(model) % model.grain() != 0) {
      problems.add("--width " + widthFor(model) + ", --height " + heightFor(model) + ": multiples of " + model.grain()
          + " are needed for this model");
    }
  }
}
