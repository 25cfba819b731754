package org.deft4j.diffusion.image;

import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;

/**
 * Stored samples to 8-bit RGB. {@code BufferedImage.getRGB} is not asked: it converts colour spaces (it takes gray as linear
 * light, and follows embedded profiles), where PIL takes the samples as they are.
 */
final class Rasters {
  private Rasters() {}

  static Picture toPicture(BufferedImage image) {
    ColorModel colors = image.getColorModel();
    return colors instanceof IndexColorModel palette ? expand(image.getRaster(), palette) : expand(image.getRaster());
  }

  /** Each sample is the index of a colour; one beyond the palette is black. */
  private static Picture expand(Raster raster, IndexColorModel palette) {
    byte[] colors = new byte[3 * 65536];
    for (int i = 0; i < palette.getMapSize(); i++) {
      colors[3 * i] = (byte) palette.getRed(i);
      colors[3 * i + 1] = (byte) palette.getGreen(i);
      colors[3 * i + 2] = (byte) palette.getBlue(i);
    }
    int width = raster.getWidth();
    Picture picture = Picture.black(width, raster.getHeight());
    int[] row = new int[width];
    for (int y = 0, out = 0; y < raster.getHeight(); y++) {
      raster.getSamples(raster.getMinX(), raster.getMinY() + y, width, 1, 0, row);
      for (int x = 0; x < width; x++, out += 3) {
        System.arraycopy(colors, 3 * row[x], picture.rgb(), out, 3);
      }
    }
    return picture;
  }

  /** One or two bands are gray (and alpha), three or four red, green, blue (and alpha). */
  private static Picture expand(Raster raster) {
    int width = raster.getWidth();
    int bands = raster.getNumBands();
    int[] bits = raster.getSampleModel().getSampleSize();
    int green = bands < 3 ? 0 : 1;
    int blue = bands < 3 ? 0 : 2;
    Picture picture = Picture.black(width, raster.getHeight());
    byte[] rgb = picture.rgb();
    int[] row = new int[width * bands];
    for (int y = 0, out = 0; y < raster.getHeight(); y++) {
      raster.getPixels(raster.getMinX(), raster.getMinY() + y, width, 1, row);
      for (int in = 0; in < row.length; in += bands, out += 3) {
        rgb[out] = eightBits(row[in], bits[0]);
        rgb[out + 1] = eightBits(row[in + green], bits[green]);
        rgb[out + 2] = eightBits(row[in + blue], bits[blue]);
      }
    }
    return picture;
  }

  /** The high byte of more than 8 bits; fewer are stretched to 0 .. 255, rounding down. */
  private static byte eightBits(int sample, int bits) {
    return (byte) (bits >= 8 ? sample >> (bits - 8) : sample * 255 / ((1 << bits) - 1));
  }
}
