package org.deft4j.weights;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A JSON object with typed access. A getter with a default gives it where the key is absent or null; one that starts with
 * {@code require} refuses that. A value of another type is always refused. Errors name file, key, what was expected and
 * what was found.
 */
public final class JsonObject {
  private final String source;
  private final String path;
  private final Map<String, Object> values;

  JsonObject(String source, String path, Map<String, Object> values) {
    this.source = source;
    this.path = path;
    this.values = values;
  }

  /** The file it came from. */
  public String source() {
    return source;
  }

  /** The keys in the order of the file. */
  public Set<String> keys() {
    return values.keySet();
  }

  /** Everything, in the order of the file; read-only. */
  public Map<String, Object> asMap() {
    return values;
  }

  /** Whether the key is given, and not null. */
  public boolean has(String key) {
    return values.get(key) != null;
  }

  /** The value as read: String, Boolean, Long, BigInteger, Double, List, Map; or null. */
  public Object get(String key) {
    return values.get(key);
  }

  /** Whether the value is a list. */
  public boolean isList(String key) {
    return values.get(key) instanceof List;
  }

  /** Whether the value is an object. */
  public boolean isObject(String key) {
    return values.get(key) instanceof Map;
  }

  /** A string. */
  public String string(String key, String otherwise) {
    return has(key) ? requireString(key) : otherwise;
  }

  /** A string that must be there. */
  public String requireString(String key) {
    return string(require(key, "a string"), key);
  }

  /** A truth value. */
  public boolean bool(String key, boolean otherwise) {
    return has(key) ? requireBool(key) : otherwise;
  }

  /** A truth value that must be there. */
  public boolean requireBool(String key) {
    if (require(key, "true or false") instanceof Boolean flag) {
      return flag;
    }
    throw wrong(key, "true or false", get(key));
  }

  /** An integer of 32 bits. */
  public int integer(String key, int otherwise) {
    return has(key) ? requireInteger(key) : otherwise;
  }

  /** An integer of 32 bits that must be there. */
  public int requireInteger(String key) {
    return integer(require(key, "an integer"), key);
  }

  /** An integer of 64 bits. */
  public long longInteger(String key, long otherwise) {
    return has(key) ? requireLongInteger(key) : otherwise;
  }

  /** An integer of 64 bits that must be there. */
  public long requireLongInteger(String key) {
    return longInteger(require(key, "an integer"), key);
  }

  /** A finite number. */
  public double number(String key, double otherwise) {
    return has(key) ? requireNumber(key) : otherwise;
  }

  /** A number, or one of the infinities, as for a bound that is none. */
  public double numberOrInfinity(String key, double otherwise) {
    if (get(key) instanceof Double value && Double.isInfinite(value)) {
      return value;
    }
    return number(key, otherwise);
  }

  /** A finite number that must be there. */
  public double requireNumber(String key) {
    return number(require(key, "a number"), key);
  }

  /** An object that must be there. */
  public JsonObject requireObject(String key) {
    return object(require(key, "an object"), key);
  }

  /** An object, or null where the key is absent or null. */
  public JsonObject object(String key) {
    return has(key) ? requireObject(key) : null;
  }

  /** A list that must be there, as read. */
  public List<?> requireList(String key) {
    if (require(key, "a list") instanceof List<?> list) {
      return list;
    }
    throw wrong(key, "a list", get(key));
  }

  /** A list as read, or an empty one where the key is absent or null. */
  public List<?> list(String key) {
    return has(key) ? requireList(key) : List.of();
  }

  /** A list of strings that must be there. */
  public List<String> requireStrings(String key) {
    return each(key, this::string);
  }

  /** A list of integers of 32 bits that must be there. */
  public List<Integer> requireInts(String key) {
    return each(key, this::integer);
  }

  /** A list of finite numbers that must be there. */
  public List<Double> requireNumbers(String key) {
    return each(key, this::number);
  }

  /** A list of objects that must be there. */
  public List<JsonObject> requireObjects(String key) {
    return each(key, this::object);
  }

  private interface Item<T> {
    T of(Object value, String key);
  }

  private <T> List<T> each(String key, Item<T> item) {
    List<?> list = requireList(key);
    List<T> result = new ArrayList<>(list.size());
    for (int i = 0; i < list.size(); i++) {
      result.add(item.of(list.get(i), key + "[" + i + "]"));
    }
    return List.copyOf(result);
  }

  private String string(Object value, String key) {
    if (value instanceof String text) {
      return text;
    }
    throw wrong(key, "a string", value);
  }

  private int integer(Object value, String key) {
    if (value instanceof Long number && number == number.intValue()) {
      return number.intValue();
    }
    throw wrong(key, value instanceof Number ? "an integer between -2^31 and 2^31 - 1" : "an integer", value);
  }

  private long longInteger(Object value, String key) {
    if (value instanceof Long number) {
      return number;
    }
    throw wrong(key, value instanceof Number ? "an integer between -2^63 and 2^63 - 1" : "an integer", value);
  }

  private double number(Object value, String key) {
    if (value instanceof Number number && Double.isFinite(number.doubleValue())) {
      return number.doubleValue();
    }
    throw wrong(key, value instanceof Number ? "a finite number" : "a number", value);
  }

  @SuppressWarnings("unchecked")
  private JsonObject object(Object value, String key) {
    if (value instanceof Map<?, ?> map) {
      return new JsonObject(source, Json.join(path, key), (Map<String, Object>) map);
    }
    throw wrong(key, "an object", value);
  }

  private Object require(String key, String expected) {
    Object value = values.get(key);
    if (value == null) {
      throw new FormatException(source + ": " + Json.join(path, key) + ": expected " + expected + ", found "
          + (values.containsKey(key) ? "null" : "no such key"));
    }
    return value;
  }

  private FormatException wrong(String key, String expected, Object found) {
    return new FormatException(source + ": " + Json.join(path, key) + ": expected " + expected + ", found "
        + Json.describe(found));
  }
}
