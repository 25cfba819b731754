package org.deft4j.deft.cli;

import java.io.IOException;
import java.security.MessageDigest;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Objective;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.omnigen.OmniGen;

/** What one kind of model is trained on, and what it is to learn of it. */
interface TrainingJob {
  /**
   * Reads and checks the data for {@code model}, which needs no weights yet.
   *
   * @throws InputException listing all that is wrong with it, and all that is asked for and such a model cannot do
   */
  static TrainingJob of(DiffusionModel model, TrainingRequest request) {
    return switch (model) {
      case StableDiffusion stableDiffusion -> StableDiffusionTraining.of(stableDiffusion, request);
      case OmniGen omniGen -> OmniGenTraining.of(omniGen, request);
    };
  }

  /** The model, which stays the caller's. */
  DiffusionModel model();

  /** How many pictures are to be encoded. */
  int pictures();

  /** The data in words: {@code 6 pictures of 64 x 64}. */
  String data();

  /** The data in {@code run.json} and in a plan, in the order to be shown. */
  Map<String, Object> description();

  /** Has {@code digest} see all that the data is: what is trained on, in its order, and not where it lies. */
  void identify(MessageDigest digest) throws IOException;

  /** What a plan says of it besides. */
  Map<String, Object> counts();

  /** Others of the kind that take less memory, by the options that ask for them. */
  Map<String, TrainingJob> lighter();

  /**
   * Loads the weights, encodes the data, and lets go of what was for that alone: the denoiser is loaded afterwards.
   *
   * @param reading is told of each part before its weights are read
   * @param encoded is told how many pictures are done, 0 at first
   */
  Prepared prepare(Consumer<String> reading, IntConsumer encoded);

  /** Encoded data, and the loss over it. */
  interface Prepared extends AutoCloseable {
    /** What is minimised. */
    Objective objective();

    @Override
    void close();
  }
}
