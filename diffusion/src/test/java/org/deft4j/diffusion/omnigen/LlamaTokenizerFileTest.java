package org.deft4j.diffusion.omnigen;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Files of small vocabularies: what each setting does, and one sentence for each that is damaged or of another family. */
class LlamaTokenizerFileTest {
  private static final String UNDERLINE = "\u2581";

  @TempDir
  private Path folder;

  private static Map<String, Object> map(Object... entries) {
    Map<String, Object> result = new LinkedHashMap<>();
    for (int i = 0; i < entries.length; i += 2) {
      result.put((String) entries[i], entries[i + 1]);
    }
    return result;
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> in(Map<String, Object> file, String key) {
    return (Map<String, Object>) file.get(key);
  }

  private static Map<String, Object> added(int id, String content, String... flags) {
    return map("id", id, "content", content, "special", true, "normalized", List.of(flags).contains("normalized"),
        "lstrip", List.of(flags).contains("lstrip"), "rstrip", List.of(flags).contains("rstrip"),
        "single_word", List.of(flags).contains("single_word"));
  }

  private static final int BYTES = 3;

  /** {@code <unk> <s> </s>}, the bytes, then from 259 on {@code ▁ a b ▁a ab ▁ab}. */
  private static Map<String, Object> valid() {
    Map<String, Object> vocabulary = map("<unk>", 0, "<s>", 1, "</s>", 2);
    for (int b = 0; b < 256; b++) {
      vocabulary.put(String.format("<0x%02X>", b), BYTES + b);
    }
    for (String piece : List.of(UNDERLINE, "a", "b", UNDERLINE + "a", "ab", UNDERLINE + "ab")) {
      vocabulary.put(piece, vocabulary.size());
    }
    return map(
        "added_tokens", new ArrayList<>(List.of(added(0, "<unk>"), added(1, "<s>"), added(2, "</s>"))),
        "normalizer", map("type", "Sequence", "normalizers", List.of(map("type", "Prepend", "prepend", UNDERLINE),
            map("type", "Replace", "pattern", map("String", " "), "content", UNDERLINE))),
        "pre_tokenizer", null,
        "post_processor", map("type", "TemplateProcessing",
            "single", List.of(map("SpecialToken", map("id", "<s>", "type_id", 0)), map("Sequence", map("id", "A", "type_id", 0))),
            "special_tokens", map("<s>", map("id", "<s>", "ids", List.of(1), "tokens", List.of("<s>")))),
        "model", map("type", "BPE", "dropout", null, "unk_token", "<unk>", "fuse_unk", true, "byte_fallback", true,
            "vocab", vocabulary, "merges", new ArrayList<>(List.of(UNDERLINE + " a", "a b", UNDERLINE + " ab"))));
  }

  private LlamaTokenizer load(Consumer<Map<String, Object>> change) {
    Map<String, Object> file = valid();
    change.accept(file);
    Json.write(folder.resolve("tokenizer.json"), file);
    return LlamaTokenizer.load(folder);
  }

  private LlamaTokenizer loadWith(Map<String, Object> token) {
    return load(file -> {
      @SuppressWarnings("unchecked")
      List<Object> tokens = (List<Object>) file.get("added_tokens");
      tokens.add(token);
    });
  }

  private void assertIds(LlamaTokenizer tokenizer, String text, int... ids) {
    assertArrayEquals(ids, tokenizer.encode(text), text);
  }

  // ----------------------------------------------------------------------------------------------- what is read

  @Test
  void mergesAreInOrderOfRankInEitherForm() {
    // "▁ a" comes before "a b", so that "▁ab" is never made.
    LlamaTokenizer strings = load(_ -> { });
    assertIds(strings, "ab", 1, 262, 261);
    assertIds(strings, "bab", 1, 259, 261, 263);
    assertEquals(265, strings.vocabularySize());
    LlamaTokenizer pairs = load(file -> in(file, "model").put("merges",
        List.of(List.of("a", "b"), List.of(UNDERLINE, "ab"), List.of(UNDERLINE, "a"))));
    assertIds(pairs, "ab", 1, 264);
    assertIds(pairs, "a b", 1, 262, 259, 261);
  }

  @Test
  void theLongestAddedTokenOfTheLeftmostIsTaken() {
    LlamaTokenizer tokenizer = load(file -> file.put("added_tokens",
        List.of(added(1, "<s>"), added(300, "ba"), added(301, "bab"), added(302, "aba"))));
    assertIds(tokenizer, "babab", 1, 301, 262, 261);
    assertIds(tokenizer, "ababa", 1, 302, 300);
    assertIds(tokenizer, "bbab", 1, 259, 261, 301);
  }

  @Test
  void whitespaceGoesWithTheTokensThatTakeIt() {
    assertIds(loadWith(added(300, "#", "lstrip")), "a \u00a0\n# a", 1, 262, 300, 259, 262);
    assertIds(loadWith(added(300, "#", "rstrip")), "a # \t\u2003a", 1, 262, 259, 300, 262);
    LlamaTokenizer both = loadWith(added(300, "#", "lstrip", "rstrip"));
    assertIds(both, " # # a", 1, 300, 300, 262);
    assertIds(both, "#\u200ba", 1, 300, 259, BYTES + 0xe2, BYTES + 0x80, BYTES + 0x8b, 260);
  }

  /** As the library has it, such a token is lost if it would take the whitespace before it, too. */
  @Test
  void whitespaceMayBeATokenAndGoWithTheOneBefore() {
    assertIds(withLines(added(301, "\n")), "\n# \n\na\n", 1, 301, 300, 301, 301, 262, 301);
    assertIds(withLines(added(301, "\n", "lstrip")), "\n# \n\na\n", 1, 301, 300, 262, 301);
  }

  private LlamaTokenizer withLines(Map<String, Object> line) {
    return load(file -> file.put("added_tokens", List.of(added(1, "<s>"), added(300, "#", "rstrip"), line)));
  }

  @Test
  void singleWordsAreFoundOnlyByThemselves() {
    LlamaTokenizer tokenizer = loadWith(added(300, "ba", "single_word"));
    assertIds(tokenizer, "ba ba-ba", 1, 300, 259, 259, 300, 259, BYTES + '-', 300);
    assertIds(tokenizer, "bab", 1, 259, 261, 263);
    assertIds(tokenizer, "aba", 1, 262, 261, 260);
    assertIds(tokenizer, "ba\u00e9", 1, 259, 261, 260, BYTES + 0xc3, BYTES + 0xa9);
    assertIds(tokenizer, "ba\ud835\udfd8", 1, 259, 261, 260, BYTES + 0xf0, BYTES + 0x9d, BYTES + 0x9f, BYTES + 0x98);
  }

  @Test
  void normalizedTokensAreFoundInNormalizedText() {
    LlamaTokenizer tokenizer = loadWith(added(300, "b b", "normalized"));
    assertIds(tokenizer, "b ba", 1, 300, 260);
    assertIds(tokenizer, "a b b", 1, 262, 300);
    assertIds(tokenizer, "ab b", 1, 262, 261, 259, 261);
  }

  @Test
  void theLaterFormPrefixesTheTextAlone() {
    LlamaTokenizer tokenizer = load(file -> {
      file.put("normalizer", null);
      file.put("pre_tokenizer", map("type", "Metaspace", "replacement", UNDERLINE, "prepend_scheme", "first", "split", false));
    });
    assertIds(tokenizer, "a", 1, 262);
    assertIds(tokenizer, " a", 1, 262);
    assertIds(tokenizer, "a<s>a a", 1, 262, 1, 260, 262);
    assertIds(tokenizer, "<s>a", 1, 1, 260);
    assertIds(tokenizer, "", 1);
  }

  @Test
  void codePointsWithoutAllOfTheirBytesAreUnknown() {
    Consumer<Map<String, Object>> without = file -> in(in(file, "model"), "vocab").remove("<0xC3>");
    LlamaTokenizer fusing = load(without);
    assertIds(fusing, "\u00e9\u00e9a", 1, 259, 0, 260);
    assertIds(fusing, "\u00e9!\u00e9", 1, 259, BYTES + '!', 0);
    LlamaTokenizer separate = load(file -> {
      without.accept(file);
      in(file, "model").put("fuse_unk", false);
    });
    assertIds(separate, "\u00e9\u00e9a\u00e9", 1, 259, 0, 0, 260, 0);
    LlamaTokenizer dropping = load(file -> {
      without.accept(file);
      in(file, "model").put("unk_token", null);
    });
    assertIds(dropping, "\u00e9a\u00e9b", 1, 262, 261);
  }

  @Test
  void decodingMakesTextOfBytesAndUnderlines() {
    LlamaTokenizer tokenizer = load(_ -> { });
    assertEquals("a b\u00e9 ", tokenizer.decode(259, 260, 259, 261, BYTES + 0xc3, BYTES + 0xa9, 259));
    assertEquals("\ufffd\ufffda\ufffd", tokenizer.decode(BYTES + 0xc3, BYTES + 0xc3, 260, BYTES + 0xff));
    assertEquals("", tokenizer.decode());
    assertThrows(IllegalArgumentException.class, () -> tokenizer.decode(1000));
    assertThrows(IllegalArgumentException.class, () -> tokenizer.token(-1));
  }

  // -------------------------------------------------------------------------------------------- what is refused

  private void refused(Consumer<Map<String, Object>> change, String... parts) {
    String message = assertThrows(FormatException.class, () -> load(change)).getMessage();
    assertTrue(message.startsWith(folder.resolve("tokenizer.json").toString()), message);
    assertFalse(message.contains("\n"), message);
    for (String part : parts) {
      assertTrue(message.contains(part), message);
    }
  }

  private void refusedModel(String key, Object value, String... parts) {
    refused(file -> in(file, "model").put(key, value), parts);
  }

  @Test
  void otherFamiliesAreRefusedInOneSentence() {
    String ours = "BPE with byte fallback";
    refusedModel("type", "WordPiece", "another family", "model WordPiece", ours);
    refusedModel("type", "Unigram", "model Unigram", ours);
    refusedModel("byte_fallback", false, "BPE without byte fallback", ours);
    refusedModel("byte_fallback", null, "BPE without byte fallback", ours);
    refusedModel("ignore_merges", true, "ignore_merges", ours);
    refusedModel("dropout", 0.1, "dropout 0.1", ours);
    refusedModel("end_of_word_suffix", "</w>", "end_of_word_suffix '</w>'", ours);
    refusedModel("continuing_subword_prefix", "##", "continuing_subword_prefix '##'", ours);
    refused(file -> file.put("normalizer", map("type", "NFC")), "normalizer NFC", "pre-tokenizer none", ours);
    refused(file -> file.put("normalizer", null), "normalizer none, pre-tokenizer none", ours);
    refused(file -> file.put("pre_tokenizer", map("type", "ByteLevel", "add_prefix_space", false)),
        "normalizer Sequence (Prepend (prepend " + UNDERLINE + "), Replace", "pre-tokenizer ByteLevel (add_prefix_space false)", ours);
    for (Object scheme : List.of("always", "never")) {
      refused(file -> {
        file.put("normalizer", null);
        file.put("pre_tokenizer", map("type", "Metaspace", "replacement", UNDERLINE, "prepend_scheme", scheme, "split", false));
      }, "prepend_scheme " + scheme, ours);
    }
    refused(file -> {
      file.put("normalizer", null);
      file.put("pre_tokenizer", map("type", "Metaspace", "replacement", UNDERLINE, "prepend_scheme", "first", "split", true));
    }, "split true", ours);
    refused(file -> file.put("post_processor", null), "post-processor none", ours);
    refused(file -> file.put("post_processor", map("type", "RobertaProcessing")), "post-processor RobertaProcessing", ours);
  }

  @Test
  void allThatIsStrangeIsNamedAtOnce() {
    refused(file -> {
      file.put("normalizer", map("type", "BertNormalizer", "lowercase", true));
      file.put("pre_tokenizer", map("type", "BertPreTokenizer"));
      file.put("post_processor", map("type", "BertProcessing"));
      in(file, "model").put("type", "WordPiece");
    }, "(model WordPiece, normalizer BertNormalizer (lowercase true), pre-tokenizer BertPreTokenizer, post-processor BertProcessing)");
  }

  @Test
  void damagedFilesAreRefusedInOneSentence() throws IOException {
    assertTrue(assertThrows(FormatException.class, () -> LlamaTokenizer.load(folder)).getMessage().contains("tokenizer.json"));
    Files.writeString(folder.resolve("tokenizer.json"), "{\"model\": ");
    assertThrows(FormatException.class, () -> LlamaTokenizer.load(folder));
    refused(file -> file.remove("model"), "model: expected an object");
    refusedModel("vocab", List.of(), "vocab: expected an object");
    refusedModel("vocab", map("a", 0, "b", 0), "share id 0");
    refusedModel("vocab", map("<s>", 1, "a", -1), "id -1");
    refusedModel("vocab", map("<s>", 1, "a", 2_000_000_000), "id 2000000000");
    refusedModel("merges", List.of("a b", "a x"), "merges[1]", "'x' is not in the vocabulary");
    refusedModel("merges", List.of("b a"), "'ba' is not in the vocabulary");
    refusedModel("merges", List.of("ab"), "merges[0]", "expected two pieces");
    refusedModel("merges", List.of("a b a"), "expected two pieces");
    refusedModel("merges", List.of(List.of("a", 1)), "expected two pieces");
    refusedModel("merges", List.of(7), "expected two pieces");
    refusedModel("merges", List.of("a b", List.of("a", "b")), "merges[1]", "twice");
    refusedModel("unk_token", "<what>", "unk_token", "'<what>' is not in the vocabulary");
    refused(file -> file.put("added_tokens", List.of(added(2, "<s>"))), "'<s>' has two ids, 1 and 2");
    refused(file -> file.put("added_tokens", List.of(added(260, "new"))), "share id 260");
    refused(file -> file.put("added_tokens", List.of(added(300, ""))), "added token 300 is an empty text");
    refused(file -> in(file, "post_processor").put("special_tokens", map()), "<s>");
    refused(file -> in(in(file, "post_processor"), "special_tokens").put("<s>", map("ids", List.of(7))), "ids [7]");
    refused(file -> in(in(file, "post_processor"), "special_tokens").put("<s>", map("ids", List.of(1, 1))), "ids [1, 1]");
  }
}
