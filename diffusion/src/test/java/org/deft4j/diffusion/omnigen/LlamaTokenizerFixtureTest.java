package org.deft4j.diffusion.omnigen;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

/** Llama's tokenizer against the ids, pieces and texts of the tokenizers library. */
class LlamaTokenizerFixtureTest {
  @TestFactory
  Stream<DynamicTest> texts() {
    return Fixtures.folders("llama_tokenizer").stream().flatMap(folder -> {
      LlamaTokenizer tokenizer = LlamaTokenizer.load(folder);
      Set<Integer> special = special(folder);
      List<JsonObject> cases = Fixtures.json(folder.resolve("expected.json")).requireObjects("cases");
      assertFalse(cases.isEmpty());
      return cases.stream().map(entry -> DynamicTest.dynamicTest(folder.getFileName() + " '" + entry.requireString("text") + "'",
          () -> check(tokenizer, special, entry)));
    });
  }

  private static Set<Integer> special(Path folder) {
    return Json.read(folder.resolve("tokenizer.json")).requireObjects("added_tokens").stream()
        .filter(token -> token.requireBool("special")).map(token -> token.requireInteger("id")).collect(Collectors.toSet());
  }

  private static int[] ints(JsonObject entry, String key) {
    return entry.requireInts(key).stream().mapToInt(id -> id).toArray();
  }

  private static void check(LlamaTokenizer tokenizer, Set<Integer> special, JsonObject entry) {
    int[] ids = tokenizer.encode(entry.requireString("text"));
    assertArrayEquals(ints(entry, "ids"), ids);
    assertEquals(tokenizer.bos(), ids[0]);
    assertArrayEquals(ints(entry, "ids_no_special"), Arrays.copyOfRange(ids, 1, ids.length));
    assertEquals(entry.requireStrings("pieces"), Arrays.stream(ids).mapToObj(tokenizer::token).toList());
    assertEquals(entry.requireString("decoded"), tokenizer.decode(ids));
    assertEquals(entry.requireString("decoded_skip_special"),
        tokenizer.decode(Arrays.stream(ids).filter(id -> !special.contains(id)).toArray()));
  }
}
