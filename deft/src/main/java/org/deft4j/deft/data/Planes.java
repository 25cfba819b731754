package org.deft4j.deft.data;

import java.util.Arrays;
import org.deft4j.diffusion.image.Picture;

/** A picture's values as float planes [H, W], 0 .. 255, and what is done to one plane. */
final class Planes {
  private Planes() {}

  /** One channel: 0 is red, 1 green, 2 blue. */
  static float[] channel(Picture picture, int channel) {
    float[] plane = new float[picture.width() * picture.height()];
    byte[] rgb = picture.rgb();
    for (int i = 0; i < plane.length; i++) {
      plane[i] = rgb[3 * i + channel] & 0xff;
    }
    return plane;
  }

  /** {@code (299 R + 587 G + 114 B) / 1000}, the luminance of ITU-R BT.601: exactly v where all three are v. */
  static float[] luminance(Picture picture) {
    float[] plane = new float[picture.width() * picture.height()];
    byte[] rgb = picture.rgb();
    for (int i = 0, in = 0; i < plane.length; i++, in += 3) {
      plane[i] = (299 * (rgb[in] & 0xff) + 587 * (rgb[in + 1] & 0xff) + 114 * (rgb[in + 2] & 0xff)) / 1000f;
    }
    return plane;
  }

  /** The picture of three planes, rounded and limited to 0 .. 255. */
  static Picture picture(int width, int height, float[] red, float[] green, float[] blue) {
    byte[] rgb = new byte[3 * width * height];
    for (int i = 0; i < red.length; i++) {
      rgb[3 * i] = rounded(red[i]);
      rgb[3 * i + 1] = rounded(green[i]);
      rgb[3 * i + 2] = rounded(blue[i]);
    }
    return new Picture(width, height, rgb);
  }

  /** The nearest of 0 .. 255, halves upwards. */
  static byte rounded(float value) {
    return (byte) Math.clamp(Math.round(value), 0, 255);
  }

  // ------------------------------------------------------------------------------------------------------------ blur

  /**
   * Convolved with a Gaussian along rows and columns: weights {@code exp(-i^2 / (2 sigma^2))}, |i| up to 4 sigma rounded, with
   * sum 1; beyond the border its values go on. A sigma of 0 changes nothing.
   */
  static float[] blur(float[] plane, int width, int height, double sigma) {
    if (sigma == 0) {
      return plane.clone();
    }
    float[] weights = gaussian(sigma);
    return columns(rows(plane, width, height, weights), width, height, weights);
  }

  private static float[] gaussian(double sigma) {
    int radius = (int) (4 * sigma + 0.5);
    double[] weights = new double[2 * radius + 1];
    for (int i = 0; i < weights.length; i++) {
      double distance = (i - radius) / sigma;
      weights[i] = StrictMath.exp(-0.5 * distance * distance);
    }
    double sum = Arrays.stream(weights).sum();
    float[] scaled = new float[weights.length];
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] = (float) (weights[i] / sum);
    }
    return scaled;
  }

  private static float[] rows(float[] plane, int width, int height, float[] weights) {
    int radius = weights.length / 2;
    float[] result = new float[plane.length];
    float[] row = new float[width + 2 * radius];
    float[] sums = new float[width];
    for (int y = 0; y < height; y++) {
      int start = y * width;
      Arrays.fill(row, 0, radius, plane[start]);
      System.arraycopy(plane, start, row, radius, width);
      Arrays.fill(row, radius + width, row.length, plane[start + width - 1]);
      Arrays.fill(sums, 0);
      for (int k = 0; k < weights.length; k++) {
        float weight = weights[k];
        for (int x = 0; x < width; x++) {
          sums[x] += weight * row[x + k];
        }
      }
      System.arraycopy(sums, 0, result, start, width);
    }
    return result;
  }

  private static float[] columns(float[] plane, int width, int height, float[] weights) {
    int radius = weights.length / 2;
    float[] result = new float[plane.length];
    float[] sums = new float[width];
    for (int y = 0; y < height; y++) {
      Arrays.fill(sums, 0);
      for (int k = 0; k < weights.length; k++) {
        float weight = weights[k];
        int start = Math.clamp(y + k - radius, 0, height - 1) * width;
        for (int x = 0; x < width; x++) {
          sums[x] += weight * plane[start + x];
        }
      }
      System.arraycopy(sums, 0, result, y * width, width);
    }
    return result;
  }
}
