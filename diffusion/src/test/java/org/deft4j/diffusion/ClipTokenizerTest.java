package org.deft4j.diffusion;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** CLIP's tokenizer against the golden ids, and on hostile text. */
class ClipTokenizerTest {
  @TempDir
  private static Path temporary;

  private static ClipTokenizer tokenizer;
  private static ClipTokenizer second;
  private static List<JsonObject> cases;

  @BeforeAll
  static void load() throws IOException {
    Path folder = Fixtures.folder("tokenizer");
    tokenizer = ClipTokenizer.load(folderWith(folder, "tokenizer_config.json"));
    second = ClipTokenizer.load(folderWith(folder, "tokenizer_2_config.json"));
    cases = ((List<?>) Json.parseValue(Fixtures.text(folder.resolve("cases.json")), "cases.json")).stream()
        .map(entry -> Json.parse(Json.format(cast(entry)), "cases.json")).toList();
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> cast(Object entry) {
    return (Map<String, Object>) entry;
  }

  private static Path folderWith(Path fixtures, String config) throws IOException {
    Path folder = Files.createTempDirectory(temporary, "clip");
    for (String name : List.of("vocab.json", "merges.txt")) {
      Files.copy(vocabulary(fixtures).resolve(name), folder.resolve(name), StandardCopyOption.REPLACE_EXISTING);
    }
    Files.copy(fixtures.resolve(config), folder.resolve("tokenizer_config.json"));
    return folder;
  }

  /** The set's own vocabulary; the repository's copy of the golden data has none beside the one that the program ships. */
  private static Path vocabulary(Path fixtures) {
    Path own = fixtures.resolve("clip");
    return Files.isDirectory(own) ? own
        : Fixtures.repository().resolve("diffusion/src/main/resources/org/deft4j/diffusion/clip");
  }

  private static int[] ints(JsonObject entry, String key) {
    return entry.requireInts(key).stream().mapToInt(id -> id).toArray();
  }

  @Test
  void idsEqualTheGoldenOnes() {
    assertFalse(cases.isEmpty());
    for (JsonObject entry : cases) {
      String text = entry.requireString("text");
      int[] ids = tokenizer.encode(text);
      assertArrayEquals(ints(entry, "ids"), ids, text);
      if (entry.isObject("ids_by_rule")) {
        assertArrayEquals(ints(entry.requireObject("ids_by_rule"), "hf_fast"), ids, text);
      }
      List<String> tokens = Arrays.stream(ids).mapToObj(tokenizer::token).toList();
      assertEquals(entry.requireStrings("tokens"), tokens, text);
      assertArrayEquals(ints(entry, "sdxl_tokenizer"), tokenizer.tokens(text).ids(), text);
      assertArrayEquals(ints(entry, "sdxl_tokenizer_2"), second.tokens(text).ids(), text);
    }
  }

  @Test
  void thePublishedVocabularyIsTheGoldenOne() {
    Path folder = Fixtures.folder("tokenizer");
    ClipTokenizer published = ClipTokenizer.published(Json.read(folder.resolve("tokenizer_config.json")));
    ClipTokenizer secondPublished = ClipTokenizer.published(Json.read(folder.resolve("tokenizer_2_config.json")));
    assertEquals(tokenizer.vocabularySize(), published.vocabularySize());
    for (JsonObject entry : cases) {
      String text = entry.requireString("text");
      assertArrayEquals(ints(entry, "sdxl_tokenizer"), published.tokens(text).ids(), text);
      assertArrayEquals(ints(entry, "sdxl_tokenizer_2"), secondPublished.tokens(text).ids(), text);
    }
  }

  @Test
  void truncationIsReported() {
    ClipTokens all = tokenizer.tokens("word ".repeat(75));
    assertFalse(all.isTruncated());
    assertEquals(75, all.promptTokens());
    assertEquals("", all.cutText());
    ClipTokens cut = tokenizer.tokens("word ".repeat(75) + "and the rest, too");
    assertTrue(cut.isTruncated());
    assertEquals(75, cut.promptTokens());
    assertEquals("and the rest , too", cut.cutText());
    assertEquals(5, cut.cut().length);
    assertEquals(tokenizer.end(), cut.ids()[76]);
    try (Scope _ = Scope.open()) {
      assertEquals(Shape.of(1, tokenizer.length()), cut.toTensor().shape());
    }
  }

  @Test
  void decodingGivesTheWordsBack() {
    assertEquals("a photo of a caf\u00e9 \ud83d\ude00 <|endoftext|> !",
        tokenizer.decode(tokenizer.encode("A photo of a cafe\u0301 \ud83d\ude00<|endoftext|>!")));
    assertThrows(IllegalArgumentException.class, () -> tokenizer.decode(-1));
  }

  @Test
  void loneSurrogatesCountAsReplacementCharacters() {
    assertArrayEquals(tokenizer.encode("a \ufffd b"), tokenizer.encode("a \ud83d b"));
    assertArrayEquals(tokenizer.encode("\ufffd"), tokenizer.encode("\ude00"));
    assertArrayEquals(tokenizer.encode("\ufffd\ud83d\ude00"), tokenizer.encode("\ud83d\ud83d\ude00"));
  }

  @Test
  void longTextsTakeNoMoreThanTheirLength() {
    assertTimeout(Duration.ofMinutes(1), () -> {
      assertEquals(1_000_000 / 8 + 1, tokenizer.encode("a".repeat(1_000_000)).length, 1_000);
      assertEquals(500_000, tokenizer.encode("ab cd, 12 ".repeat(100_000)).length);
      assertTrue(tokenizer.encode("\u0301\u0323".repeat(300_000)).length > 0);
      assertEquals(100_000, tokenizer.encode("<|endoftext|>".repeat(100_000)).length);
    });
  }

  @Test
  void tokenizersOfTheTinyModelsWork() {
    for (Path model : Fixtures.models()) {
      for (String part : List.of("tokenizer", "tokenizer_2")) {
        if (Files.isDirectory(model.resolve(part))) {
          ClipTokenizer tiny = ClipTokenizer.load(model.resolve(part));
          String encoder = part.replace("tokenizer", "text_encoder");
          assertEquals(Json.read(model.resolve(encoder).resolve("config.json")).requireInteger("vocab_size"),
              tiny.vocabularySize(), model + " " + part);
          assertEquals("a photo of sks dog", tiny.decode(tiny.encode("a photo of sks dog")));
        }
      }
    }
  }

  @Test
  void filesThatDoNotBelongTogetherAreRefused(@TempDir Path folder) throws IOException {
    assertTrue(assertThrows(FormatException.class, () -> ClipTokenizer.load(folder)).getMessage().contains("vocab.json"));
    Files.writeString(folder.resolve("vocab.json"), "{\"a\": 0, \"<|startoftext|>\": 1, \"<|endoftext|>\": 2}");
    assertTrue(assertThrows(FormatException.class, () -> ClipTokenizer.load(folder)).getMessage().contains("merges.txt"));
    Files.writeString(folder.resolve("merges.txt"), "#version: 0.2\na b\n");
    assertTrue(assertThrows(FormatException.class, () -> ClipTokenizer.load(folder)).getMessage().contains("line 2"));
    Files.writeString(folder.resolve("merges.txt"), "#version: 0.2\nab\n");
    assertTrue(assertThrows(FormatException.class, () -> ClipTokenizer.load(folder)).getMessage().contains("two symbols"));
    Files.writeString(folder.resolve("vocab.json"), "{\"a\": 0, \"b\": 0, \"<|startoftext|>\": 1, \"<|endoftext|>\": 2}");
    assertTrue(assertThrows(FormatException.class, () -> ClipTokenizer.load(folder)).getMessage().contains("share id 0"));
    Files.writeString(folder.resolve("vocab.json"), "{\"a\": 0, \"<|endoftext|>\": 2147483647}");
    assertTrue(assertThrows(FormatException.class, () -> ClipTokenizer.load(folder)).getMessage().contains("2147483647"));
  }
}
