package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.JsonObject;

/** Collects what a model's configuration asks for and we do not have, so that all of it is said at once. */
public final class ConfigCheck {
  private final JsonObject json;
  private final List<String> problems = new ArrayList<>();

  /** Checks {@code json}. */
  public ConfigCheck(JsonObject json) {
    this.json = json;
  }

  /** Where the key is given, its value must be this one. */
  public void is(String key, Object value) {
    if (json.keys().contains(key)) {
      that(same(json.get(key), value), key + ": " + json.get(key) + " is not supported; " + value + " is");
    }
  }

  /** Where the key is given, its value must be this one or null. */
  public void isOrNull(String key, Object value) {
    if (json.has(key)) {
      is(key, value);
    }
  }

  private static boolean same(Object found, Object value) {
    if (found instanceof Number a && value instanceof Number b) {
      return a.doubleValue() == b.doubleValue();
    }
    return Objects.equals(found, value);
  }

  /** The key must be absent, null or false. */
  public void isNull(String key) {
    Object found = json.get(key);
    that(found == null || Boolean.FALSE.equals(found), key + ": " + found + " is not supported; null is");
  }

  /** {@code problem} is one unless {@code condition} holds. */
  public void that(boolean condition, String problem) {
    if (!condition) {
      problems.add(problem);
    }
  }

  /** Where a number is wanted, it must be a multiple of {@code divisor}, which {@code by} names. */
  public void isMultiple(String key, int number, String by, int divisor) {
    that(divisor > 0 && number % divisor == 0, key + ": " + number + " is not a multiple of " + divisor + ", the " + by);
  }

  /** Refuses all that was found, in one sentence. */
  public void throwIfAny() {
    if (!problems.isEmpty()) {
      throw new FormatException(json.source() + ": " + String.join("; ", problems));
    }
  }
}
