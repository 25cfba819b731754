package org.deft4j.deft.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.deft4j.deft.OutputFolder;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.weights.FormatException;

/** Checks that several commands make. */
final class Checks {
  /** Pixels of a picture are taken by eights: the autoencoders of SD 1.5 and SDXL make one latent of 8 x 8. */
  private static final int GRAIN = 8;

  private Checks() {}

  /** A model is given, and there. */
  static void model(List<String> problems, String model) {
    if (model == null) {
      problems.add("--model is missing: a folder of diffusers or OmniGen, a single-file checkpoint, or org/name in the Hugging Face cache");
      return;
    }
    try {
      DiffusionModel.require(model);
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

  /**
   * An option that a kind of model has no use for is not given; {@code value} is null, or an empty list, where it is not.
   *
   * @param kind {@code a Stable Diffusion model}
   */
  static void takesNo(List<String> problems, String kind, String option, Object value) {
    if (value != null && !List.of().equals(value)) {
      problems.add(kind + " takes no " + option);
    }
  }

  /**
   * A folder is given, and there.
   *
   * @param what it is for, where it is not given
   */
  static void folder(List<String> problems, String option, Path folder, String what) {
    if (folder == null) {
      problems.add(option + " is missing: " + what);
    } else if (!Files.isDirectory(folder)) {
      problems.add(option + ": " + folder + (Files.exists(folder) ? " is not a folder" : " does not exist"));
    }
  }

  /** {@code --out} is given, and a folder that is new or empty. */
  static void newFolder(List<String> problems, Path out, String what) {
    if (out == null) {
      problems.add("--out is missing: " + what);
    } else {
      Subcommand.collect(problems, () -> OutputFolder.requireNew(out));
    }
  }

  /** A number is at least {@code least}. */
  static void atLeast(List<String> problems, String option, long value, long least) {
    if (value < least) {
      problems.add(option + " " + value + ": at least " + least + " is needed");
    }
  }
}
