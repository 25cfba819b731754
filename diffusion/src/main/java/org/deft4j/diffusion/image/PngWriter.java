package org.deft4j.diffusion.image;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import org.deft4j.weights.AtomicFile;

/**
 * Writes 8-bit RGB PNG files (ISO 15948) with text chunks: tEXt for Latin-1, iTXt for everything else. Rows are filtered by
 * whichever of the five filters leaves the smallest sum of absolute values.
 */
public final class PngWriter {
  private static final int LONGEST_KEYWORD = 79;
  private static final int FILTERS = 5;

  private PngWriter() {}

  /**
   * Writes {@code picture} to {@code path}, atomically: the old file or the whole new one is there, never a part.
   *
   * @param texts keyword (such as {@code parameters}) to text, in the order to be written
   * @throws UncheckedIOException if it cannot be written; the text names the file
   * @throws IllegalArgumentException if a keyword is not 1 to 79 printable Latin-1 characters
   */
  public static void write(Path path, Picture picture, Map<String, String> texts) {
    byte[] bytes = encode(picture, texts);
    try {
      AtomicFile.write(path, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException("picture " + path + ": cannot be written: " + e, e);
    }
  }

  /** The bytes that {@link #write} writes. */
  public static byte[] encode(Picture picture, Map<String, String> texts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(Png.SIGNATURE.getBytes(StandardCharsets.ISO_8859_1));
    byte bits = 8;
    byte rgb = 2;
    chunk(out, "IHDR", ByteBuffer.allocate(13).putInt(picture.width()).putInt(picture.height()).put(bits).put(rgb).array());
    texts.forEach((keyword, text) -> text(out, keyword, text));
    chunk(out, "IDAT", deflate(filtered(picture)));
    chunk(out, "IEND", new byte[0]);
    return out.toByteArray();
  }

  private static void chunk(ByteArrayOutputStream out, String type, byte[] content) {
    byte[] name = type.getBytes(StandardCharsets.US_ASCII);
    CRC32 crc = new CRC32();
    crc.update(name);
    crc.update(content);
    out.writeBytes(ByteBuffer.allocate(4).putInt(content.length).array());
    out.writeBytes(name);
    out.writeBytes(content);
    out.writeBytes(ByteBuffer.allocate(4).putInt((int) crc.getValue()).array());
  }

  // ------------------------------------------------------------------------------------------------------- texts

  private static void text(ByteArrayOutputStream out, String keyword, String text) {
    if (!keyword.matches("[!-~\u00a1-\u00ff]+( [!-~\u00a1-\u00ff]+)*") || keyword.length() > LONGEST_KEYWORD) {
      throw new IllegalArgumentException("PNG text: keyword '" + keyword + "': 1 to " + LONGEST_KEYWORD
          + " printable Latin-1 characters are needed, spaces only between them and one at a time");
    }
    String clean = wellFormed(text);
    ByteArrayOutputStream content = new ByteArrayOutputStream();
    content.writeBytes(keyword.getBytes(StandardCharsets.ISO_8859_1));
    content.write(0);
    if (StandardCharsets.ISO_8859_1.newEncoder().canEncode(clean)) {
      content.writeBytes(clean.getBytes(StandardCharsets.ISO_8859_1));
      chunk(out, "tEXt", content.toByteArray());
    } else {
      // Not compressed, method 0, no language, no translated keyword.
      content.writeBytes(new byte[4]);
      content.writeBytes(clean.getBytes(StandardCharsets.UTF_8));
      chunk(out, "iTXt", content.toByteArray());
    }
  }

  /** NUL, which ends a text in PNG, and halves of surrogate pairs become U+FFFD. */
  private static String wellFormed(String text) {
    StringBuilder result = new StringBuilder(text.length());
    text.codePoints().forEach(c -> result.appendCodePoint(
        c == 0 || (c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE) ? 0xfffd : c));
    return result.toString();
  }

  // ------------------------------------------------------------------------------------------------------ pixels

  private static byte[] deflate(byte[] bytes) {
    try (Deflater deflater = new Deflater()) {
      deflater.setInput(bytes);
      deflater.finish();
      ByteArrayOutputStream out = new ByteArrayOutputStream(bytes.length / 2 + 64);
      byte[] buffer = new byte[1 << 16];
      while (!deflater.finished()) {
        out.write(buffer, 0, deflater.deflate(buffer));
      }
      return out.toByteArray();
    }
  }

  /** Each row behind the number of its filter. */
  private static byte[] filtered(Picture picture) {
    int line = 3 * picture.width();
    byte[] above = new byte[line];
    byte[] row = new byte[line];
    byte[] result = new byte[Math.multiplyExact(picture.height(), line + 1)];
    byte[] candidate = new byte[line];
    for (int y = 0; y < picture.height(); y++) {
      System.arraycopy(picture.rgb(), y * line, row, 0, line);
      int start = y * (line + 1);
      long best = Long.MAX_VALUE;
      for (int filter = 0; filter < FILTERS; filter++) {
        long size = filter(filter, row, above, candidate);
        if (size < best) {
          best = size;
          result[start] = (byte) filter;
          System.arraycopy(candidate, 0, result, start + 1, line);
        }
      }
      byte[] swap = above;
      above = row;
      row = swap;
    }
    return result;
  }

  /** Fills {@code out} and returns the sum of its absolute values. */
  private static long filter(int filter, byte[] row, byte[] above, byte[] out) {
    long sum = 0;
    for (int i = 0; i < row.length; i++) {
      int left = i < 3 ? 0 : row[i - 3] & 0xff;
      int up = above[i] & 0xff;
      int corner = i < 3 ? 0 : above[i - 3] & 0xff;
      int guess = switch (filter) {
        case 0 -> 0;
        case 1 -> left;
        case 2 -> up;
        case 3 -> (left + up) / 2;
        default -> paeth(left, up, corner);
      };
      out[i] = (byte) (row[i] - guess);
      sum += Math.abs((int) out[i]);
    }
    return sum;
  }

  /** Whichever of the three is nearest to {@code left + up - corner}. */
  private static int paeth(int left, int up, int corner) {
    int byLeft = Math.abs(up - corner);
    int byUp = Math.abs(left - corner);
    int byCorner = Math.abs(left + up - 2 * corner);
    if (byLeft <= byUp && byLeft <= byCorner) {
      return left;
    }
    return byUp <= byCorner ? up : corner;
  }
}
