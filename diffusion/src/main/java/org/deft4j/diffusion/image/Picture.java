package org.deft4j.diffusion.image;

import java.util.Arrays;

/**
 * A picture of 8-bit RGB: three bytes (0 .. 255, unsigned) per pixel, row by row from the top left.
 *
 * <p>The bytes are the array given, not a copy: whoever changes them changes the picture.
 */
public final class Picture {
  private final int width;
  private final int height;
  private final byte[] rgb;

  /**
   * A picture over {@code rgb}.
   *
   * @throws IllegalArgumentException if a side is below 1 or the array's length is not width x height x 3
   */
  public Picture(int width, int height, byte[] rgb) {
    if (width < 1 || height < 1) {
      throw new IllegalArgumentException("picture: " + width + " x " + height + ": both sides must be at least 1");
    }
    if (rgb.length != 3L * width * height) {
      throw new IllegalArgumentException("picture: " + width + " x " + height + " pixels are " + 3L * width * height
          + " bytes of RGB, not " + rgb.length);
    }
    this.width = width;
    this.height = height;
    this.rgb = rgb;
  }

  /** A black picture. */
  static Picture black(int width, int height) {
    return new Picture(width, height, new byte[Math.toIntExact(3L * width * height)]);
  }

  /** Pixels per row. */
  public int width() {
    return width;
  }

  /** Rows. */
  public int height() {
    return height;
  }

  /** Red, green, blue of each pixel; the picture's own array. */
  public byte[] rgb() {
    return rgb;
  }

  /** One of the values of a pixel, 0 .. 255: channel 0 is red, 1 green, 2 blue. */
  public int value(int x, int y, int channel) {
    if (x < 0 || x >= width || y < 0 || y >= height || channel < 0 || channel > 2) {
      throw new IndexOutOfBoundsException(this + " has no value at x " + x + ", y " + y + ", channel " + channel);
    }
    return rgb[3 * (y * width + x) + channel] & 0xff;
  }

  /**
   * The rectangle of {@code cropWidth} x {@code cropHeight} pixels whose top left corner is at {@code left, top}.
   *
   * @throws IllegalArgumentException if it does not lie inside the picture
   */
  public Picture crop(int left, int top, int cropWidth, int cropHeight) {
    if (left < 0 || top < 0 || cropWidth < 1 || cropHeight < 1 || cropWidth > width - left || cropHeight > height - top) {
      throw new IllegalArgumentException("crop: " + cropWidth + " x " + cropHeight + " pixels at left " + left + ", top "
          + top + " do not lie inside " + this);
    }
    Picture result = black(cropWidth, cropHeight);
    for (int y = 0; y < cropHeight; y++) {
      System.arraycopy(rgb, 3 * ((top + y) * width + left), result.rgb, 3 * y * cropWidth, 3 * cropWidth);
    }
    return result;
  }

  /** Left and right exchanged. */
  public Picture flipHorizontal() {
    return Orientation.MIRRORED.apply(this);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Picture picture && width == picture.width && height == picture.height
        && Arrays.equals(rgb, picture.rgb);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * width + height) + Arrays.hashCode(rgb);
  }

  @Override
  public String toString() {
    return "picture " + width + " x " + height;
  }
}
