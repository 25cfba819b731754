package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.List;
import org.deft4j.deft.InputException;
import org.deft4j.diffusion.DiffusionModel;

/**
 * What a model is to be trained on, whatever its kind; null where nothing was said.
 *
 * @param data the examples
 * @param prompt the caption of pictures that have none of their own
 * @param size the side of the square that pictures are brought to
 * @param targets the layers to adapt, by the ends of their names
 */
record TrainingRequest(Path data, String prompt, Integer size, List<String> targets) {
  /**
   * What was given, or the model's own.
   *
   * @throws InputException if the model takes no such pictures
   */
  int sizeFor(DiffusionModel model) {
    int side = size == null ? model.defaultSize() : size;
    if (side % model.grain() != 0) {
      throw new InputException("--size " + side + ": a multiple of " + model.grain() + " is needed for this model");
    }
    return side;
  }

  /** What was given, or the model's attention projections. */
  List<String> targetsFor(DiffusionModel model) {
    return targets == null ? model.attentionProjections() : targets;
  }
}
