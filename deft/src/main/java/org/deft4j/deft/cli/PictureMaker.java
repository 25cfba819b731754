package org.deft4j.deft.cli;

import java.util.Map;
import org.deft4j.deft.InputException;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.omnigen.OmniGen;

/** How one kind of model makes the pictures that are asked for. */
interface PictureMaker {
  /**
   * For {@code model}, which needs no weights yet.
   *
   * @throws InputException listing all that is asked for and such a model cannot do
   */
  static PictureMaker of(DiffusionModel model, PictureRequest request) {
    return switch (model) {
      case StableDiffusion stableDiffusion -> StableDiffusionPictures.of(stableDiffusion, request);
      case OmniGen omniGen -> OmniGenPictures.of(omniGen, request);
    };
  }

  /** The model, which stays the caller's. */
  DiffusionModel model();

  /** The steps for a picture. */
  int steps();

  /** The same in another number of steps. */
  PictureMaker withSteps(int number);

  /** Others of the kind that take less memory, by the options that ask for them. */
  Map<String, PictureMaker> lighter();

  /** What will be done, in the order to be shown: what was asked, and the model's own values for the rest. */
  Map<String, Object> description();

  /** How the picture of {@code seed} was made. */
  PictureText text(long seed, AdapterArguments adapters);

  /**
   * Encodes the prompt for all pictures, and lets go of the weights that were for that alone. What is encoded belongs to the
   * innermost scope.
   */
  Sampling start();

  /** Makes pictures of what was encoded. */
  @FunctionalInterface
  interface Sampling {
    /** The picture of {@code seed}; {@code progress} is told of each step. */
    Picture picture(long seed, Progress progress);
  }

  /** Told after each step. */
  @FunctionalInterface
  interface Progress {
    /** Step {@code step} (from 1) of {@code all} is done. */
    void done(int step, int all);
  }
}
