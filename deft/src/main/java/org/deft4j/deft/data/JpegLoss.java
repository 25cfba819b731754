package org.deft4j.deft.data;

import javax.imageio.plugins.jpeg.JPEGQTable;
import org.deft4j.diffusion.image.Picture;

/**
 * What saving as baseline JPEG (ITU-T T.81) does to a picture, computed without coding it, so that it is the same on every
 * machine: YCbCr (JFIF), colour of every 2 x 2 pixels averaged, and of each block of 8 x 8 the cosine transform rounded to
 * multiples of the standard's tables, which the quality scales by {@code 50 / q} below 50 and {@code 2 - q / 50} from there
 * on.
 */
final class JpegLoss {
  private static final int BLOCK = 8;
  /** [u][x]: {@code c(u) / 2 cos((2x + 1) u pi / 16)}, c(0) = 1/sqrt(2), else 1; its transpose is its inverse. */
  private static final double[][] COSINES = new double[BLOCK][BLOCK];

  static {
    for (int u = 0; u < BLOCK; u++) {
      for (int x = 0; x < BLOCK; x++) {
        COSINES[u][x] = (u == 0 ? Math.sqrt(0.5) : 1) / 2 * StrictMath.cos((2 * x + 1) * u * StrictMath.PI / 16);
      }
    }
  }

  private final int[] luminance;
  private final int[] chrominance;

  /** At a quality of 1 to 100. */
  JpegLoss(int quality) {
    float scale = quality < 50 ? 50f / quality : 2 - quality / 50f;
    luminance = JPEGQTable.K1Luminance.getScaledInstance(scale, true).getTable();
    chrominance = JPEGQTable.K2Chrominance.getScaledInstance(scale, true).getTable();
  }

  Picture of(Picture picture) {
    int width = picture.width();
    int height = picture.height();
    float[] red = Planes.channel(picture, 0);
    float[] green = Planes.channel(picture, 1);
    float[] blue = Planes.channel(picture, 2);
    float[] y = new float[red.length];
    float[] cb = new float[red.length];
    float[] cr = new float[red.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = Math.round(0.299f * red[i] + 0.587f * green[i] + 0.114f * blue[i]);
      cb[i] = Math.round(128 - 0.168736f * red[i] - 0.331264f * green[i] + 0.5f * blue[i]);
      cr[i] = Math.round(128 + 0.5f * red[i] - 0.418688f * green[i] - 0.081312f * blue[i]);
    }
    quantize(y, width, height, luminance);
    cb = colour(cb, width, height);
    cr = colour(cr, width, height);
    for (int i = 0; i < y.length; i++) {
      red[i] = y[i] + 1.402f * (cr[i] - 128);
      green[i] = y[i] - 0.344136f * (cb[i] - 128) - 0.714136f * (cr[i] - 128);
      blue[i] = y[i] + 1.772f * (cb[i] - 128);
    }
    return Planes.picture(width, height, red, green, blue);
  }

  /** Averaged over 2 x 2 pixels, quantized, and enlarged. */
  private float[] colour(float[] plane, int width, int height) {
    int halfWidth = (width + 1) / 2;
    int halfHeight = (height + 1) / 2;
    float[] half = new float[halfWidth * halfHeight];
    for (int y = 0; y < halfHeight; y++) {
      int above = 2 * y * width;
      int below = Math.min(2 * y + 1, height - 1) * width;
      for (int x = 0; x < halfWidth; x++) {
        int right = Math.min(2 * x + 1, width - 1);
        int sum = (int) (plane[above + 2 * x] + plane[above + right] + plane[below + 2 * x] + plane[below + right]);
        // Quarters round down and up in turn, as libjpeg has it.
        half[y * halfWidth + x] = (sum + 1 + x % 2) >> 2;
      }
    }
    quantize(half, halfWidth, halfHeight, chrominance);
    return enlarged(half, halfWidth, halfHeight, width, height);
  }

  /** Along rows and columns 3/4 of the nearest value and 1/4 of the next nearest, as libjpeg does. */
  private static float[] enlarged(float[] half, int halfWidth, int halfHeight, int width, int height) {
    float[] whole = new float[width * height];
    for (int y = 0; y < height; y++) {
      int near = y / 2 * halfWidth;
      int far = Math.clamp(y / 2 + (y % 2 == 0 ? -1 : 1), 0, halfHeight - 1) * halfWidth;
      for (int x = 0; x < width; x++) {
        int column = x / 2;
        int next = Math.clamp(column + (x % 2 == 0 ? -1 : 1), 0, halfWidth - 1);
        int sum = (int) (9 * half[near + column] + 3 * (half[near + next] + half[far + column]) + half[far + next]);
        whole[y * width + x] = (sum + 8 - x % 2) >> 4;
      }
    }
    return whole;
  }

  /** Block by block, in place; beyond the border its values go on. */
  private static void quantize(float[] plane, int width, int height, int[] table) {
    double[][] block = new double[BLOCK][BLOCK];
    for (int top = 0; top < height; top += BLOCK) {
      for (int left = 0; left < width; left += BLOCK) {
        for (int y = 0; y < BLOCK; y++) {
          for (int x = 0; x < BLOCK; x++) {
            block[y][x] = plane[Math.min(top + y, height - 1) * width + Math.min(left + x, width - 1)] - 128;
          }
        }
        double[][] spectrum = transform(block, false);
        for (int v = 0; v < BLOCK; v++) {
          for (int u = 0; u < BLOCK; u++) {
            int step = table[BLOCK * v + u];
            spectrum[v][u] = Math.rint(spectrum[v][u] / step) * step;
          }
        }
        double[][] values = transform(spectrum, true);
        for (int y = top; y < Math.min(top + BLOCK, height); y++) {
          for (int x = left; x < Math.min(left + BLOCK, width); x++) {
            plane[y * width + x] = Math.clamp(Math.round(values[y - top][x - left] + 128), 0, 255);
          }
        }
      }
    }
  }

  /** {@code C b C^T} for the cosines C, or {@code C^T b C}, its inverse. */
  private static double[][] transform(double[][] block, boolean inverse) {
    double[][] rows = new double[BLOCK][BLOCK];
    double[][] result = new double[BLOCK][BLOCK];
    for (int i = 0; i < BLOCK; i++) {
      for (int j = 0; j < BLOCK; j++) {
        for (int k = 0; k < BLOCK; k++) {
          rows[i][j] += block[i][k] * (inverse ? COSINES[k][j] : COSINES[j][k]);
        }
      }
    }
    for (int i = 0; i < BLOCK; i++) {
      for (int j = 0; j < BLOCK; j++) {
        for (int k = 0; k < BLOCK; k++) {
          result[i][j] += (inverse ? COSINES[k][i] : COSINES[i][k]) * rows[k][j];
        }
      }
    }
    return result;
  }
}
