package org.deft4j.diffusion.image;

import com.twelvemonkeys.imageio.stream.ByteArrayImageInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Map;
import javax.imageio.stream.ImageInputStream;
import org.deft4j.diffusion.image.PictureException.Kind;

/** The bytes of a picture file, what kind it is by its first bytes, and its errors. */
final class PictureFile {
  /** The kinds that are read. */
  enum Format {
    JPEG, PNG, WEBP, GIF, BMP
  }

  /** First bytes of pictures that are not read, and their names. */
  private static final Map<String, String> OTHERS = Map.of("II*\0", "TIFF", "MM\0*", "TIFF", "8BPS", "Photoshop",
      "\0\0\1\0", "icon", "\0\0\0\fjP", "JPEG 2000", "\0\0\0\fJXL", "JPEG XL", "\u00ff\n", "JPEG XL", "qoif", "QOI",
      "v/1\1", "OpenEXR", "#?RADIANCE", "Radiance");

  private final Path path;
  private final byte[] bytes;
  private final long maxPixels;

  PictureFile(Path path, byte[] bytes, long maxPixels) {
    this.path = path;
    this.bytes = bytes;
    this.maxPixels = maxPixels;
  }

  /** All of the file, not a copy. */
  byte[] bytes() {
    return bytes;
  }

  /** The same file with other bytes. */
  PictureFile with(byte[] others) {
    return new PictureFile(path, others, maxPixels);
  }

  boolean startsWith(String signature) {
    return at(0, signature);
  }

  /** Whether these Latin-1 characters stand at {@code offset}. */
  boolean at(int offset, String signature) {
    byte[] expected = signature.getBytes(StandardCharsets.ISO_8859_1);
    if (offset < 0 || offset > bytes.length - expected.length) {
      return false;
    }
    for (int i = 0; i < expected.length; i++) {
      if (bytes[offset + i] != expected[i]) {
        return false;
      }
    }
    return true;
  }

  Format format() {
    if (startsWith("\u00ff\u00d8\u00ff")) {
      return Format.JPEG;
    }
    if (startsWith(Png.SIGNATURE)) {
      return Format.PNG;
    }
    if (startsWith("RIFF") && at(8, "WEBP")) {
      return Format.WEBP;
    }
    if (startsWith("GIF87a") || startsWith("GIF89a")) {
      return Format.GIF;
    }
    // "BM" alone may start a text; the header's length, at byte 14, is never above 255.
    if (startsWith("BM") && (bytes.length < 18 || at(15, "\0\0\0"))) {
      return Format.BMP;
    }
    throw unknown();
  }

  private PictureException unknown() {
    for (Map.Entry<String, String> other : OTHERS.entrySet()) {
      if (startsWith(other.getKey())) {
        return unsupported(other.getValue());
      }
    }
    if (at(4, "ftyphei") || at(4, "ftypmif1") || at(4, "ftypavi")) {
      return unsupported(at(4, "ftypavi") ? "AVIF" : "HEIF");
    }
    String first = HexFormat.ofDelimiter(" ").formatHex(bytes, 0, Math.min(bytes.length, 8)).toUpperCase(Locale.ROOT);
    return new PictureException(path, Kind.NOT_A_PICTURE, "is not a picture: its first bytes, " + first
        + ", are those of no picture format; PNG, JPEG, WebP, GIF and BMP are read", null);
  }

  PictureException unsupported(String what) {
    return new PictureException(path, Kind.UNSUPPORTED, what + " is not supported; convert it to PNG, JPEG, WebP, GIF or BMP",
        null);
  }

  PictureException damaged(Throwable cause) {
    String why = cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
    return new PictureException(path, Kind.DAMAGED, "the " + format() + " data is truncated or damaged (" + why + ")", cause);
  }

  PictureException damaged(String why) {
    return new PictureException(path, Kind.DAMAGED, "the " + format() + " data is truncated or damaged (" + why + ")", null);
  }

  /** Refuses impossible sizes, and more pixels than allowed: to be called before anything is allocated for them. */
  void requireSize(long width, long height) {
    if (width < 1 || height < 1) {
      throw damaged("its size is " + width + " x " + height);
    }
    if (height > maxPixels / width) {
      throw new PictureException(path, Kind.TOO_LARGE, width + " x " + height + " pixels are more than the limit of "
          + maxPixels, null);
    }
  }

  /** One byte, 0 .. 255. */
  int u8(int offset) {
    return bytes[offset] & 0xff;
  }

  /** Two bytes, the low one first. */
  int u16le(int offset) {
    return u8(offset) | u8(offset + 1) << 8;
  }

  /** Two bytes, the high one first. */
  int u16be(int offset) {
    return u8(offset) << 8 | u8(offset + 1);
  }

  /** Four bytes, the low one first. */
  long u32le(int offset) {
    return u16le(offset) | (long) u16le(offset + 2) << 16;
  }

  /** Four bytes, the high one first. */
  long u32be(int offset) {
    return (long) u16be(offset) << 16 | u16be(offset + 2);
  }

  ImageInputStream stream() {
    return new ByteArrayImageInputStream(bytes);
  }
}
