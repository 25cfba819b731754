package org.deft4j.deft.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.deft4j.deft.Nearest;
import org.deft4j.diffusion.omnigen.KeyValueCache;
import picocli.CommandLine.Option;

/** The options of {@code generate} that OmniGen models have. */
final class OmniGenOptions {
  private static final List<String> CACHES = List.of("exact", "official", "none");
  private static final List<String> LATENTS = List.of("sample", "mode");

  @Option(names = "--image", paramLabel = "FILE",
      description = "OmniGen: an input picture, which the prompt names as <img><|image_1|></img>, the next as image_2; may be given "
          + "several times.")
  List<Path> images = List.of();

  @Option(names = "--image-guidance", paramLabel = "G",
      description = "OmniGen: how closely to follow the input pictures; default 1.6. none: no branch with the pictures alone.")
  String imageGuidance;

  @Option(names = "--input-size", paramLabel = "PIXELS",
      description = "OmniGen: the larger side of input pictures is brought to this at most; default 1024.")
  Integer inputSize;

  @Option(names = "--size-of-image", description = "OmniGen: make the picture as large as the one input picture.")
  boolean sizeOfImage;

  @Option(names = "--image-latent", paramLabel = "NAME",
      description = "OmniGen: sample (default): draw the latent of an input picture from its distribution; mode: take the likeliest.")
  String imageLatent;

  @Option(names = "--stacked",
      description = "OmniGen: compute the branches of the guidance as one batch, with more memory, instead of one by one.")
  boolean stacked;

  @Option(names = "--cache", paramLabel = "NAME",
      description = "OmniGen: keep keys and values of the condition between steps: exact (default); none; official: with the mistake of "
          + "the reference implementation's first step, to compare with its pictures.")
  String cache;

  /** Adds a sentence for each mistake. */
  void check(List<String> problems) {
    images.stream().filter(image -> !Files.isRegularFile(image)).forEach(image -> problems.add("--image: " + image
        + (Files.exists(image) ? " is not a file" : " does not exist")));
    one(problems, "--cache", cache, CACHES);
    one(problems, "--image-latent", imageLatent, LATENTS);
    if (inputSize != null) {
      Checks.atLeast(problems, "--input-size", inputSize, 16);
    }
    if (imageGuidance != null && !imageGuidance.equals("none")) {
      try {
        if (!Double.isFinite(Double.parseDouble(imageGuidance))) {
          problems.add("--image-guidance " + imageGuidance + ": a finite number is needed");
        }
      } catch (NumberFormatException e) {
        problems.add("--image-guidance: '" + imageGuidance + "' is not a number, nor none");
      }
    }
  }

  private static void one(List<String> problems, String option, String value, List<String> names) {
    if (value != null && !names.contains(value)) {
      problems.add(option + ": '" + value + "' is unknown" + Nearest.hint(value, names) + "; there are " + String.join(", ", names));
    }
  }

  /** Adds a sentence for each option that was given, for a kind of model that has none of them. */
  void refuse(List<String> problems, String kind) {
    Checks.takesNo(problems, kind, "--image", images);
    Checks.takesNo(problems, kind, "--image-guidance", imageGuidance);
    Checks.takesNo(problems, kind, "--input-size", inputSize);
    Checks.takesNo(problems, kind, "--size-of-image", sizeOfImage ? true : null);
    Checks.takesNo(problems, kind, "--image-latent", imageLatent);
    Checks.takesNo(problems, kind, "--stacked", stacked ? true : null);
    Checks.takesNo(problems, kind, "--cache", cache);
  }

  /** gi of the guidance, {@code usual} where nothing was given; null for none. */
  Double guidanceByImages(Double usual) {
    return imageGuidance == null ? usual : imageGuidance.equals("none") ? null : Double.valueOf(imageGuidance);
  }

  /** What was given, or {@code usual}. */
  KeyValueCache.Kind cacheKind(KeyValueCache.Kind usual) {
    return cache == null ? usual : KeyValueCache.Kind.valueOf(cache.toUpperCase(Locale.ROOT));
  }

  /** Whether input pictures are their likeliest latents. */
  boolean mode() {
    return "mode".equals(imageLatent);
  }
}
