package org.deft4j.diffusion.image;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.InflaterInputStream;

/** Reads the texts in a PNG file: tEXt, zTXt and iTXt chunks. */
public final class PngText {
  /** A text larger than this when unpacked is refused. */
  private static final int MOST_BYTES = 16 << 20;

  private PngText() {}

  /**
   * Keyword to text, in the order of the file; of a keyword that comes twice, the last text.
   *
   * @throws PictureException if there is no such file, or it is no PNG, or damaged
   */
  public static Map<String, String> read(Path path) {
    PictureFile file = Pictures.file(path, Long.MAX_VALUE);
    if (file.format() != PictureFile.Format.PNG) {
      throw new PictureException(path, PictureException.Kind.UNSUPPORTED, "is " + file.format()
          + "; texts are read from PNG only", null);
    }
    Map<String, String> texts = new LinkedHashMap<>();
    for (Png.Chunk chunk : Png.chunks(file)) {
      try {
        switch (chunk.type()) {
          case "tEXt" -> plain(chunk.content(file), texts);
          case "zTXt" -> compressed(chunk.content(file), texts);
          case "iTXt" -> international(chunk.content(file), texts);
          default -> { }
        }
      } catch (IOException | IndexOutOfBoundsException e) {
        throw file.damaged(e);
      }
    }
    return texts;
  }

  private static void plain(byte[] content, Map<String, String> texts) throws IOException {
    int end = zero(content, 0);
    texts.put(Png.latin1(content, 0, end), Png.latin1(content, end + 1, content.length - end - 1));
  }

  private static void compressed(byte[] content, Map<String, String> texts) throws IOException {
    int end = zero(content, 0);
    byte[] text = inflate(content, end + 2);
    texts.put(Png.latin1(content, 0, end), Png.latin1(text, 0, text.length));
  }

  /** Keyword, 0, whether compressed, method, language, 0, translated keyword, 0, UTF-8. */
  private static void international(byte[] content, Map<String, String> texts) throws IOException {
    int end = zero(content, 0);
    boolean compressed = content[end + 1] != 0;
    int start = zero(content, zero(content, end + 3) + 1) + 1;
    String text = compressed ? new String(inflate(content, start), StandardCharsets.UTF_8)
        : new String(content, start, content.length - start, StandardCharsets.UTF_8);
    texts.put(Png.latin1(content, 0, end), text);
  }

  private static int zero(byte[] content, int from) throws IOException {
    for (int i = from; i < content.length; i++) {
      if (content[i] == 0) {
        return i;
      }
    }
    throw new IOException("a text chunk has no end of its keyword");
  }

  private static byte[] inflate(byte[] content, int from) throws IOException {
    try (InflaterInputStream in = new InflaterInputStream(new ByteArrayInputStream(content, from, content.length - from))) {
      byte[] text = in.readNBytes(MOST_BYTES + 1);
      if (text.length > MOST_BYTES) {
        throw new IOException("a text has more than " + MOST_BYTES + " bytes");
      }
      return text;
    }
  }
}
