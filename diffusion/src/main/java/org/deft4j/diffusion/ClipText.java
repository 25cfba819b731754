package org.deft4j.diffusion;

import java.text.Normalizer;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What CLIP's tokenizer does to text before byte-pair encoding: normalise, lower the case, cut into pieces. */
final class ClipText {
  /** Contractions, runs of letters, single digits, runs of anything else but whitespace. */
  private static final Pattern PIECE = Pattern.compile(
      "'s|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}]+",
      Pattern.CASE_INSENSITIVE | Pattern.UNICODE_CHARACTER_CLASS);

  /** More combining marks in a row than any language has; composing takes time with the square of such a run. */
  private static final int LONGEST_RUN_OF_MARKS = 256;

  /** Below it every text is in normal form C already. */
  private static final int FIRST_MARK = 0x300;

  private static final int CAPITAL_I_WITH_DOT = 0x130;

  private ClipText() {}

  /** Hands the pieces of {@code text} to {@code out} in order. */
  static void forEachPiece(String text, Consumer<String> out) {
    Matcher matcher = PIECE.matcher(lower(compose(text)));
    while (matcher.find()) {
      out.accept(matcher.group());
    }
  }

  /** Normal form C; a run of more than {@link #LONGEST_RUN_OF_MARKS} combining marks is composed in parts. */
  private static String compose(String text) {
    if (text.chars().allMatch(c -> c < FIRST_MARK)) {
      return text;
    }
    StringBuilder result = new StringBuilder(text.length());
    int start = 0;
    int marks = 0;
    for (int i = 0; i < text.length();) {
      int codePoint = text.codePointAt(i);
      marks = isMark(codePoint) ? marks + 1 : 0;
      i += Character.charCount(codePoint);
      if (marks == LONGEST_RUN_OF_MARKS) {
        result.append(Normalizer.normalize(text.substring(start, i), Normalizer.Form.NFC));
        start = i;
        marks = 0;
      }
    }
    return result.append(Normalizer.normalize(text.substring(start), Normalizer.Form.NFC)).toString();
  }

  private static boolean isMark(int codePoint) {
    int type = Character.getType(codePoint);
    return type == Character.NON_SPACING_MARK || type == Character.COMBINING_SPACING_MARK
        || type == Character.ENCLOSING_MARK;
  }

  /** Each character by itself: a final sigma is like any other, and U+0130 becomes an i and a dot above. */
  private static String lower(String text) {
    StringBuilder result = new StringBuilder(text.length());
    text.codePoints().forEach(codePoint -> {
      if (codePoint == CAPITAL_I_WITH_DOT) {
        result.append("i\u0307");
      } else {
        result.appendCodePoint(Character.toLowerCase(codePoint));
      }
    });
    return result.toString();
  }
}
