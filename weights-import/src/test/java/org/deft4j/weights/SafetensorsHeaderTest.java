package org.deft4j.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.deft4j.tensor.Shape;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import static org.deft4j.weights.Crafted.entry;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * Every rule for a header, as a table of files and verdicts. The verdicts are those of the reference implementation
 * (safetensors 0.8.0) but for the cases marked STRICTER.
 */
class SafetensorsHeaderTest {
  private static final String BIG = "4611686018427387904"; // 2^62
  private static final String A = entry("a", "F32", "[1]", 0, 4);

  @TempDir private Path temp;
  private final AtomicInteger files = new AtomicInteger();

  /** A file, and a part of the error that it must raise; null where it must be accepted. */
  private record Case(String name, Supplier<byte[]> file, String error) {}

  private static Case ok(String name, String header, int data) {
    return new Case(name, () -> Crafted.file(header, data), null);
  }

  private static Case no(String name, String header, int data, String error) {
    return new Case(name, () -> Crafted.file(header, data), error);
  }

  /** {@code header} is one byte for each character. */
  private static Case bytes(String name, String header, int data, String error) {
    return new Case(name, () -> Crafted.file(header.getBytes(StandardCharsets.ISO_8859_1), new byte[data]), error);
  }

  private static Case length(String name, long length, int rest, String error) {
    byte[] file = ByteBuffer.allocate(8 + rest).order(ByteOrder.LITTLE_ENDIAN).putLong(length).array();
    return new Case(name, () -> file, error);
  }

  private static Stream<Case> lengths() {
    return Stream.of(
        new Case("0 bytes", () -> new byte[0], "it has 0 bytes, at least 8 are needed"),
        new Case("3 bytes", () -> new byte[3], "it has 3 bytes, at least 8 are needed"),
        new Case("6 bytes", () -> new byte[6], "it has 6 bytes, at least 8 are needed"),
        length("header of 0 bytes", 0, 0, "is not a JSON object"),
        length("header longer than the limit", 100_000_001, 1, "at most 100000000 are accepted"),
        length("header of 2^63", Long.MIN_VALUE, 1, "a header of 9223372036854775808 bytes, at most"),
        length("header of 2^64 - 1", -1, 1, "a header of 18446744073709551615 bytes, at most"),
        length("header of 100 MB in 9 bytes", 100_000_000, 1, "does not fit the file of 9 bytes"),
        length("header one byte too long", 3, 2, "byte 0: a header of 3 bytes does not fit the file of 10 bytes"));
  }

  private static Stream<Case> text() {
    return Stream.of(
        ok("one tensor", "{" + A + "}", 4),
        ok("nothing", "{}", 0),
        bytes("byte FF", "{\"\u00FF\":1}", 0, "byte 10: the header is not UTF-8"),
        bytes("overlong C0 80", "{\"\u00C0\u0080\":1}", 0, "byte 10: the header is not UTF-8"),
        bytes("surrogate in UTF-8", "{\"\u00ED\u00A0\u0080\":1}", 0, "byte 10: the header is not UTF-8"),
        bytes("cut in a character", "{\"\u00E2\u0082", 0, "the header is not UTF-8"),
        bytes("byte-order mark", "\u00EF\u00BB\u00BF{}", 0, "not valid JSON"),
        bytes("UTF-16", "{\0}\0", 0, "not valid JSON"),
        bytes("trailing NUL", "{}\0", 0, "the header is not valid JSON"),
        no("trailing x", "{}x", 0, "the header is not valid JSON"),
        no("second object", "{}{}", 0, "byte 10: the header goes on after its JSON object"),
        ok("trailing spaces", "{" + A + "}   \n\t\r ", 4),
        ok("leading spaces", " \n\t\r {" + A + "}", 4),
        no("list", "[]", 0, "the header is not a JSON object"),
        no("null", "null", 0, "the header is not a JSON object"),
        no("number", "1", 0, "the header is not a JSON object"),
        no("string", "\"a\"", 0, "the header is not a JSON object"),
        no("only spaces", "    ", 0, "the header is not a JSON object"),
        no("cut off", "{\"a\":{", 0, "not valid JSON"),
        no("comment", "{/**/}", 0, "not valid JSON"),
        no("trailing comma", "{" + A + ",}", 4, "not valid JSON"),
        no("single quotes", "{'a':1}", 0, "not valid JSON"),
        no("raw control character", "{\"\u0001\":1}", 0, "not valid JSON"),
        no("raw newline in a name", "{\"\n\":1}", 0, "not valid JSON"),
        no("unknown escape", "{\"\\x\":1}", 0, "not valid JSON"),
        no("lone surrogate", "{\"\\ud800\":{}}", 0, "half of a surrogate pair"),
        no("lone low surrogate", "{\"\\udc00\":{}}", 0, "half of a surrogate pair"),
        no("nesting 200", "{\"a\":{\"x\":" + "[".repeat(200) + "]".repeat(200) + "}}", 0, "not valid JSON"),
        no("nesting 100,000", "{\"a\":" + "[".repeat(100_000), 0, "must be an object"));
  }

  private static Stream<Case> metadata() {
    return Stream.of(
        ok("metadata", "{\"__metadata__\":{\"format\":\"pt\"}," + A + "}", 4),
        ok("metadata last", "{" + A + ",\"__metadata__\":{}}", 4),
        ok("metadata null", "{\"__metadata__\":null," + A + "}", 4),
        ok("key twice inside metadata", "{\"__metadata__\":{\"x\":\"1\",\"x\":\"2\"}}", 0),
        no("metadata number", "{\"__metadata__\":{\"x\":1}}", 0, "the value of 'x' must be a string"),
        no("metadata object inside", "{\"__metadata__\":{\"x\":{}}}", 0, "the value of 'x' must be a string"),
        no("metadata null inside", "{\"__metadata__\":{\"x\":null}}", 0, "the value of 'x' must be a string"),
        no("metadata string", "{\"__metadata__\":\"x\"}", 0, "__metadata__ must be an object of strings"),
        no("metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "byte 27: __metadata__ appears twice"),
        no("metadata null, then again", "{\"__metadata__\":null,\"__metadata__\":null}", 0, "appears twice"),
        no("tensor named metadata", "{" + entry("__metadata__", "F32", "[1]", 0, 4) + "}", 4, "must be a string"));
  }

  private static Stream<Case> fields() {
    String start = "{\"a\":{\"dtype\":\"F32\",";
    return Stream.of(
        no("no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor 'a': dtype is missing"),
        no("no shape", start + "\"data_offsets\":[0,4]}}", 4, "tensor 'a': shape is missing"),
        no("no offsets", start + "\"shape\":[1]}}", 4, "tensor 'a': data_offsets is missing"),
        no("entry is a number", "{\"a\":1}", 0, "tensor 'a': its entry must be an object"),
        no("entry is null", "{\"a\":null}", 0, "tensor 'a': its entry must be an object"),
        no("dtype f32", "{" + entry("a", "f32", "[1]", 0, 4) + "}", 4, "dtype 'f32' is unknown; known are BOOL, F4,"),
        no("dtype F128", "{" + entry("a", "F128", "[1]", 0, 16) + "}", 16, "dtype 'F128' is unknown"),
        no("dtype number", "{\"a\":{\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype '1' is unknown"),
        no("size -1", "{" + entry("a", "F32", "[-1]", 0, 4) + "}", 4, "shape: '-1' is not a non-negative integer"),
        no("size -0", "{" + entry("a", "F32", "[-0]", 0, 0) + "}", 0, "shape: '-0' is not a non-negative integer"),
        no("size 1.0", "{" + entry("a", "F32", "[1.0]", 0, 4) + "}", 4, "shape: '1.0' is not a non-negative integer"),
        no("size 1e0", "{" + entry("a", "F32", "[1e0]", 0, 4) + "}", 4, "shape: '1e0' is not a non-negative integer"),
        no("size \"1\"", "{" + entry("a", "F32", "[\"1\"]", 0, 4) + "}", 4, "shape: '1' is not a non-negative integer"),
        no("size null", "{" + entry("a", "F32", "[null]", 0, 4) + "}", 4, "shape: 'null' is not a non-negative integer"),
        no("size 01", "{" + entry("a", "F32", "[01]", 0, 4) + "}", 4, "not valid JSON"),
        no("size NaN", "{" + entry("a", "F32", "[NaN]", 0, 4) + "}", 4, "not valid JSON"),
        no("size 2^64", "{" + entry("a", "F32", "[18446744073709551616]", 0, 4) + "}", 4, "is larger than 2^63 - 1"),
        no("size of 2,000 digits", "{" + entry("a", "F32", "[" + "9".repeat(2000) + "]", 0, 4) + "}", 4, "not valid JSON"),
        no("shape number", "{" + entry("a", "F32", "1", 0, 4) + "}", 4, "shape must be a list of integers"),
        no("one offset", start + "\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets must be begin and end, found 1"),
        no("three offsets", start + "\"shape\":[1],\"data_offsets\":[0,4,4]}}", 4, "must be begin and end, found 3"),
        ok("unknown field", start + "\"shape\":[1],\"data_offsets\":[0,4],\"more\":{\"deep\":[1,{\"x\":null}]}}}", 4),
        no("field twice", start + "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype is given twice"));
  }

  private static Stream<Case> layout() {
    String first = entry("a", "U8", "[4]", 0, 4);
    return Stream.of(
        no("STRICTER name twice", "{" + A + "," + A + "}", 4, "tensor 'a': the header names it twice"),
        no("STRICTER name twice, other dtype", "{" + A + "," + entry("a", "I32", "[1]", 0, 4) + "}", 4, "names it twice"),
        no("STRICTER name twice, once escaped", "{" + A + "," + entry("\\u0061", "F32", "[1]", 0, 4) + "}", 4, "names it twice"),
        ok("keys not in the order of the data", "{" + entry("b", "U8", "[2]", 4, 6) + "," + first + "}", 6),
        no("hole at the start", "{" + entry("a", "U8", "[4]", 1, 5) + "}", 5, "tensor 'a': begins at 1 of the data"),
        no("hole in the middle", "{" + first + "," + entry("b", "U8", "[2]", 5, 7) + "}", 7, "tensor 'b': begins at 5"),
        no("overlap", "{" + first + "," + entry("b", "U8", "[4]", 2, 6) + "}", 6, "tensor 'b': begins at 2"),
        no("same range twice", "{" + first + "," + entry("b", "U8", "[4]", 0, 4) + "}", 4, "begins at 0 of the data"),
        no("begin after end", "{" + entry("a", "U8", "[4]", 4, 0) + "}", 4, "data_offsets [4, 0] have -4"),
        no("too few bytes for the shape", "{" + entry("a", "F32", "[1]", 0, 3) + "}", 3, "has 4 bytes, data_offsets [0, 3] have 3"),
        no("too many bytes for the shape", "{" + entry("a", "F32", "[1]", 0, 5) + "}", 5, "has 4 bytes"),
        no("file one byte longer", "{" + A + "}", 5, "it is followed by something else"),
        no("file one byte shorter", "{" + A + "}", 3, "it is cut off"),
        no("data without tensors", "{}", 1, "it is followed by something else"),
        no("[2^62, 2^62, 0]", "{" + entry("a", "F32", "[" + BIG + "," + BIG + ",0]", 0, 0) + "}", 0, "more than 2^63 - 1 bits"),
        ok("[0, 2^62, 2^62]", "{" + entry("a", "F32", "[0," + BIG + "," + BIG + "]", 0, 0) + "}", 0),
        no("[2^62] of 8 bits", "{" + entry("a", "U8", "[" + BIG + "]", 0, 0) + "}", 0, "more than 2^63 - 1 bits"),
        no("[2^32, 2^32]", "{" + entry("a", "U8", "[4294967296,4294967296]", 0, 0) + "}", 0, "more than 2^63 - 1 bits"),
        no("STRICTER [0, 2^63]", "{" + entry("a", "U8", "[0,9223372036854775808]", 0, 0) + "}", 0, "larger than 2^63 - 1"),
        no("one F4", "{" + entry("a", "F4", "[1]", 0, 1) + "}", 1, "does not end with a whole byte"),
        ok("two F4", "{" + entry("a", "F4", "[2]", 0, 1) + "}", 1),
        no("three F6", "{" + entry("a", "F6_E2M3", "[3]", 0, 2) + "}", 2, "does not end with a whole byte"),
        ok("four F6", "{" + entry("a", "F6_E3M2", "[4]", 0, 3) + "}", 3),
        ok("F32 at byte 1", "{" + entry("a", "U8", "[1]", 0, 1) + "," + entry("b", "F32", "[1]", 1, 5) + "}", 5),
        ok("empty tensors share a place", "{" + entry("a", "U8", "[0]", 0, 0) + "," + entry("b", "F32", "[3,0]", 0, 0) + ","
            + entry("c", "U8", "[1]", 0, 1) + "," + entry("d", "U8", "[0]", 1, 1) + "}", 1),
        ok("scalar", "{" + entry("a", "F64", "[]", 0, 8) + "}", 8),
        ok("empty name", "{" + entry("", "U8", "[1]", 0, 1) + "}", 1),
        ok("path as name", "{" + entry("../../etc/x", "U8", "[1]", 0, 1) + "}", 1),
        ok("NUL in a name", "{" + entry("a\\u0000b", "U8", "[1]", 0, 1) + "}", 1),
        ok("pair of surrogates in a name", "{" + entry("\\ud83d\\ude00", "U8", "[1]", 0, 1) + "}", 1));
  }

  @TestFactory
  Stream<DynamicTest> table() {
    return Stream.of(lengths(), text(), metadata(), fields(), layout()).flatMap(cases -> cases)
        .map(c -> DynamicTest.dynamicTest(c.name, () -> check(c)));
  }

  private void check(Case c) throws IOException {
    Path file = Files.write(temp.resolve(files.incrementAndGet() + ".safetensors"), c.file.get());
    if (c.error == null) {
      SafetensorsFile.open(file).close();
      return;
    }
    FormatException error = assertThrows(FormatException.class, () -> SafetensorsFile.open(file));
    assertTrue(error.getMessage().contains(c.error) && error.getMessage().startsWith(file + ": "), error.getMessage());
    assertEquals(file, error.path());
    assertTrue(error.offset() < Math.max(8, c.file.get().length) + 1, "offset " + error.offset());
    assertTrue(c.file.get().length < 8 || error.offset() >= 0, error.getMessage());
  }

  @Test
  void offsetsCountBytesNotCharacters() {
    String header = "{\"\u00E9\u20AC\uD83D\uDE00\":{\"dtype\":\"f32\"}}";
    Path file = Crafted.write(temp.resolve("x"), Crafted.file(header, 0));
    FormatException error = assertThrows(FormatException.class, () -> SafetensorsFile.open(file));
    String before = header.substring(0, header.indexOf("\"f32\""));
    assertEquals(8 + before.getBytes(StandardCharsets.UTF_8).length, error.offset());
    assertEquals("\u00E9\u20AC\uD83D\uDE00", error.tensor());
  }

  @Test
  void whatTheHeaderSaysIsTold() {
    String header = "{\"__metadata__\":{\"x\":\"1\",\"x\":\"2\"}," + entry("b", "F4", "[2]", 4, 5) + "," + A + "}";
    try (SafetensorsFile file = SafetensorsFile.open(Crafted.write(temp.resolve("x"), Crafted.file(header, 5)))) {
      assertEquals("[a, b]", file.names().toString());
      assertEquals(Set.of("x"), file.metadata().keySet());
      assertEquals("2", file.metadata().get("x"));
      assertEquals(new TensorEntry(StoredType.F4, Shape.of(2), 4, 5), file.entries().get("b"));
      FormatException error = assertThrows(FormatException.class, () -> file.load("b"));
      assertTrue(error.getMessage().contains("tensor 'b': its element type F4 cannot be computed with"), error.getMessage());
      assertTrue(assertThrows(FormatException.class, () -> file.load("c")).getMessage()
          .contains("has no tensor 'c'; the nearest name is "));
    }
  }

  @Test
  void manyTensorsTakeBoundedTime() throws IOException {
    int count = 300_000;
    StringBuilder header = new StringBuilder("{");
    for (int i = 0; i < count; i++) {
      header.append(i == 0 ? "" : ",").append(entry(Integer.toString(i, 36), "U8", "[0]", 0, 0));
    }
    Path file = Files.write(temp.resolve("many"), Crafted.file(header.append('}').toString(), 0));
    long start = System.nanoTime();
    try (SafetensorsFile opened = SafetensorsFile.open(file)) {
      assertEquals(count, opened.names().size());
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    assertTrue(seconds < 10, seconds + " s for " + count + " tensors");
  }
}
