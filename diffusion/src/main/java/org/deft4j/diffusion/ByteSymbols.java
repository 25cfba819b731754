package org.deft4j.diffusion;

import java.util.Arrays;

/**
 * The 256 characters that stand for bytes in a byte-level vocabulary (GPT-2, CLIP): printable Latin-1 stands for itself, the
 * other 68 bytes, in order, for the characters from U+0100 on.
 */
final class ByteSymbols {
  private static final char[] SYMBOLS = new char[256];
  private static final int[] BYTES = new int[512];

  static {
    Arrays.fill(BYTES, -1);
    char other = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      SYMBOLS[b] = printable ? (char) b : other++;
      BYTES[SYMBOLS[b]] = b;
    }
  }

  private ByteSymbols() {}

  /** The character for a byte, 0 .. 255. */
  static char of(int b) {
    return SYMBOLS[b];
  }

  /** The byte of a character, or -1 if it stands for none. */
  static int byteOf(char symbol) {
    return symbol < BYTES.length ? BYTES[symbol] : -1;
  }
}
