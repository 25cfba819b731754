package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.List;
import org.deft4j.deft.InputException;
import org.deft4j.deft.data.RecordSet;
import org.deft4j.deft.data.RecordSource;
import org.deft4j.deft.data.TrainingRecord;
import org.deft4j.diffusion.DiffusionModel;

/**
 * What a model is to be trained on, whatever its kind; null where nothing was said.
 *
 * @param data folders of pictures and files of records
 * @param repeats how often the examples of each come in one pass through all; empty: once
 * @param imageRoot where the paths in files of records begin
 * @param prompt the caption of pictures that have none of their own
 * @param size the side of the square that pictures are brought to
 * @param targets the layers to adapt, by the ends of their names
 * @param textEncoders whether the text encoders of a Stable Diffusion model are adapted too
 * @param omniGen what only OmniGen models understand
 */
record TrainingRequest(List<Path> data, List<Integer> repeats, Path imageRoot, String prompt, Integer size, List<String> targets,
    boolean textEncoders, OmniGenTrainingOptions omniGen) {
  /** A folder or a file, and nothing else said. */
  static TrainingRequest of(Path data, String prompt, Integer size) {
    return new TrainingRequest(List.of(data), List.of(), null, prompt, size, null, false, new OmniGenTrainingOptions());
  }

  /**
   * The examples, each as often as it counts.
   *
   * @throws InputException listing all that is wrong with any of them
   */
  List<TrainingRecord> records() {
    RecordSet set = RecordSet.read(data.stream().map(path -> RecordSource.of(path, imageRoot, prompt)).toList());
    return (repeats.isEmpty() ? set : set.withRepeats(repeats.stream().mapToInt(Integer::intValue).toArray())).records();
  }

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
