package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.JsonObject;

/** Collects what a model's configuration asks for and we do not have, so that all of it is said at once. */
final class ConfigCheck {
  private final JsonObject json;
  private final List<String> problems = new ArrayList<>();

  ConfigCheck(JsonObject json) {
    this.json = json;
  }

  /** Where the key is given, its value must be this one. */
  void is(String key, Object value) {
    if (json.has(key)) {
      Object found = json.get(key);
      boolean same = found instanceof Number a && value instanceof Number b ? a.doubleValue() == b.doubleValue()
          : Objects.equals(found, value);
      that(same, key + ": " + found + " is not supported; " + value + " is");
    }
  }

  /** Where the key is given, its value must be this one or null. */
  void oneOf(String key, Object value) {
    if (json.get(key) != null) {
      is(key, value);
    }
  }

  /** The key must be absent, null or false. */
  void isNull(String key) {
    Object found = json.get(key);
    that(found == null || Boolean.FALSE.equals(found), key + ": " + found + " is not supported; null is");
  }

  void that(boolean condition, String problem) {
    if (!condition) {
      problems.add(problem);
    }
  }

  void throwIfAny() {
    if (!problems.isEmpty()) {
      throw new FormatException(json.source() + ": " + String.join("; ", problems));
    }
  }
}
