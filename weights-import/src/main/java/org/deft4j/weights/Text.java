package org.deft4j.weights;

import java.util.Collection;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;

/** Names from files, made fit to be shown. */
final class Text {
  private static final int LONGEST = 200;

  private Text() {}

  /** In quotes, without control characters, and cut where it is long. */
  static String quote(String name) {
    StringBuilder text = new StringBuilder("'");
    name.codePoints().limit(LONGEST).forEach(c -> {
      if (Character.isISOControl(c) || Character.getType(c) == Character.FORMAT || Character.getType(c) == Character.SURROGATE) {
        text.append("\\u").append(HexFormat.of().toHexDigits((char) c));
      } else {
        text.appendCodePoint(c);
      }
    });
    if (name.codePointCount(0, name.length()) > LONGEST) {
      text.append("...");
    }
    return text.append("'").toString();
  }

  /** The name among {@code names} with the fewest insertions, deletions and replacements to {@code name}; null if none. */
  static String nearest(String name, Collection<String> names) {
    return names.stream().min(Comparator.<String>comparingInt(other -> distance(name, other))
        .thenComparing(Comparator.naturalOrder())).orElse(null);
  }

  /** Levenshtein's distance. */
  private static int distance(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int replaced = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(replaced, Math.min(row[j], row[j - 1]) + 1);
      }
    }
    return row[b.length()];
  }

  /** By Unicode code point, which is the order of the UTF-8 bytes. */
  static int compareCodePoints(String a, String b) {
    int common = Math.min(a.length(), b.length());
    for (int i = 0; i < common; i++) {
      char x = a.charAt(i);
      char y = b.charAt(i);
      if (x != y) {
        boolean pairX = Character.isSurrogate(x);
        boolean pairY = Character.isSurrogate(y);
        return pairX == pairY ? Character.compare(x, y) : pairX ? 1 : -1;
      }
    }
    return Integer.compare(a.length(), b.length());
  }

  /** {@code a, b and c}. */
  static String list(List<String> words) {
    return words.size() < 2 ? String.join("", words)
        : String.join(", ", words.subList(0, words.size() - 1)) + " and " + words.getLast();
  }
}
