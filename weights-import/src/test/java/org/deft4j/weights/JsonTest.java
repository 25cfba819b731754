package org.deft4j.weights;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** JSON is read strictly, told apart by type, and written so that it reads back. */
class JsonTest {
  @TempDir private Path temp;

  @TestFactory
  Stream<DynamicTest> refused() {
    return Map.ofEntries(
        Map.entry("", "c.json: is empty"),
        Map.entry("  \n ", "c.json: is empty"),
        Map.entry("[1]", "c.json: expected an object, found a list of 1"),
        Map.entry("null", "c.json: expected an object, found null"),
        Map.entry("{\"a\":1,\"b\":2,\"a\":3}", "Duplicate field 'a'"),
        Map.entry("{\"x\":{\"a\":1,\"\\u0061\":1}}", "Duplicate field 'a'"),
        Map.entry("{\"a\":1}}", "c.json: is not valid JSON: line 1"),
        Map.entry("{\"a\":1}{}", "line 1, column 8: there is more after the end"),
        Map.entry("{\"a\":1} x", "is not valid JSON: line 1"),
        Map.entry("{\"a\":\n  oops}", "is not valid JSON: line 2, column"),
        Map.entry("{\"a\":1,}", "is not valid JSON"),
        Map.entry("{\"a\":INF}", "is not valid JSON: line 1, column"),
        Map.entry("{\"a\":-INF}", "is not valid JSON"),
        Map.entry("{\"a\":+Infinity}", "is not valid JSON"),
        Map.entry("{\"a\":-NaN}", "is not valid JSON"),
        Map.entry("{\"a\":nan}", "is not valid JSON"),
        Map.entry("{\"a\":infinity}", "is not valid JSON"),
        Map.entry("{\"a\":NaNs}", "is not valid JSON"),
        Map.entry("{\"a\":{\"b\":[0,1e999]}}", "c.json: a.b[1]: the number is too large"),
        Map.entry("{\"a\":-1e999}", "c.json: a: the number is too large"),
        Map.entry("{\"a\":" + "9".repeat(301) + "}", "is not valid JSON: Number value length (301) exceeds"),
        Map.entry("{\"a\":01}", "is not valid JSON"),
        Map.entry("{\"a\":.5}", "is not valid JSON"),
        Map.entry("{\"a\":+5}", "is not valid JSON"),
        Map.entry("{\"a\":0x1F}", "is not valid JSON"),
        Map.entry("{'a':1}", "is not valid JSON"),
        Map.entry("{a:1}", "is not valid JSON"),
        Map.entry("{\"a\":\"\t\"}", "is not valid JSON"),
        Map.entry("{\"a\":1 // x\n}", "is not valid JSON"),
        Map.entry("{\"a\":\"x", "is not valid JSON"),
        Map.entry("{\"a\":" + "[".repeat(10_000) + "]".repeat(10_000) + "}", "is not valid JSON: Document nesting depth (101)"),
        Map.entry("\uFEFF{}", "starts with a byte-order mark")).entrySet().stream()
        .map(c -> DynamicTest.dynamicTest(c.getKey().length() + ": " + c.getKey().substring(0, Math.min(40, c.getKey().length())), () -> {
          FormatException error = assertThrows(FormatException.class, () -> Json.parse(c.getKey(), "c.json"));
          assertTrue(error.getMessage().contains(c.getValue()), error.getMessage());
        }));
  }

  @Test
  void valuesAreToldApartAndErrorsNameFileKeyAndBoth() {
    JsonObject json = Json.parse("""
        {"s": "x", "i": 7, "big": 3000000000, "huge": 1000000000000000019884624838656, "f": 0.5, "whole": 2.0, "yes": true,
         "none": null, "ints": [1, 2], "mixed": [1, "2"], "strings": ["a"], "o": {"deep": {"n": 1.5}},
         "list": [{"k": 1}, {"k": "x"}]}""", "c.json");
    assertEquals("x", json.requireString("s"));
    assertEquals(7, json.requireInteger("i"));
    assertEquals(3_000_000_000L, json.requireLongInteger("big"));
    assertEquals(new BigInteger("1000000000000000019884624838656"), json.get("huge"));
    assertEquals(0.5, json.requireNumber("f"));
    assertEquals(7.0, json.requireNumber("i"));
    assertTrue(json.requireBool("yes"));
    assertEquals(List.of(1, 2), json.requireInts("ints"));
    assertEquals(List.of(1.0, 2.0), json.requireNumbers("ints"));
    assertEquals(List.of("a"), json.requireStrings("strings"));
    assertEquals(1.5, json.requireObject("o").requireObject("deep").requireNumber("n"));
    assertEquals(9, json.integer("absent", 9));
    assertEquals(9, json.integer("none", 9));
    assertEquals("y", json.string("none", "y"));
    assertEquals(0.1, json.number("absent", 0.1));
    assertEquals(5L, json.longInteger("absent", 5));
    assertTrue(json.bool("absent", true));
    assertNull(json.object("none"));
    assertEquals(List.of(), json.list("absent"));
    assertTrue(!json.has("none") && !json.has("absent") && json.has("s") && json.keys().contains("none"));
    Map<Executable, String> wrong = new LinkedHashMap<>();
    wrong.put(() -> json.requireString("i"), "c.json: i: expected a string, found the number 7");
    wrong.put(() -> json.string("i", "x"), "c.json: i: expected a string, found the number 7");
    wrong.put(() -> json.requireInteger("s"), "c.json: s: expected an integer, found the string 'x'");
    wrong.put(() -> json.requireInteger("whole"), "c.json: whole: expected an integer between -2^31 and 2^31 - 1, found the number 2.0");
    wrong.put(() -> json.requireInteger("big"), "c.json: big: expected an integer between -2^31 and 2^31 - 1, found the number 3000000000");
    wrong.put(() -> json.requireLongInteger("huge"), "c.json: huge: expected an integer between -2^63 and 2^63 - 1, found the number "
        + "1000000000000000019884624838656");
    wrong.put(() -> json.requireNumber("yes"), "c.json: yes: expected a number, found true");
    wrong.put(() -> json.bool("s", false), "c.json: s: expected true or false, found the string 'x'");
    wrong.put(() -> json.requireString("absent"), "c.json: absent: expected a string, found no such key");
    wrong.put(() -> json.requireString("none"), "c.json: none: expected a string, found null");
    wrong.put(() -> json.requireInts("mixed"), "c.json: mixed[1]: expected an integer, found the string '2'");
    wrong.put(() -> json.requireList("o"), "c.json: o: expected a list, found an object of 1 keys");
    wrong.put(() -> json.requireObject("ints"), "c.json: ints: expected an object, found a list of 2");
    wrong.put(() -> json.requireObject("o").requireObject("deep").requireInteger("n"),
        "c.json: o.deep.n: expected an integer between -2^31 and 2^31 - 1, found the number 1.5");
    wrong.put(() -> json.requireObjects("list").get(1).requireInteger("k"),
        "c.json: list[1].k: expected an integer, found the string 'x'");
    wrong.forEach((read, message) -> assertEquals(message, assertThrows(FormatException.class, read).getMessage()));
  }

  @Test
  void pythonsWordsForNumbersThatAreNotFiniteAreReadWhereTheyMakeSense() {
    JsonObject json = Json.parse("""
        {"low": -Infinity, "high": Infinity, "none": NaN, "text": "-Infinity", "list": [NaN, 1], "one": 1.5}""", "c.json");
    assertEquals(Double.NEGATIVE_INFINITY, json.numberOrInfinity("low", 0));
    assertEquals(Double.POSITIVE_INFINITY, json.numberOrInfinity("high", 0));
    assertEquals(1.5, json.numberOrInfinity("one", 0));
    assertEquals(7.0, json.numberOrInfinity("absent", 7));
    assertEquals("-Infinity", json.requireString("text"));
    assertEquals(Double.NaN, json.get("none"));
    Map<Executable, String> wrong = new LinkedHashMap<>();
    wrong.put(() -> json.requireNumber("low"), "c.json: low: expected a finite number, found the number -Infinity");
    wrong.put(() -> json.number("none", 0), "c.json: none: expected a finite number, found the number NaN");
    wrong.put(() -> json.numberOrInfinity("none", 0), "c.json: none: expected a finite number, found the number NaN");
    wrong.put(() -> json.numberOrInfinity("text", 0), "c.json: text: expected a number, found the string '-Infinity'");
    wrong.put(() -> json.requireNumbers("list"), "c.json: list[0]: expected a finite number, found the number NaN");
    wrong.put(() -> json.requireInteger("high"),
        "c.json: high: expected an integer between -2^31 and 2^31 - 1, found the number Infinity");
    wrong.forEach((read, message) -> assertEquals(message, assertThrows(FormatException.class, read).getMessage()));
  }

  @Test
  void filesThatCannotBeReadSaySo() throws IOException {
    Path absent = temp.resolve("absent.json");
    assertEquals(absent + ": there is no such file",
        assertThrows(FormatException.class, () -> Json.read(absent)).getMessage());
    assertEquals(temp + ": is a folder; a file is needed",
        assertThrows(FormatException.class, () -> Json.read(temp)).getMessage());
    Path latin = Files.write(temp.resolve("latin.json"), "{\"\u00E9\":1}".getBytes(StandardCharsets.ISO_8859_1));
    assertEquals(latin + ": is not UTF-8 text", assertThrows(FormatException.class, () -> Json.read(latin)).getMessage());
  }

  @Test
  void whatIsWrittenReadsBackInOrderWithUnknownKeys() throws IOException {
    Path file = temp.resolve("config.json");
    String text = """
        {
          "z": 1,
          "a": [
            1,
            2.5,
            "\u00E9\\"\\u0000",
            null
          ],
          "empty": {},
          "none": [],
          "unknown": {
            "x": true
          }
        }
        """;
    Files.writeString(file, text);
    Map<String, Object> values = Json.read(file).asMap();
    Json.write(file, values);
    assertEquals(text, Files.readString(file));
    assertEquals(List.of("z", "a", "empty", "none", "unknown"), List.copyOf(Json.read(file).keys()));
    Json.write(file, Map.of("only", 1));
    assertEquals("{\n  \"only\": 1\n}\n", Files.readString(file));
    String line = Json.formatLine(values);
    assertEquals("{\"z\":1,\"a\":[1,2.5,\"\u00E9\\\"\\u0000\",null],\"empty\":{},\"none\":[],\"unknown\":{\"x\":true}}", line);
    assertEquals(values, Json.parse(line, "line").asMap());
  }

  @Test
  void whatJsonCannotSayIsNotWritten() {
    Path file = temp.resolve("config.json");
    for (Object value : List.of(Double.NaN, Float.POSITIVE_INFINITY, List.of(Double.NEGATIVE_INFINITY), Path.of("x"),
        Map.of(1, 2))) {
      assertThrows(IllegalArgumentException.class, () -> Json.write(file, Map.of("key", value)), value.toString());
    }
    assertTrue(Files.notExists(file));
  }
}
