package org.deft4j.deft;

import java.util.List;
import org.deft4j.diffusion.LatentDistribution;
import org.deft4j.diffusion.omnigen.OmniGenTokens;

/**
 * A record as OmniGen is trained on it.
 *
 * @param tokens its instruction and the places of its input pictures
 * @param pictures its input pictures, encoded
 * @param output what is to come out, encoded
 */
public record OmniGenExample(OmniGenTokens tokens, List<LatentDistribution> pictures, LatentDistribution output) {
  /** Keeps a copy of the list. */
  public OmniGenExample {
    pictures = List.copyOf(pictures);
  }

  /** Something that grows as the memory of a pass does: the tokens of the condition and of the output. */
  long size() {
    return tokens.length() + output.mean().size(2) * output.mean().size(3) / 4;
  }
}
