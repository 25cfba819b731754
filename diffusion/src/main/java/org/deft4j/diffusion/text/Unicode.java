package org.deft4j.diffusion.text;

/** Text as UTF-8 can hold it. */
public final class Unicode {
  private Unicode() {}

  /** Halves of surrogate pairs, which no UTF-8 can hold, become U+FFFD. */
  public static String wellFormed(String text) {
    StringBuilder result = null;
    for (int i = 0; i < text.length();) {
      int codePoint = text.codePointAt(i);
      if (codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE) {
        result = result == null ? new StringBuilder(text) : result;
        result.setCharAt(i, '\ufffd');
      }
      i += Character.charCount(codePoint);
    }
    return result == null ? text : result.toString();
  }
}
