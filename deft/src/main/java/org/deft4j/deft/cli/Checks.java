package org.deft4j.deft.cli;

import java.util.List;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.ModelSource;

/** Checks that several commands make. */
final class Checks {
  /** Pixels of a picture are taken by eights: the autoencoders of SD 1.5 and SDXL make one latent of 8 x 8. */
  private static final int GRAIN = 8;

  private Checks() {}

  /** A model is given, and there. */
  static void model(List<String> problems, String model) {
    if (model == null) {
      problems.add("--model is missing: a diffusers folder, a single-file checkpoint, or org/name in the Hugging Face cache");
      return;
    }
    try {
      ModelSource.open(model).close();
    } catch (FormatException e) {
      problems.add("--model: " + e.getMessage());
    }
  }

  /** A number of pixels is a positive multiple of 8. */
  static void size(List<String> problems, String option, int pixels) {
    if (pixels < GRAIN || pixels % GRAIN != 0) {
      int below = Math.max(GRAIN, pixels / GRAIN * GRAIN);
      problems.add(option + " " + pixels + ": a positive multiple of " + GRAIN + " is needed, such as " + below
          + (pixels > GRAIN ? " or " + (below + GRAIN) : ""));
    }
  }

  /** A number is at least {@code least}. */
  static void atLeast(List<String> problems, String option, long value, long least) {
    if (value < least) {
      problems.add(option + " " + value + ": at least " + least + " is needed");
    }
  }
}
