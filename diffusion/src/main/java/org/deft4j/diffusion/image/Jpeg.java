package org.deft4j.diffusion.image;

import java.awt.image.Raster;
import java.io.IOException;
import java.util.Arrays;
import javax.imageio.ImageReader;

/**
 * JPEG. The decoder is asked for the components as they are stored, and the colours are converted here, by libjpeg's rules
 * and with its fixed-point tables; embedded profiles play no part.
 */
final class Jpeg {
  private static final int START_OF_IMAGE = 0xd8;
  private static final int END_OF_IMAGE = 0xd9;
  private static final int START_OF_SCAN = 0xda;
  private static final int APP1 = 0xe1;
  private static final int APP14 = 0xee;
  private static final int NO_ADOBE = -1;

  /** How the stored components are to be understood. */
  private enum Color {
    GRAY, RGB, YCC, CMYK, YCCK
  }

  private final PictureFile file;
  private boolean jfif;
  private int adobeTransform = NO_ADOBE;
  private int width;
  private int height;
  private int[] components = {};
  private Orientation orientation = Orientation.UPRIGHT;

  private Jpeg(PictureFile file) {
    this.file = file;
  }

  static Picture read(PictureFile file) throws IOException {
    Jpeg jpeg = new Jpeg(file);
    jpeg.readHeader();
    Color color = jpeg.color();
    file.requireSize(jpeg.width, jpeg.height);
    return jpeg.orientation.apply(jpeg.toPicture(jpeg.decode(), color));
  }

  private Raster decode() throws IOException {
    ImageReader reader = Decoders.jpeg();
    try {
      Decoders.DamageListener listener = new Decoders.DamageListener();
      reader.addIIOReadWarningListener(listener);
      reader.setInput(file.stream(), true, true);
      Raster raster = reader.readRaster(0, null);
      if (listener.damage() != null) {
        throw file.damaged(listener.damage());
      }
      return raster;
    } finally {
      reader.dispose();
    }
  }

  // -------------------------------------------------------------------------------------------------- the header

  /** Walks the segments up to the first scan. */
  private void readHeader() {
    int at = 2;
    while (true) {
      while (at < file.bytes().length && file.u8(at) != 0xff) {
        at++;
      }
      while (at < file.bytes().length && file.u8(at) == 0xff) {
        at++;
      }
      if (at > file.bytes().length - 3) {
        throw file.damaged("it ends before the picture begins");
      }
      int marker = file.u8(at++);
      if (marker == 0 || marker == START_OF_IMAGE || (marker >= 0xd0 && marker < START_OF_IMAGE)) {
        continue;
      }
      int length = file.u16be(at);
      if (marker == START_OF_SCAN || marker == END_OF_IMAGE) {
        return;
      }
      if (length < 2 || length > file.bytes().length - at) {
        throw file.damaged("a segment of " + length + " bytes at byte " + at + " does not fit into the file");
      }
      readSegment(marker, at + 2, length - 2);
      at += length;
    }
  }

  private void readSegment(int marker, int at, int length) {
    boolean frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (frame) {
      readFrame(at, length);
    } else if (marker == 0xe0 && file.at(at, "JFIF\0")) {
      jfif = true;
    } else if (marker == APP14 && length >= 12 && file.at(at, "Adobe")) {
      adobeTransform = file.u8(at + 11);
    } else if (marker == APP1) {
      byte[] data = Arrays.copyOfRange(file.bytes(), at, at + length);
      if (Exif.hasPrefix(data)) {
        orientation = Exif.orientation(data);
      }
    }
  }

  private void readFrame(int at, int length) {
    int count = length < 6 ? 0 : file.u8(at + 5);
    if (count == 0 || length < 6 + 3 * count) {
      throw file.damaged("its frame header has " + length + " bytes");
    }
    if (file.u8(at) != 8) {
      throw file.unsupported("JPEG with " + file.u8(at) + " bits per component");
    }
    height = file.u16be(at + 1);
    width = file.u16be(at + 3);
    components = new int[count];
    for (int i = 0; i < count; i++) {
      components[i] = file.u8(at + 6 + 3 * i);
    }
  }

  /** libjpeg's rules (jdapimin.c, default_decompress_parms): markers first, then the components' numbers. */
  private Color color() {
    return switch (components.length) {
      case 0 -> throw file.damaged("it has no frame header");
      case 1 -> Color.GRAY;
      case 3 -> isRgb() ? Color.RGB : Color.YCC;
      case 4 -> adobeTransform == NO_ADOBE || adobeTransform == 0 ? Color.CMYK : Color.YCCK;
      default -> throw file.unsupported("JPEG with " + components.length + " components");
    };
  }

  private boolean isRgb() {
    if (jfif) {
      return false;
    }
    return adobeTransform == NO_ADOBE ? Arrays.equals(components, new int[] {'R', 'G', 'B'}) : adobeTransform == 0;
  }

  // ---------------------------------------------------------------------------------------------------- colours

  private Picture toPicture(Raster raster, Color color) {
    int bands = raster.getNumBands();
    if (bands != components.length) {
      throw file.damaged("its header names " + components.length + " components, its data " + bands);
    }
    Picture picture = Picture.black(raster.getWidth(), raster.getHeight());
    int[] row = new int[bands * raster.getWidth()];
    for (int y = 0, out = 0; y < raster.getHeight(); y++) {
      raster.getPixels(raster.getMinX(), raster.getMinY() + y, raster.getWidth(), 1, row);
      for (int in = 0; in < row.length; in += bands, out += 3) {
        convert(color, row, in, picture.rgb(), out);
      }
    }
    return picture;
  }

  private static void convert(Color color, int[] in, int i, byte[] out, int o) {
    switch (color) {
      case GRAY -> set(out, o, in[i], in[i], in[i]);
      case RGB -> set(out, o, in[i], in[i + 1], in[i + 2]);
      case YCC -> ycc(in, i, out, o);
      // Stored inverted, as Adobe does and PIL assumes: 255 is no ink.
      case CMYK -> ink(in[i], in[i + 1], in[i + 2], in[i + 3], out, o);
      case YCCK -> {
        // YCbCr of the inks' complements, which is what remains of the light.
        ycc(in, i, out, o);
        ink(255 - (out[o] & 0xff), 255 - (out[o + 1] & 0xff), 255 - (out[o + 2] & 0xff), in[i + 3], out, o);
      }
    }
  }

  private static void set(byte[] out, int o, int red, int green, int blue) {
    out[o] = (byte) red;
    out[o + 1] = (byte) green;
    out[o + 2] = (byte) blue;
  }

  /** {@code r = y + 1.402 cr, g = y - 0.344 cb - 0.714 cr, b = y + 1.772 cb} in 16-bit fixed point (jdcolor.c). */
  private static void ycc(int[] in, int i, byte[] out, int o) {
    int y = in[i];
    int cb = in[i + 1] - 128;
    int cr = in[i + 2] - 128;
    int half = 1 << 15;
    set(out, o, Math.clamp(y + ((91881 * cr + half) >> 16), 0, 255),
        Math.clamp(y + ((-22554 * cb - 46802 * cr + half) >> 16), 0, 255),
        Math.clamp(y + ((116130 * cb + half) >> 16), 0, 255));
  }

  /** PIL's plain conversion, {@code (255 - c)(255 - k) / 255}; the arguments are 255 - c and so on. */
  private static void ink(int cyan, int magenta, int yellow, int key, byte[] out, int o) {
    set(out, o, key - divide255((255 - cyan) * key), key - divide255((255 - magenta) * key),
        key - divide255((255 - yellow) * key));
  }

  /** {@code x / 255}, rounded, for products of two bytes. */
  private static int divide255(int x) {
    int t = x + 128;
    return ((t >> 8) + t) >> 8;
  }
}
