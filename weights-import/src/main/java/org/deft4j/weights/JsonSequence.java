package org.deft4j.weights;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.io.JsonEOFException;
import java.io.IOException;
import java.io.StringReader;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The objects of a file that holds any number of them, each with the line it begins on: one on each line (JSON lines),
 * several after one another over any number of lines, or the elements of a list. Each is read by the rules of {@link Json}; a
 * byte-order mark, blank lines and every kind of line end are passed over. What is wrong is listed, not thrown, so that all
 * of it is known at once: after a mistake, reading goes on at the next line that begins with a brace.
 *
 * @param items the objects that can be read, in the order of the file; each names file and line in its errors
 * @param problems the mistakes, a sentence each with file and line; at most {@value #MOST_PROBLEMS}, then the rest is not read
 */
public record JsonSequence(List<Item> items, List<String> problems) {
  /** So many mistakes, and reading ends. */
  static final int MOST_PROBLEMS = 100;

  /** An object, and the line of the file where it begins, from 1. */
  public record Item(JsonObject object, int line) {}

  /**
   * The objects of a file.
   *
   * @throws FormatException if it cannot be read, is too long or is not UTF-8
   */
  public static JsonSequence read(Path file) {
    return parse(Json.text(file), file.toString());
  }

  /** The objects in a text; {@code source} names it in errors. */
  public static JsonSequence parse(String text, String source) {
    Reading reading = new Reading(text.startsWith("\uFEFF") ? text.substring(1) : text, source);
    reading.run();
    return new JsonSequence(List.copyOf(reading.items), List.copyOf(reading.problems));
  }

  /** The work on one text. */
  private static final class Reading {
    private final String text;
    private final String source;
    private final List<Item> items = new ArrayList<>();
    private final List<String> problems = new ArrayList<>();

    /** Where the parser at work began, and the line that is. */
    private int start;
    private int startLine = 1;
    /** The line of the value being read, or 0 between values. */
    private int valueLine;
    private boolean inList;

    Reading(String text, String source) {
      this.text = text;
      this.source = source;
    }

    void run() {
      boolean more = true;
      while (more && problems.size() < MOST_PROBLEMS) {
        try (StringReader reader = new StringReader(text)) {
          reader.skip(start);
          more = false;
          try (JsonParser parser = Json.parser(reader)) {
            readAll(parser);
          } catch (JsonProcessingException e) {
            int line = e.getLocation() == null ? startLine : startLine - 1 + e.getLocation().getLineNr();
            problems.add(describe(e, line));
            more = !inList && skipTo(valueLine > 0 ? valueLine : line);
          }
        } catch (IOException e) {
          throw new UncheckedIOException(source, e);
        }
      }
    }

    private void readAll(JsonParser parser) throws IOException {
      inList = false;
      valueLine = 0;
      for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
        if (token == JsonToken.START_ARRAY && !inList) {
          inList = true;
        } else if (token == JsonToken.END_ARRAY) {
          inList = false;
        } else {
          valueLine = startLine - 1 + parser.currentTokenLocation().getLineNr();
          readItem(parser);
          valueLine = 0;
        }
      }
    }

    private void readItem(JsonParser parser) throws IOException {
      String place = source + ", line " + valueLine;
      try {
        items.add(new Item(Json.object(Json.value(parser, place), place), valueLine));
      } catch (FormatException e) {
        problems.add(e.getMessage());
      }
    }

    private String describe(JsonProcessingException e, int line) {
      if (e instanceof JsonEOFException && (valueLine > 0 || inList)) {
        return source + ", line " + line + ": the text ends before the "
            + (valueLine > 0 ? "object that begins on line " + valueLine : "list") + " does";
      }
      String rest = inList ? "; the rest of the list is not read" : "";
      return source + ", line " + line + ": is not valid JSON: " + e.getOriginalMessage() + rest;
    }

    /** Moves the start to the next line behind {@code line} that begins with a brace, if there is one. */
    private boolean skipTo(int line) {
      while (start < text.length()) {
        boolean lineEnds = text.charAt(start) == '\n'
            || (text.charAt(start) == '\r' && (start + 1 == text.length() || text.charAt(start + 1) != '\n'));
        start++;
        if (lineEnds) {
          startLine++;
          if (startLine > line && start < text.length() && text.charAt(start) == '{') {
            return true;
          }
        }
      }
      return false;
    }
  }
}
