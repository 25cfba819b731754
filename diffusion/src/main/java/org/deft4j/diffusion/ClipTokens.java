package org.deft4j.diffusion;

import org.deft4j.tensor.Tensor;

/** A prompt as CLIP's text encoder takes it: the start token, the prompt's tokens, the end token, padding. */
public final class ClipTokens {
  private final int[] ids;
  private final int promptTokens;
  private final int[] cut;
  private final String cutText;

  ClipTokens(int[] ids, int promptTokens, int[] cut, String cutText) {
    this.ids = ids;
    this.promptTokens = promptTokens;
    this.cut = cut;
    this.cutText = cutText;
  }

  /** All ids, as a copy; as many as the encoder has positions. */
  public int[] ids() {
    return ids.clone();
  }

  /** How many of them are the prompt's own. */
  public int promptTokens() {
    return promptTokens;
  }

  /** Whether the prompt was longer than the encoder can take. */
  public boolean isTruncated() {
    return cut.length > 0;
  }

  /** The prompt's tokens that found no place, as a copy. */
  public int[] cut() {
    return cut.clone();
  }

  /** The end of the prompt that found no place, as it reads after tokenizing; empty if all of it did. */
  public String cutText() {
    return cutText;
  }

  /** The ids as I32 [1, positions]. */
  public Tensor toTensor() {
    return Tensor.of(ids, 1, ids.length);
  }
}
