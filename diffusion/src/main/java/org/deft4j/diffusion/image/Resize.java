package org.deft4j.diffusion.image;

import java.util.Arrays;

/**
 * Resizing with the results of PIL's {@code Image.resize}, byte for byte.
 *
 * <p>The filters are antialiased: reducing by a factor s stretches them by s. Columns first, then rows, rounded to 8 bits in
 * between. With centre {@code c = (i + 1/2) s} the weights of output i are {@code f((j - c + 1/2) / max(s, 1))} over
 * {@code j = floor(c - r + 1/2) .. floor(c + r + 1/2) - 1}, {@code r = support max(s, 1)}, cut at the border, scaled to sum 1
 * and rounded to multiples of 2^-22.
 */
public final class Resize {
  /** 32 bits less 8 for the value and 2 for sums above 255 and below 0. */
  private static final int WEIGHT_BITS = 22;

  private static final int HALF = 1 << (WEIGHT_BITS - 1);

  private Resize() {}

  /**
   * The picture in another size.
   *
   * @throws IllegalArgumentException if a side is below 1 or the result exceeds 2^31 - 1 bytes
   */
  public static Picture resize(Picture picture, int width, int height, Filter filter) {
    if (width < 1 || height < 1 || 3L * width * height > Integer.MAX_VALUE - 8) {
      throw new IllegalArgumentException("resize: " + picture + " cannot become " + width + " x " + height
          + ": both sides must be at least 1, and the result below 2 GiB");
    }
    if (width == picture.width() && height == picture.height()) {
      return new Picture(width, height, picture.rgb().clone());
    }
    if (filter == Filter.NEAREST) {
      return nearest(picture, width, height);
    }
    Picture wide = width == picture.width() ? picture : columns(picture, new Weights(picture.width(), width, filter));
    return height == wide.height() ? wide : rows(wide, new Weights(wide.height(), height, filter));
  }

  /** Output i is the weighted sum of {@code count[i]} inputs from {@code first[i]} on; its weights start at i * stride. */
  private static final class Weights {
    private final int outputs;
    private final int stride;
    private final int[] first;
    private final int[] count;
    private final int[] weights;

    Weights(int inputs, int outputs, Filter filter) {
      double scale = (double) inputs / outputs;
      double stretch = Math.max(scale, 1);
      double support = filter.support() * stretch;
      this.outputs = outputs;
      this.stride = (int) Math.ceil(support) * 2 + 1;
      this.first = new int[outputs];
      this.count = new int[outputs];
      this.weights = new int[Math.multiplyExact(outputs, stride)];
      double[] row = new double[stride];
      for (int i = 0; i < outputs; i++) {
        double centre = (i + 0.5) * scale;
        first[i] = Math.max((int) (centre - support + 0.5), 0);
        count[i] = Math.min((int) (centre + support + 0.5), inputs) - first[i];
        double sum = 0;
        for (int j = 0; j < count[i]; j++) {
          row[j] = filter.weight((j + first[i] - centre + 0.5) * (1 / stretch));
          sum += row[j];
        }
        for (int j = 0; j < count[i]; j++) {
          double weight = (sum == 0 ? row[j] : row[j] / sum) * (1 << WEIGHT_BITS);
          weights[i * stride + j] = (int) (weight < 0 ? weight - 0.5 : weight + 0.5);
        }
      }
    }
  }

  private static byte round(int sum) {
    return (byte) Math.clamp(sum >> WEIGHT_BITS, 0, 255);
  }

  private static Picture columns(Picture picture, Weights w) {
    Picture result = Picture.black(w.outputs, picture.height());
    byte[] from = picture.rgb();
    byte[] to = result.rgb();
    for (int y = 0, out = 0; y < picture.height(); y++) {
      int line = 3 * y * picture.width();
      for (int x = 0; x < w.outputs; x++, out += 3) {
        int red = HALF;
        int green = HALF;
        int blue = HALF;
        int in = line + 3 * w.first[x];
        int k = x * w.stride;
        for (int j = 0; j < w.count[x]; j++, in += 3) {
          int weight = w.weights[k + j];
          red += weight * (from[in] & 0xff);
          green += weight * (from[in + 1] & 0xff);
          blue += weight * (from[in + 2] & 0xff);
        }
        to[out] = round(red);
        to[out + 1] = round(green);
        to[out + 2] = round(blue);
      }
    }
    return result;
  }

  private static Picture rows(Picture picture, Weights w) {
    Picture result = Picture.black(picture.width(), w.outputs);
    byte[] from = picture.rgb();
    byte[] to = result.rgb();
    int line = 3 * picture.width();
    int[] sums = new int[line];
    for (int y = 0; y < w.outputs; y++) {
      Arrays.fill(sums, HALF);
      for (int j = 0; j < w.count[y]; j++) {
        int weight = w.weights[y * w.stride + j];
        int in = (w.first[y] + j) * line;
        for (int x = 0; x < line; x++) {
          sums[x] += weight * (from[in + x] & 0xff);
        }
      }
      for (int x = 0; x < line; x++) {
        to[y * line + x] = round(sums[x]);
      }
    }
    return result;
  }

  private static Picture nearest(Picture picture, int width, int height) {
    int[] columns = centres(picture.width(), width);
    int[] rows = centres(picture.height(), height);
    Picture result = Picture.black(width, height);
    byte[] from = picture.rgb();
    byte[] to = result.rgb();
    for (int y = 0, out = 0; y < height; y++) {
      for (int x = 0; x < width; x++, out += 3) {
        int in = 3 * (rows[y] * picture.width() + columns[x]);
        to[out] = from[in];
        to[out + 1] = from[in + 1];
        to[out + 2] = from[in + 2];
      }
    }
    return result;
  }

  /** The input under the centre of each output; the position is added up step by step, as PIL does. */
  private static int[] centres(int inputs, int outputs) {
    int[] result = new int[outputs];
    double scale = (double) inputs / outputs;
    double position = scale * 0.5;
    for (int i = 0; i < outputs; i++, position += scale) {
      result[i] = Math.min((int) position, inputs - 1);
    }
    return result;
  }
}
