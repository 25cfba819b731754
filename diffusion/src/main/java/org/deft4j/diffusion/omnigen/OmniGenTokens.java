package org.deft4j.diffusion.omnigen;

import java.util.List;

/**
 * A condition as OmniGen reads it: the ids of the text, with places for the input pictures between them.
 *
 * @param ids one id a place, without padding; 0 where a picture's token comes
 * @param images where the pictures stand, in the order of their places
 */
public record OmniGenTokens(List<Integer> ids, List<ImageSpan> images) {
  /**
   * A condition.
   *
   * @throws IllegalArgumentException if there is no id, an id is negative, or a span overlaps the one before, reaches beyond
   *     the ids or covers one that is not 0
   */
  public OmniGenTokens {
    ids = List.copyOf(ids);
    images = List.copyOf(images);
    if (ids.isEmpty() || ids.stream().anyMatch(id -> id < 0)) {
      throw new IllegalArgumentException("OmniGen tokens: at least one id is needed, and none below 0");
    }
    int end = 0;
    for (ImageSpan span : images) {
      if (span.start() < end || span.end() > ids.size()
          || ids.subList(span.start(), span.end()).stream().anyMatch(id -> id != 0)) {
        throw new IllegalArgumentException("OmniGen tokens: " + span + " must begin after the span before it, end within the "
            + ids.size() + " ids, and have only ids 0");
      }
      end = span.end();
    }
  }

  /** How many places the condition takes, pictures included. */
  public int length() {
    return ids.size();
  }
}
