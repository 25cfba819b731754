package org.deft4j.deft.cli;

import java.util.List;
import picocli.CommandLine.Option;

/** The option of a model that is larger than the card. */
final class OffloadOption {
  /** What it is asked for with. */
  static final String NAME = "--offload";

  @Option(names = NAME, description = "With --device cuda: keep the model's weights in this machine's memory and bring them to the card layer by "
      + "layer, the next ones while one computes. For models that are larger than the card; results are the same.")
  boolean offload;

  /** Adds a sentence where tensors are made on no card; {@code device} is what {@code --device} says. */
  void check(List<String> problems, String device) {
    if (offload && !device.startsWith("cuda")) {
      problems.add(NAME + " keeps weights in this machine's memory for a card to compute with: it needs --device cuda");
    }
  }
}
