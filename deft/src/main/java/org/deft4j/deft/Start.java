package org.deft4j.deft;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** How an adapter starts. */
public enum Start {
  /**
   * As if it were not there, where the method can: DEFT with {@code R = S^T W / s} (PEFT), LoRA with {@code B = 0}. PaRa
   * cannot; it starts at random.
   */
  IDENTITY,
  /** At random, of a size that changes a part of each weight. */
  RANDOM,
  /**
   * At random as the authors' code does, which for some decompositions of PaRa is many times the weight. Its LoRA starts as the identity with
   * {@code A = 0} and {@code B ~ U(-1/sqrt(r), 1/sqrt(r))}, the other way round than elsewhere.
   */
  OFFICIAL;

  /** The name on the command line: {@code identity}, {@code random}, {@code official}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Every {@link #label}. */
  public static List<String> labels() {
    return Arrays.stream(values()).map(Start::label).toList();
  }

  /**
   * The one with this {@link #label}.
   *
   * @throws InputException naming the known ones
   */
  public static Start named(String label) {
    for (Start start : values()) {
      if (start.label().equals(label)) {
        return start;
      }
    }
    throw new InputException("start '" + label + "' is unknown" + Nearest.hint(label, labels()) + "; there are "
        + String.join(", ", labels()));
  }
}
