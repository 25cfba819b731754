package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.Trainable;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.tensor.RandomSource;

/** What a training changes, and leaves behind: an adapter of the denoiser, and of the text encoders with it, or the denoiser itself. */
sealed interface Learner extends AutoCloseable permits AdapterLearner, ModelLearner {
  /** The name of the method by which the denoiser itself is trained. */
  String FULL = "full";

  /**
   * Begins; the denoiser's weights are loaded.
   *
   * @param config of an adapter, for the layers that {@code request} or the model names; null: the denoiser itself is trained
   */
  static Learner begin(DiffusionModel model, AdapterConfig config, TrainingRequest request, RandomSource random) {
    return config == null ? ModelLearner.begin(model) : AdapterLearner.begin(model, config, request, random);
  }

  /** For the trainer. */
  Trainable trainable();

  /** How much is trained, in words. */
  String words();

  /** What it is in {@code run.json} and in a plan, in the order to be shown. */
  Map<String, Object> description();

  /** Writes what was learned to {@code folder}, which exists. */
  void write(Path folder) throws IOException;

  /** Takes the memory that {@link #write} takes, for a rehearsal, and writes nothing. */
  void rehearseWriting() throws IOException;

  /** What {@link #write} writes. */
  Set<String> files();

  @Override
  void close();
}
