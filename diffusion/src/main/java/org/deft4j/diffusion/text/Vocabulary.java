package org.deft4j.diffusion.text;

import java.util.LinkedHashMap;
import java.util.Map;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.JsonObject;

/** The tokens of a tokenizer and their ids, one to one. */
public final class Vocabulary {
  private final Map<String, Integer> ids;
  private final String[] tokens;

  /**
   * A vocabulary.
   *
   * @param source the file, for errors
   * @throws FormatException if two tokens share an id, or one is below 0 or wildly large
   */
  public Vocabulary(Object source, Map<String, Integer> ids) {
    this.ids = Map.copyOf(ids);
    // Ids may have gaps, but not wild ones: the table is as long as the largest.
    int limit = 2 * ids.size() + 1024;
    ids.forEach((token, id) -> {
      if (id < 0 || id >= limit) {
        throw new FormatException(source + ": token '" + token + "' has id " + id + "; ids from 0 to " + (limit - 1)
            + " are expected among " + ids.size() + " tokens");
      }
    });
    tokens = new String[ids.values().stream().mapToInt(id -> id + 1).max().orElse(0)];
    ids.forEach((token, id) -> {
      if (tokens[id] != null) {
        throw new FormatException(source + ": tokens '" + tokens[id] + "' and '" + token + "' share id " + id);
      }
      tokens[id] = token;
    });
  }

  /** The entries of {@code {"token": id, ...}}, in the order of the file. */
  public static Map<String, Integer> read(JsonObject json) {
    Map<String, Integer> result = LinkedHashMap.newLinkedHashMap(json.keys().size());
    for (String token : json.keys()) {
      result.put(token, json.requireInteger(token));
    }
    return result;
  }

  /** The token's id, or null if there is no such token. */
  public Integer id(String token) {
    return ids.get(token);
  }

  /**
   * The token of an id.
   *
   * @throws IllegalArgumentException if there is none
   */
  public String token(int id) {
    if (id < 0 || id >= tokens.length || tokens[id] == null) {
      throw new IllegalArgumentException("token id " + id + " is not in the vocabulary of " + tokens.length);
    }
    return tokens[id];
  }

  /** One more than the largest id. */
  public int size() {
    return tokens.length;
  }
}
