package org.deft4j.weights;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.PrettyPrinter;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;
import com.fasterxml.jackson.jr.ob.JSON;
import java.io.IOException;
import java.io.Reader;
import java.io.StringReader;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The one JSON reader and writer. Strict: UTF-8 without a byte-order mark, no key twice in one object, nesting, numbers and
 * length bounded, nothing after the value. Objects keep the order of their keys, and keys nobody asks for stay. Integers
 * become {@link Long} (or {@link BigInteger} beyond 64 bits), other numbers {@link Double}. The one thing beyond the standard
 * that is read: {@code NaN}, {@code Infinity} and {@code -Infinity}, which Python writes; they are never written.
 */
public final class Json {
  /** Deepest nesting of objects and lists. */
  static final int DEPTH = 100;
  /** Longest file in bytes. */
  static final long LENGTH = 256L << 20;
  /** Most characters of a number. */
  static final int NUMBER = 300;

  private static final StreamReadConstraints BOUNDS = StreamReadConstraints.builder().maxNestingDepth(DEPTH)
      .maxNumberLength(NUMBER).maxDocumentLength(-1).maxNameLength((int) LENGTH).maxStringLength((int) LENGTH).build();
  private static final JSON MAPPER = JSON.builder(JsonFactory.builder().streamReadConstraints(BOUNDS)
      .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).disable(JsonFactory.Feature.INTERN_FIELD_NAMES).build())
      .prettyPrinter(new DefaultPrettyPrinter(Separators.createDefaultInstance()
          .withObjectFieldValueSpacing(Separators.Spacing.AFTER).withArrayEmptySeparator("")
          .withObjectEmptySeparator("")).withObjectIndenter(new DefaultIndenter("  ", "\n"))
          .withArrayIndenter(new DefaultIndenter("  ", "\n")))
      .build();

  private Json() {}

  /** The object in a file. */
  public static JsonObject read(Path file) {
    return object(readValue(file), file.toString());
  }

  /** The value in a file, of any kind: see {@link JsonObject#get} for the types. */
  public static Object readValue(Path file) {
    return parseValue(text(file), file.toString());
  }

  /** What is in a file. */
  static String text(Path file) {
    try {
      if (Files.size(file) > LENGTH) {
        throw FormatException.of(file, "has " + Files.size(file) + " bytes, JSON files may have " + LENGTH);
      }
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(Files.readAllBytes(file))).toString();
    } catch (IOException e) {
      throw FormatException.unreadable(file, e);
    }
  }

  /** The object in a text; {@code source} names it in errors. */
  public static JsonObject parse(String text, String source) {
    return object(parseValue(text, source), source);
  }

  /** The value in a text; {@code source} names it in errors. */
  public static Object parseValue(String text, String source) {
    if (text.startsWith("\uFEFF")) {
      throw new FormatException(source + ": starts with a byte-order mark; save it as UTF-8 without one");
    }
    if (text.isBlank()) {
      throw new FormatException(source + ": is empty; JSON is needed");
    }
    try (JsonParser parser = parser(new StringReader(text))) {
      Object value = value(parser, source);
      if (parser.nextToken() != null) {
        throw new FormatException(source + ": " + place(parser.currentTokenLocation()) + "there is more after the end");
      }
      return value;
    } catch (JsonProcessingException e) {
      throw new FormatException(source + ": is not valid JSON: " + place(e.getLocation()) + e.getOriginalMessage(), e);
    } catch (IOException e) {
      throw new UncheckedIOException(source, e);
    }
  }

  /** A parser that keeps to the rules above; to be closed. */
  static JsonParser parser(Reader text) throws IOException {
    return new PythonNumbers(MAPPER.getStreamingFactory().createParser(text));
  }

  /** The value that begins at the parser's token, or at its next one where it has none. */
  static Object value(JsonParser parser, String source) throws IOException {
    return checked(MAPPER.anyFrom(parser), source, "");
  }

  private static String place(com.fasterxml.jackson.core.JsonLocation at) {
    return at == null ? "" : "line " + at.getLineNr() + ", column " + at.getColumnNr() + ": ";
  }

  @SuppressWarnings("unchecked")
  static JsonObject object(Object value, String source) {
    if (value instanceof Map<?, ?> map) {
      return new JsonObject(source, "", (Map<String, Object>) map);
    }
    throw new FormatException(source + ": expected an object, found " + describe(value));
  }

  /** The value with numbers widened and collections read-only; refuses numbers that are too large for a double. */
  private static Object checked(Object value, String source, String key) {
    return switch (value) {
      case Map<?, ?> map -> {
        Map<String, Object> copy = new LinkedHashMap<>();
        map.forEach((name, item) -> copy.put((String) name, checked(item, source, join(key, (String) name))));
        yield Collections.unmodifiableMap(copy);
      }
      case List<?> list -> {
        List<Object> copy = new ArrayList<>(list.size());
        for (int i = 0; i < list.size(); i++) {
          copy.add(checked(list.get(i), source, key + "[" + i + "]"));
        }
        yield Collections.unmodifiableList(copy);
      }
      case Integer number -> (long) number;
      case Float word -> (double) word;
      case Double number when !Double.isFinite(number) ->
        throw new FormatException(source + ": " + (key.isEmpty() ? "" : key + ": ") + "the number is too large");
      case null, default -> value;
    };
  }

  static String join(String path, String key) {
    return path.isEmpty() ? key : path + "." + key;
  }

  /** What a value is, for errors. */
  static String describe(Object value) {
    return switch (value) {
      case null -> "null";
      case String text -> "the string " + Text.quote(text);
      case Boolean flag -> flag.toString();
      case Number number -> "the number " + number;
      case List<?> list -> "a list of " + list.size();
      case Map<?, ?> map -> "an object of " + map.size() + " keys";
      default -> value.getClass().getSimpleName();
    };
  }

  /** Writes {@code object} indented by two spaces, in the order of its keys, ending with a newline; atomically. */
  public static void write(Path file, Map<String, ?> object) {
    byte[] bytes = format(object).getBytes(StandardCharsets.UTF_8);
    try {
      AtomicFile.write(file, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(file + ": cannot be written: " + e, e);
    }
  }

  /** The text that {@link #write} writes. Values: maps, lists, strings, booleans, integers, finite numbers, null. */
  public static String format(Map<String, ?> object) {
    requireWritable(object, "");
    try {
      return MAPPER.with(JSON.Feature.PRETTY_PRINT_OUTPUT, JSON.Feature.WRITE_NULL_PROPERTIES).asString(object) + "\n";
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The same in one line without its end, as a record of a file of JSON lines. */
  public static String formatLine(Map<String, ?> object) {
    requireWritable(object, "");
    try {
      return MAPPER.with((PrettyPrinter) null).with(JSON.Feature.WRITE_NULL_PROPERTIES).asString(object);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void requireWritable(Object value, String key) {
    switch (value) {
      case Map<?, ?> map -> map.forEach((name, item) -> {
        if (!(name instanceof String text)) {
          throw new IllegalArgumentException("JSON: " + key + ": keys are strings, not " + name);
        }
        requireWritable(item, join(key, text));
      });
      case List<?> list -> list.forEach(item -> requireWritable(item, key));
      case Double number when !Double.isFinite(number) -> throw new IllegalArgumentException("JSON: " + key + ": "
          + number + " is not a number of JSON");
      case Float number when !Float.isFinite(number) -> throw new IllegalArgumentException("JSON: " + key + ": "
          + number + " is not a number of JSON");
      case Double _, Float _, Long _, Integer _, BigInteger _, Boolean _, String _ -> { }
      case null -> { }
      default -> throw new IllegalArgumentException("JSON: " + key + ": cannot write a " + value.getClass().getName());
    }
  }
}
