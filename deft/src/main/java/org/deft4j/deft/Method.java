package org.deft4j.deft;

import java.util.Arrays;
import java.util.List;

/** The families of adapters. */
public enum Method {
  /** A part of the weight is removed and a trained one injected in its place. */
  DEFT("deft"),
  /** A part of the weight is removed. */
  PARA("para"),
  /** A low-rank matrix is added. */
  LORA("lora"),
  /** A low-rank matrix is added, and the rows of the sum are brought to trained lengths. */
  DORA("dora"),
  /** A part of the weight is removed, and a low-rank matrix of its own is added. */
  LORA_PARA("lora-para");

  private final String label;

  Method(String label) {
    this.label = label;
  }

  /** The name on the command line: {@code deft}, {@code para}, {@code lora}, {@code dora}, {@code lora-para}. */
  public String label() {
    return label;
  }

  /** Whether a projection P is part of it. */
  public boolean projects() {
    return !isLora();
  }

  /** Whether it is a LoRA or one with more to it, which the files of LoRA hold. */
  public boolean isLora() {
    return this == LORA || this == DORA;
  }

  /** Whether it adds a low-rank matrix of its own, {@code B A}. */
  public boolean adds() {
    return isLora() || this == LORA_PARA;
  }

  /** Every {@link #label}. */
  public static List<String> labels() {
    return Arrays.stream(values()).map(Method::label).toList();
  }

  /**
   * The one with this {@link #label}.
   *
   * @throws InputException naming the known ones
   */
  public static Method named(String label) {
    for (Method method : values()) {
      if (method.label().equals(label)) {
        return method;
      }
    }
    throw new InputException("method '" + label + "' is unknown" + Nearest.hint(label, labels()) + "; there are "
        + String.join(", ", labels()));
  }
}
