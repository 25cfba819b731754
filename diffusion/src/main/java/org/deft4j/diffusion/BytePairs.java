package org.deft4j.diffusion;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.function.IntConsumer;
import org.deft4j.diffusion.text.Merges;
import org.deft4j.diffusion.text.Vocabulary;
import org.deft4j.weights.FormatException;

/**
 * Byte-pair encoding over bytes, as in GPT-2: a piece of text becomes the symbols of its UTF-8 bytes, the last one marked
 * {@code </w>}; then neighbours are joined by a list of {@link Merges}.
 */
final class BytePairs {
  static final String WORD_END = "</w>";

  private final int[] byteIds = new int[256];
  private final int[] lastByteIds = new int[256];
  private final Merges merges = new Merges();

  /**
   * Reads the list of merges: one pair a line, most frequent first; a first line that starts with {@code #version} is a
   * comment.
   *
   * @param unknown the id of a byte whose symbol the vocabulary lacks; it joins nothing
   * @throws FormatException if a line is no pair of symbols of the vocabulary
   */
  BytePairs(Path file, List<String> lines, Vocabulary vocabulary, int unknown) {
    for (int b = 0; b < 256; b++) {
      String symbol = String.valueOf(ByteSymbols.of(b));
      byteIds[b] = idOr(unknown, vocabulary.id(symbol));
      lastByteIds[b] = idOr(unknown, vocabulary.id(symbol + WORD_END));
    }
    int rank = 0;
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i);
      if (line.isBlank() || (i == 0 && line.startsWith("#version"))) {
        continue;
      }
      int space = line.indexOf(' ');
      if (space <= 0 || space == line.length() - 1 || line.indexOf(' ', space + 1) >= 0) {
        throw new FormatException(file + ": line " + (i + 1) + ": expected two symbols with a space between, found '" + line
            + "'");
      }
      String left = line.substring(0, space);
      String right = line.substring(space + 1);
      int joined = idOf(file, i, left + right, vocabulary);
      int leftId = idOf(file, i, left, vocabulary);
      int rightId = idOf(file, i, right, vocabulary);
      if (leftId != unknown && rightId != unknown) {
        merges.add(leftId, rightId, rank, joined);
      }
      rank++;
    }
  }

  private static int idOr(int otherwise, Integer id) {
    return id == null ? otherwise : id;
  }

  private static int idOf(Path file, int line, String symbol, Vocabulary vocabulary) {
    Integer id = vocabulary.id(symbol);
    if (id == null) {
      throw new FormatException(file + ": line " + (line + 1) + ": symbol '" + symbol + "' is not in vocab.json beside it; "
          + "the two files must belong together");
    }
    return id;
  }

  /** Hands the ids of {@code piece}, which must not be empty, to {@code out} in order. */
  void encode(String piece, IntConsumer out) {
    byte[] bytes = piece.getBytes(StandardCharsets.UTF_8);
    int n = bytes.length;
    int[] ids = new int[n];
    for (int i = 0; i < n; i++) {
      ids[i] = (i == n - 1 ? lastByteIds : byteIds)[bytes[i] & 0xff];
    }
    for (int id : merges.join(ids)) {
      out.accept(id);
    }
  }
}
