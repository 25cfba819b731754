package org.deft4j.diffusion.omnigen;

import java.util.regex.Pattern;

/**
 * A token that is cut out of the text before it is split into pieces, as the tokenizers library describes it.
 *
 * @param id its id
 * @param content its text, as it stands in the text that is searched
 * @param normalized whether the text is searched after normalization
 * @param lstrip whether it takes the whitespace before it along
 * @param rstrip whether it takes the whitespace after it along
 * @param singleWord whether it counts only where no letter, digit or underline is beside it
 */
record AddedToken(int id, String content, boolean normalized, boolean lstrip, boolean rstrip, boolean singleWord) {
  private static final Pattern WORD = Pattern.compile("\\w", Pattern.UNICODE_CHARACTER_CLASS);

  /** Whether the match at {@code start .. end} of {@code text} counts. */
  boolean counts(String text, int start, int end) {
    return !singleWord || !((start > 0 && isWord(text.codePointBefore(start)))
        || (end < text.length() && isWord(text.codePointAt(end))));
  }

  private static boolean isWord(int codePoint) {
    return WORD.matcher(Character.toString(codePoint)).matches();
  }

  /** Where the token begins that was found at {@code start}, with what it takes along; not before {@code from} then. */
  int begin(String text, int from, int start) {
    int begin = start;
    while (lstrip && begin > from && isWhitespace(text.charAt(begin - 1))) {
      begin--;
    }
    return lstrip ? Math.max(begin, from) : begin;
  }

  /** Where the token ends, with what it takes along, whose own text ends at {@code stop}. */
  int end(String text, int stop) {
    int end = stop;
    while (rstrip && end < text.length() && isWhitespace(text.charAt(end))) {
      end++;
    }
    return end;
  }

  /** Unicode's property White_Space. */
  private static boolean isWhitespace(char c) {
    return Character.isSpaceChar(c) || (c >= '\t' && c <= '\r') || c == '\u0085';
  }
}
