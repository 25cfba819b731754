package org.deft4j.tensor.op;

import java.util.Locale;

/** The label of each operation's class, worked out once: it is asked for on every run. */
final class Labels extends ClassValue<String> {
  static final Labels INSTANCE = new Labels();

  private Labels() {}

  @Override
  protected String computeValue(Class<?> type) {
    return type.getSimpleName().replaceAll("(?<=[a-z0-9])(?=[A-Z])", "_").toLowerCase(Locale.ROOT);
  }
}
