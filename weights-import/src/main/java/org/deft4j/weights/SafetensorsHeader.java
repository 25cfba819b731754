package org.deft4j.weights;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.tensor.Shape;

/**
 * The JSON header of a safetensors file, read strictly: the rules of the reference implementation (huggingface/safetensors
 * {@code tensor.rs}), except that a tensor's name, and a field of its entry, may appear only once. Every refusal is a
 * {@link FormatException} with the byte in the file.
 */
final class SafetensorsHeader {
  /** Bytes before the header: its length, little-endian. */
  static final int PREFIX = 8;
  /** The longest header that is accepted, as in the reference implementation. */
  static final long MAX_BYTES = 100_000_000;

  private static final String METADATA = "__metadata__";
  private static final JsonFactory FACTORY = JsonFactory.builder()
      .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES).disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
      .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(127).maxNumberLength(1000)
          .maxNameLength((int) MAX_BYTES).maxStringLength((int) MAX_BYTES).build())
      .build();

  private final Path path;
  private final byte[] json;
  private final Map<String, TensorEntry> entries = new LinkedHashMap<>();
  private Map<String, String> metadata;

  private SafetensorsHeader(Path path, byte[] json) {
    this.path = path;
    this.json = json;
  }

  /** Reads {@code json}, the header of {@code path}, which is followed by {@code dataBytes} bytes. */
  static SafetensorsHeader parse(Path path, byte[] json, long dataBytes) {
    SafetensorsHeader header = new SafetensorsHeader(path, json);
    header.requireUtf8();
    header.read();
    header.order(dataBytes);
    return header;
  }

  /** The tensors in the order of their data. */
  Map<String, TensorEntry> entries() {
    return Collections.unmodifiableMap(entries);
  }

  /** The text entries. */
  Map<String, String> metadata() {
    return metadata == null ? Map.of() : Collections.unmodifiableMap(metadata);
  }

  private void requireUtf8() {
    CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    ByteBuffer bytes = ByteBuffer.wrap(json);
    CharBuffer some = CharBuffer.allocate(1 << 13);
    CoderResult result;
    do {
      result = decoder.decode(bytes, some.clear(), true);
    } while (result.isOverflow());
    if (result.isError()) {
      throw FormatException.at(path, PREFIX + (long) bytes.position(), "the header is not UTF-8", null);
    }
  }

  private void read() {
    try (JsonParser parser = FACTORY.createParser(
        new InputStreamReader(new ByteArrayInputStream(json), StandardCharsets.UTF_8))) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw wrong(parser, "the header is not a JSON object");
      }
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = text(parser, parser.currentName());
        long at = position(parser);
        parser.nextToken();
        if (name.equals(METADATA)) {
          readMetadata(parser, at);
        } else if (entries.put(name, readEntry(parser, name)) != null) {
          throw FormatException.tensor(path, offset(at), name, "the header names it twice");
        }
      }
      if (parser.nextToken() != null) {
        throw wrong(parser, "the header goes on after its JSON object");
      }
    } catch (JsonProcessingException e) {
      throw FormatException.at(path, offset(e.getLocation() == null ? 0 : e.getLocation().getCharOffset()),
          "the header is not valid JSON: " + e.getOriginalMessage(), e);
    } catch (IOException e) {
      throw FormatException.unreadable(path, e);
    }
  }

  private void readMetadata(JsonParser parser, long at) throws IOException {
    if (metadata != null) {
      throw FormatException.at(path, offset(at), METADATA + " appears twice", null);
    }
    metadata = new LinkedHashMap<>();
    if (parser.currentToken() == JsonToken.VALUE_NULL) {
      return;
    }
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      throw wrong(parser, METADATA + " must be an object of strings");
    }
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = text(parser, parser.currentName());
      if (parser.nextToken() != JsonToken.VALUE_STRING) {
        throw wrong(parser, METADATA + ": the value of " + Text.quote(key) + " must be a string");
      }
      metadata.put(key, text(parser, parser.getText()));
    }
  }

  private TensorEntry readEntry(JsonParser parser, String tensor) throws IOException {
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      throw wrong(parser, tensor, "its entry must be an object of dtype, shape and data_offsets");
    }
    long at = position(parser);
    StoredType type = null;
    long[] shape = null;
    long[] offsets = null;
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String field = text(parser, parser.currentName());
      boolean given = switch (field) {
        case "dtype" -> type != null;
        case "shape" -> shape != null;
        case "data_offsets" -> offsets != null;
        default -> false;
      };
      if (given) {
        throw wrong(parser, tensor, field + " is given twice");
      }
      parser.nextToken();
      switch (field) {
        case "dtype" -> type = readType(parser, tensor);
        case "shape" -> shape = readNumbers(parser, tensor, field);
        case "data_offsets" -> offsets = readNumbers(parser, tensor, field);
        default -> parser.skipChildren();
      }
    }
    if (type == null || shape == null || offsets == null) {
      String missing = type == null ? "dtype" : shape == null ? "shape" : "data_offsets";
      throw FormatException.tensor(path, offset(at), tensor, missing + " is missing");
    }
    return entry(tensor, at, type, shape, offsets);
  }

  private StoredType readType(JsonParser parser, String tensor) throws IOException {
    StoredType type = parser.currentToken() == JsonToken.VALUE_STRING ? StoredType.named(parser.getText()) : null;
    if (type == null) {
      throw wrong(parser, tensor, "dtype " + Text.quote(parser.getText()) + " is unknown; known are "
          + Text.list(Arrays.stream(StoredType.values()).map(StoredType::name).toList()));
    }
    return type;
  }

  private long[] readNumbers(JsonParser parser, String tensor, String field) throws IOException {
    if (parser.currentToken() != JsonToken.START_ARRAY) {
      throw wrong(parser, tensor, field + " must be a list of integers");
    }
    long[] numbers = new long[4];
    int count = 0;
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      String digits = parser.currentToken() == JsonToken.VALUE_NUMBER_INT ? parser.getText() : "-";
      if (digits.startsWith("-")) {
        throw wrong(parser, tensor, field + ": " + Text.quote(parser.getText()) + " is not a non-negative integer");
      }
      numbers = count < numbers.length ? numbers : Arrays.copyOf(numbers, 2 * count);
      try {
        numbers[count++] = Long.parseLong(digits);
      } catch (NumberFormatException e) {
        throw FormatException.at(path, offset(position(parser)), "tensor " + Text.quote(tensor) + ": " + field + ": "
            + Text.quote(digits) + " is larger than 2^63 - 1", e);
      }
    }
    return Arrays.copyOf(numbers, count);
  }

  private TensorEntry entry(String tensor, long at, StoredType type, long[] sizes, long[] offsets) {
    if (offsets.length != 2) {
      throw FormatException.tensor(path, offset(at), tensor, "data_offsets must be begin and end, found " + offsets.length
          + " numbers");
    }
    long bits = type.bits();
    try {
      long elements = 1;
      for (long size : sizes) {
        elements = Math.multiplyExact(elements, size);
      }
      bits = Math.multiplyExact(elements, bits);
    } catch (ArithmeticException e) {
      throw FormatException.at(path, offset(at), "tensor " + Text.quote(tensor) + ": shape " + Arrays.toString(sizes)
          + " has more than 2^63 - 1 bits", e);
    }
    if (bits % 8 != 0) {
      throw FormatException.tensor(path, offset(at), tensor, type + " of shape " + Arrays.toString(sizes)
          + " does not end with a whole byte");
    }
    if (offsets[1] < offsets[0] || offsets[1] - offsets[0] != bits / 8) {
      throw FormatException.tensor(path, offset(at), tensor, type + " of shape " + Arrays.toString(sizes) + " has " + bits / 8
          + " bytes, data_offsets " + Arrays.toString(offsets) + " have " + (offsets[1] - offsets[0]));
    }
    return new TensorEntry(type, Shape.of(sizes), offsets[0], offsets[1]);
  }

  /** Puts the tensors in the order of their data, which must be without gap and overlap and end with the file. */
  private void order(long dataBytes) {
    List<Map.Entry<String, TensorEntry>> sorted = entries.entrySet().stream()
        .map(entry -> Map.entry(entry.getKey(), entry.getValue()))
        .sorted((a, b) -> a.getValue().begin() != b.getValue().begin()
            ? Long.compare(a.getValue().begin(), b.getValue().begin())
            : Long.compare(a.getValue().end(), b.getValue().end()))
        .toList();
    long end = 0;
    entries.clear();
    for (Map.Entry<String, TensorEntry> entry : sorted) {
      TensorEntry tensor = entry.getValue();
      if (tensor.begin() != end) {
        throw FormatException.tensor(path, dataStart() + Math.min(tensor.begin(), dataBytes), entry.getKey(),
            "begins at " + tensor.begin() + " of the data, the one before it ends at " + end + "; there must be neither "
                + "gap nor overlap");
      }
      end = tensor.end();
      entries.put(entry.getKey(), tensor);
    }
    if (end != dataBytes) {
      throw FormatException.at(path, dataStart() + Math.min(end, dataBytes), "the tensors have " + end
          + " bytes, the file has " + dataBytes + " after its header; it is "
          + (end > dataBytes ? "cut off" : "followed by something else"), null);
    }
  }

  private long dataStart() {
    return PREFIX + (long) json.length;
  }

  private String text(JsonParser parser, String text) {
    if (text.codePoints().anyMatch(c -> c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE)) {
      throw wrong(parser, "the string " + Text.quote(text) + " has half of a surrogate pair");
    }
    return text;
  }

  private FormatException wrong(JsonParser parser, String problem) {
    return FormatException.at(path, offset(position(parser)), problem, null);
  }

  private FormatException wrong(JsonParser parser, String tensor, String problem) {
    return FormatException.tensor(path, offset(position(parser)), tensor, problem);
  }

  /** Where the token starts, in UTF-16 units of the header. */
  private static long position(JsonParser parser) {
    return parser.currentTokenLocation().getCharOffset();
  }

  /** The byte of the file at a position in the header; walks through the header, so only errors ask for it. */
  private long offset(long position) {
    int at = 0;
    for (long left = position; left > 0 && at < json.length; left--) {
      int lead = json[at] & 0xFF;
      left -= lead >= 0xF0 ? 1 : 0;
      at += lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    }
    return PREFIX + (long) Math.min(at, json.length);
  }
}
