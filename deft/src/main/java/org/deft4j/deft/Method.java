package org.deft4j.deft;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The families of adapters. */
public enum Method {
  /** A part of the weight is removed and a trained one injected in its place. */
  DEFT,
  /** A part of the weight is removed. */
  PARA,
  /** A low-rank matrix is added. */
  LORA;

  /** The name on the command line: {@code deft}, {@code para}, {@code lora}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
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
