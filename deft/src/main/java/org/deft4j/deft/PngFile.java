package org.deft4j.deft;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.DeflaterOutputStream;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.weights.AtomicFile;

/**
 * PNG with text (PNG specification, third edition): 8-bit RGB, every row with the filter "Sub", and a text chunk for each
 * keyword, {@code tEXt} where Latin-1 can hold it, else {@code iTXt} in UTF-8. One picture and one text give the same bytes
 * always.
 */
public final class PngFile {
  private static final byte[] SIGNATURE = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  private static final int CHANNELS = 3;
  private static final byte SUB = 1;

  private PngFile() {}

  /** Writes {@code picture}, whole or not at all. */
  public static void write(Path file, Picture picture, Map<String, String> text) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.write(SIGNATURE);
    chunk(out, "IHDR", ByteBuffer.allocate(13).putInt(picture.width()).putInt(picture.height())
        .put((byte) 8).put((byte) 2).put((byte) 0).put((byte) 0).put((byte) 0).array());
    for (Map.Entry<String, String> entry : text.entrySet()) {
      text(out, entry.getKey(), entry.getValue());
    }
    chunk(out, "IDAT", pixels(picture));
    chunk(out, "IEND", new byte[0]);
    AtomicFile.write(file, bytes.toByteArray());
  }

  private static byte[] pixels(Picture picture) throws IOException {
    byte[] rgb = picture.rgb();
    int width = picture.width() * CHANNELS;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DeflaterOutputStream out = new DeflaterOutputStream(bytes)) {
      byte[] row = new byte[width + 1];
      row[0] = SUB;
      for (int start = 0; start < rgb.length; start += width) {
        for (int i = 0; i < width; i++) {
          row[i + 1] = (byte) (rgb[start + i] - (i < CHANNELS ? 0 : rgb[start + i - CHANNELS]));
        }
        out.write(row);
      }
    }
    return bytes.toByteArray();
  }

  private static void text(DataOutputStream out, String keyword, String value) throws IOException {
    boolean plain = StandardCharsets.ISO_8859_1.newEncoder().canEncode(value);
    ByteArrayOutputStream content = new ByteArrayOutputStream();
    content.writeBytes(keyword.getBytes(StandardCharsets.ISO_8859_1));
    content.write(0);
    if (!plain) {
      content.writeBytes(new byte[4]); // not compressed, no language, keyword not translated
    }
    content.writeBytes(value.getBytes(plain ? StandardCharsets.ISO_8859_1 : StandardCharsets.UTF_8));
    chunk(out, plain ? "tEXt" : "iTXt", content.toByteArray());
  }

  private static void chunk(DataOutputStream out, String type, byte[] content) throws IOException {
    byte[] name = type.getBytes(StandardCharsets.ISO_8859_1);
    CRC32 sum = new CRC32();
    sum.update(name);
    sum.update(content);
    out.writeInt(content.length);
    out.write(name);
    out.write(content);
    out.writeInt((int) sum.getValue());
  }

  /** The text chunks of a PNG by keyword, those that are not compressed; empty for another file or a damaged one. */
  public static Map<String, String> text(Path file) throws IOException {
    Map<String, String> text = new LinkedHashMap<>();
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file));
    if (bytes.remaining() < SIGNATURE.length || !ByteBuffer.wrap(SIGNATURE).equals(bytes.slice(0, SIGNATURE.length))) {
      return text;
    }
    bytes.position(SIGNATURE.length);
    while (bytes.remaining() >= 12) {
      int length = bytes.getInt();
      byte[] type = new byte[4];
      bytes.get(type);
      if (length < 0 || length > bytes.remaining() - 4) {
        break;
      }
      byte[] content = new byte[length];
      bytes.get(content);
      bytes.getInt();
      read(new String(type, StandardCharsets.ISO_8859_1), content, text);
    }
    return text;
  }

  private static void read(String type, byte[] content, Map<String, String> text) {
    int end = zero(content, 0);
    if (type.equals("tEXt") && end >= 0) {
      text.put(string(content, 0, end, StandardCharsets.ISO_8859_1),
          string(content, end + 1, content.length, StandardCharsets.ISO_8859_1));
    } else if (type.equals("iTXt") && end >= 0 && end + 2 < content.length && content[end + 1] == 0) {
      int language = zero(content, end + 3);
      int translated = language < 0 ? -1 : zero(content, language + 1);
      if (translated >= 0) {
        text.put(string(content, 0, end, StandardCharsets.ISO_8859_1),
            string(content, translated + 1, content.length, StandardCharsets.UTF_8));
      }
    }
  }

  private static int zero(byte[] content, int from) {
    for (int i = from; i < content.length; i++) {
      if (content[i] == 0) {
        return i;
      }
    }
    return -1;
  }

  private static String string(byte[] content, int from, int to, Charset charset) {
    return new String(content, from, to - from, charset);
  }
}
