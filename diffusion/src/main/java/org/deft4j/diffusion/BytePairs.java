package org.deft4j.diffusion;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import org.deft4j.weights.FormatException;

/**
 * Byte-pair encoding (Sennrich et al. 2016, over bytes as in GPT-2): a piece of text becomes the symbols of its UTF-8 bytes,
 * the last one marked {@code </w>}; then the neighbours that come first in the list of merges are joined, again and again,
 * the leftmost first.
 *
 * <p>A piece of n bytes takes O(n log n): the pairs wait in a heap ordered by rank and place.
 */
final class BytePairs {
  static final String WORD_END = "</w>";

  private final int unknown;
  private final int[] byteIds = new int[256];
  private final int[] lastByteIds = new int[256];
  /** Pair (left id, right id) to (rank, id of the joined symbol), each two ints in a long. */
  private final Map<Long, Long> merges = new HashMap<>();

  /**
   * Reads the list of merges: one pair a line, most frequent first; a first line that starts with {@code #version} is a
   * comment.
   *
   * @param unknown the id of a byte whose symbol the vocabulary lacks
   * @throws FormatException if a line is no pair of symbols of the vocabulary
   */
  BytePairs(Path file, List<String> lines, Map<String, Integer> vocabulary, int unknown) {
    this.unknown = unknown;
    for (int b = 0; b < 256; b++) {
      String symbol = String.valueOf(ByteSymbols.of(b));
      byteIds[b] = vocabulary.getOrDefault(symbol, unknown);
      lastByteIds[b] = vocabulary.getOrDefault(symbol + WORD_END, unknown);
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
      long joined = idOf(file, i, left + right, vocabulary);
      merges.putIfAbsent(pair(idOf(file, i, left, vocabulary), idOf(file, i, right, vocabulary)),
          (long) rank++ << 32 | joined);
    }
  }

  private static int idOf(Path file, int line, String symbol, Map<String, Integer> vocabulary) {
    Integer id = vocabulary.get(symbol);
    if (id == null) {
      throw new FormatException(file + ": line " + (line + 1) + ": symbol '" + symbol + "' is not in vocab.json beside it; "
          + "the two files must belong together");
    }
    return id;
  }

  private static long pair(int left, int right) {
    return (long) left << 32 | right;
  }

  /** Hands the ids of {@code piece}, which must not be empty, to {@code out} in order. */
  void encode(String piece, IntConsumer out) {
    byte[] bytes = piece.getBytes(StandardCharsets.UTF_8);
    int n = bytes.length;
    int[] ids = new int[n];
    for (int i = 0; i < n; i++) {
      ids[i] = (i == n - 1 ? lastByteIds : byteIds)[bytes[i] & 0xff];
    }
    new Word(ids).merge();
    for (int id : ids) {
      if (id >= 0) {
        out.accept(id);
      }
    }
  }

  /** The rank and joined id of two neighbours, or -1; the unknown symbol joins nothing. */
  private long mergeOf(int left, int right) {
    return left == unknown || right == unknown ? -1 : merges.getOrDefault(pair(left, right), -1L);
  }

  /** Symbols as a doubly linked list over an array; a symbol that was joined to its left neighbour is -1. */
  private final class Word {
    private final int[] ids;
    private final int[] previous;
    private final int[] next;
    private final LongHeap heap;

    Word(int[] ids) {
      this.ids = ids;
      previous = new int[ids.length];
      next = new int[ids.length];
      heap = new LongHeap(ids.length);
      Arrays.setAll(previous, i -> i - 1);
      Arrays.setAll(next, i -> i + 1);
      for (int i = 0; i + 1 < ids.length; i++) {
        push(i);
      }
    }

    private long mergeAt(int i) {
      return ids[i] < 0 || next[i] >= ids.length ? -1 : mergeOf(ids[i], ids[next[i]]);
    }

    private void push(int i) {
      long merge = mergeAt(i);
      if (merge >= 0) {
        heap.add((merge & 0xffff_ffff_0000_0000L) | i);
      }
    }

    void merge() {
      while (!heap.isEmpty()) {
        long entry = heap.removeSmallest();
        int i = (int) entry;
        long merge = mergeAt(i);
        if (merge < 0 || merge >> 32 != entry >> 32) {
          continue; // One of the two was joined to another symbol meanwhile.
        }
        int right = next[i];
        ids[i] = (int) merge;
        ids[right] = -1;
        next[i] = next[right];
        if (next[i] < ids.length) {
          previous[next[i]] = i;
          push(i);
        }
        if (previous[i] >= 0) {
          push(previous[i]);
        }
      }
    }
  }
}
