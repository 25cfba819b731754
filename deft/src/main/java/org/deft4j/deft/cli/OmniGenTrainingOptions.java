package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.List;
import org.deft4j.diffusion.omnigen.OmniGenProcessor;
import picocli.CommandLine.Option;

/** The options of {@code train} that OmniGen models have. */
final class OmniGenTrainingOptions {
  /** As often as in the reference's examples. */
  private static final double USUAL_DROPOUT = 0.01;

  @Option(names = "--condition-dropout", paramLabel = "P",
      description = "OmniGen: train this share of examples without their instruction and input pictures; default 0.01.")
  Double conditionDropout;

  @Option(names = "--max-tokens", paramLabel = "N",
      description = "OmniGen: refuse instructions of more tokens, input pictures included; default: 131072, the model's positions.")
  Integer maxTokens;

  @Option(names = "--squares", description = "OmniGen: cut all pictures to squares of --size, instead of keeping their shape.")
  boolean squares;

  @Option(names = "--template",
      description = "OmniGen: put instructions into the template that prompts have in sampling; OmniGen's own training does not.")
  boolean template;

  @Option(names = "--latent-cache", paramLabel = "FOLDER",
      description = "OmniGen: keep encoded pictures here, so that the next training need not encode them again.")
  Path latentCache;

  /** Adds a sentence for each mistake. */
  void check(List<String> problems) {
    if (conditionDropout != null && !(conditionDropout >= 0 && conditionDropout <= 1)) {
      problems.add("--condition-dropout " + conditionDropout + ": a share from 0 to 1 is needed");
    }
    if (maxTokens != null) {
      Checks.atLeast(problems, "--max-tokens", maxTokens, 1);
    }
  }

  /** Adds a sentence for each option that was given, for a kind of model that has none of them. */
  void refuse(List<String> problems, String kind) {
    Checks.takesNo(problems, kind, "--condition-dropout", conditionDropout);
    Checks.takesNo(problems, kind, "--max-tokens", maxTokens);
    Checks.takesNo(problems, kind, "--squares", squares ? true : null);
    Checks.takesNo(problems, kind, "--template", template ? true : null);
    Checks.takesNo(problems, kind, "--latent-cache", latentCache);
  }

  /** What was given, or the usual. */
  double conditionDropout() {
    return conditionDropout == null ? USUAL_DROPOUT : conditionDropout;
  }

  /** What was given, or the usual. */
  int maxTokens() {
    return maxTokens == null ? OmniGenProcessor.DEFAULT_LIMIT : maxTokens;
  }
}
