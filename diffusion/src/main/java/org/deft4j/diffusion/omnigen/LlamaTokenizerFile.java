package org.deft4j.diffusion.omnigen;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.diffusion.text.Merges;
import org.deft4j.diffusion.text.Vocabulary;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;

/**
 * What {@code tokenizer.json}, the file of the tokenizers library, says where the tokenizer is one of Llama's family.
 *
 * @param vocabulary all tokens
 * @param pieces those that the model of the file has, without added ones
 * @param merges which pieces are joined
 * @param added the added tokens
 * @param normalizing whether the text between added tokens is normalized, so that each segment gets a {@code ▁} in front;
 *     otherwise only one at the beginning of the text does, if it has none
 * @param fusesUnknowns whether neighbours that are unknown are one token
 * @param unknown the id of a code point that has neither piece nor bytes, or {@link LlamaTokenizer#NONE}: it is dropped
 * @param bos the id that every text begins with
 */
record LlamaTokenizerFile(Vocabulary vocabulary, Map<String, Integer> pieces, Merges merges, List<AddedToken> added,
    boolean normalizing, boolean fusesUnknowns, int unknown, int bos) {
  /** @throws FormatException if the file cannot be read, is damaged, or is of another family */
  static LlamaTokenizerFile read(Path path) {
    JsonObject file = Json.read(path);
    LlamaFamily.require(file);
    JsonObject model = file.requireObject("model");
    boolean normalizing = file.has("normalizer");
    Map<String, Integer> pieces = Vocabulary.read(model.requireObject("vocab"));
    List<AddedToken> added = added(file, normalizing);
    Vocabulary vocabulary = new Vocabulary(path, all(file, pieces));
    String unknown = model.string("unk_token", null);
    return new LlamaTokenizerFile(vocabulary, pieces, merges(model, pieces), added, normalizing, model.bool("fuse_unk", false),
        unknown == null ? LlamaTokenizer.NONE : idOf(model, "unk_token", unknown, pieces), bos(file, vocabulary));
  }

  // ------------------------------------------------------------------------------------------------ added tokens

  private static List<JsonObject> addedObjects(JsonObject file) {
    return file.has("added_tokens") ? file.requireObjects("added_tokens") : List.of();
  }

  private static List<AddedToken> added(JsonObject file, boolean normalizing) {
    return addedObjects(file).stream().map(token -> {
      String content = token.requireString("content");
      if (content.isEmpty()) {
        throw new FormatException(file.source() + ": added token " + token.requireInteger("id") + " is an empty text");
      }
      boolean normalized = token.bool("normalized", false);
      return new AddedToken(token.requireInteger("id"),
          normalized && normalizing ? LlamaTokenizer.normalize(content) : content, normalized,
          token.bool("lstrip", false), token.bool("rstrip", false), token.bool("single_word", false));
    }).toList();
  }

  /** Pieces and added tokens; those that are both must have one id. */
  private static Map<String, Integer> all(JsonObject file, Map<String, Integer> pieces) {
    Map<String, Integer> all = new LinkedHashMap<>(pieces);
    for (JsonObject token : addedObjects(file)) {
      String content = token.requireString("content");
      int id = token.requireInteger("id");
      Integer other = all.put(content, id);
      if (other != null && other != id) {
        throw new FormatException(file.source() + ": token '" + content + "' has two ids, " + other + " and " + id);
      }
    }
    return all;
  }

  private static int bos(JsonObject file, Vocabulary vocabulary) {
    String token = LlamaFamily.begin(file);
    JsonObject special = file.requireObject("post_processor").requireObject("special_tokens").requireObject(token);
    List<Integer> ids = special.requireInts("ids");
    if (ids.size() != 1 || !ids.getFirst().equals(vocabulary.id(token))) {
      throw new FormatException(file.source() + ": post_processor: the token '" + token + "' that begins every text has ids "
          + ids + "; one id is expected, that of the token in the vocabulary");
    }
    return ids.getFirst();
  }

  // ------------------------------------------------------------------------------------------------------ merges

  private static Merges merges(JsonObject model, Map<String, Integer> pieces) {
    Merges merges = new Merges();
    List<?> list = model.requireList("merges");
    for (int rank = 0; rank < list.size(); rank++) {
      String key = "merges[" + rank + "]";
      List<String> pair = pair(model, key, list.get(rank));
      String left = pair.getFirst();
      String right = pair.getLast();
      if (!merges.add(idOf(model, key, left, pieces), idOf(model, key, right, pieces), rank,
          idOf(model, key, left + right, pieces))) {
        throw new FormatException(model.source() + ": " + key + ": the pair '" + left + "', '" + right + "' is there twice");
      }
    }
    return merges;
  }

  /** {@code "a b"} or {@code ["a", "b"]}, depending on the writer. */
  private static List<String> pair(JsonObject model, String key, Object merge) {
    List<String> parts = new ArrayList<>();
    if (merge instanceof String text) {
      parts.addAll(List.of(text.split(" ", -1)));
    } else if (merge instanceof List<?> list) {
      list.forEach(part -> parts.add(part instanceof String text ? text : ""));
    }
    if (parts.size() != 2 || parts.contains("")) {
      throw new FormatException(model.source() + ": " + key + ": expected two pieces, as \"a b\" or [\"a\", \"b\"], found "
          + merge);
    }
    return parts;
  }

  private static int idOf(JsonObject model, String key, String piece, Map<String, Integer> pieces) {
    Integer id = pieces.get(piece);
    if (id == null) {
      throw new FormatException(model.source() + ": " + key + ": the piece '" + piece + "' is not in the vocabulary");
    }
    return id;
  }
}
