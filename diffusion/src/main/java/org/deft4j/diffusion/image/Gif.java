package org.deft4j.diffusion.image;

import java.awt.image.BufferedImage;
import java.awt.image.IndexColorModel;
import java.io.IOException;
import java.util.Arrays;
import javax.imageio.ImageReader;

/** GIF: the first picture, on the canvas the header describes, which is filled with the transparent colour or the first one. */
final class Gif {
  private static final int HEADER_BYTES = 13;
  private static final int EXTENSION = 0x21;
  private static final int IMAGE = 0x2c;

  private Gif() {}

  static Picture read(PictureFile file) throws IOException {
    int descriptor = firstImage(file);
    int left = file.u16le(descriptor);
    int top = file.u16le(descriptor + 2);
    int width = Math.max(file.u16le(6), left + file.u16le(descriptor + 4));
    int height = Math.max(file.u16le(8), top + file.u16le(descriptor + 6));
    file.requireSize(file.u16le(descriptor + 4), file.u16le(descriptor + 6));
    file.requireSize(width, height);
    ImageReader reader = Decoders.jdk("gif");
    try {
      Decoders.DamageListener listener = new Decoders.DamageListener();
      reader.addIIOReadWarningListener(listener);
      reader.setInput(file.stream(), false, true);
      BufferedImage image = reader.read(0);
      if (listener.damage() != null) {
        throw file.damaged(listener.damage());
      }
      Picture frame = Rasters.toPicture(image);
      boolean whole = frame.width() == width && frame.height() == height;
      return whole ? frame : onCanvas(frame, left, top, width, height, (IndexColorModel) image.getColorModel());
    } finally {
      reader.dispose();
    }
  }

  /** Where the first image descriptor's left, top, width and height are. */
  private static int firstImage(PictureFile file) {
    int end = file.bytes().length;
    int at = HEADER_BYTES;
    if (end > at && (file.u8(10) & 0x80) != 0) {
      at += 3 << ((file.u8(10) & 7) + 1);
    }
    while (at < end && file.u8(at) == EXTENSION) {
      at += 2;
      while (at < end && file.u8(at) != 0) {
        at += 1 + file.u8(at);
      }
      at++;
    }
    if (at > end - 10 || file.u8(at) != IMAGE) {
      throw file.damaged("it has no picture");
    }
    return at + 1;
  }

  private static Picture onCanvas(Picture frame, int left, int top, int width, int height, IndexColorModel palette) {
    Picture canvas = Picture.black(width, height);
    int background = Math.max(palette.getTransparentPixel(), 0);
    byte[] color = {(byte) palette.getRed(background), (byte) palette.getGreen(background),
        (byte) palette.getBlue(background)};
    if (!Arrays.equals(color, new byte[3])) {
      for (int i = 0; i < canvas.rgb().length; i++) {
        canvas.rgb()[i] = color[i % 3];
      }
    }
    for (int y = 0; y < frame.height(); y++) {
      System.arraycopy(frame.rgb(), 3 * y * frame.width(), canvas.rgb(), 3 * ((top + y) * width + left), 3 * frame.width());
    }
    return canvas;
  }
}
