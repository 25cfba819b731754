package org.deft4j.deft;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/** The names nearest to a mistyped one, by edit distance. */
public final class Nearest {
  private Nearest() {}

  /** At most {@code count} of {@code names}, nearest first; equally near ones in alphabetical order. */
  public static List<String> names(String typed, Collection<String> names, int count) {
    return names.stream().distinct()
        .sorted(Comparator.<String>comparingInt(name -> distance(typed, name)).thenComparing(Comparator.naturalOrder()))
        .limit(count).toList();
  }

  /** {@code "; did you mean 'x'?"}, or nothing where no name is near. */
  public static String hint(String typed, Collection<String> names) {
    List<String> nearest = names(typed, names, 1);
    return nearest.isEmpty() || distance(typed, nearest.getFirst()) > Math.max(2, typed.length() / 3) ? ""
        : "; did you mean '" + nearest.getFirst() + "'?";
  }

  /** Insertions, deletions and replacements (Levenshtein) that turn one into the other, letter case aside. */
  static int distance(String first, String second) {
    String a = first.toLowerCase(Locale.ROOT);
    String b = second.toLowerCase(Locale.ROOT);
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int replace = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(replace, Math.min(row[j], row[j - 1]) + 1);
      }
    }
    return row[b.length()];
  }
}
