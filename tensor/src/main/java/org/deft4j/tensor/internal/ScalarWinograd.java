package org.deft4j.tensor.internal;

import java.util.Arrays;
import org.deft4j.tensor.Tensor;

/**
 * Convolutions with 3 x 3 taps by {@link Winograd}, number by number. The input's gradient is the same with the taps turned by half a circle.
 */
final class ScalarWinograd {
  private static final int TAPS = Winograd.TAPS * Winograd.TAPS;
  /** Output channels for which a patch is transformed once. */
  private static final int TOGETHER = 8;

  private final Winograd form;
  private final Tensor x;
  private final long top;
  private final long left;
  private final Tensor y;
  private final int channels;

  private ScalarWinograd(Winograd form, Tensor x, long top, long left, Tensor y) {
    this.form = form;
    this.x = x;
    this.top = top;
    this.left = left;
    this.y = y;
    this.channels = Math.toIntExact(x.size(1));
  }

  /**
   * {@code y[n,o] = bias[o] + sum_c x[n,c] * g[o,c]}.
   *
   * @param w [O, C, 3, 3], or [C, O, 3, 3] and turned
   * @param top rows from the first row of x up to the first tap of the first row of y
   * @param left columns
   */
  static void run(Winograd form, Tensor x, Tensor w, boolean turned, long top, long left, Tensor bias, Tensor y) {
    new ScalarWinograd(form, x, top, left, y).run(w, turned, bias);
  }

  private void run(Tensor w, boolean turned, Tensor bias) {
    Access weight = Access.of(w);
    long outs = y.size(1);
    Parallel.forRange(Math.ceilDiv(outs, TOGETHER), 1, (from, end) -> {
      float[] u = new float[TOGETHER * channels * form.points];
      float[] taps = new float[TAPS];
      for (long o = from * TOGETHER; o < Math.min(outs, end * TOGETHER); o += TOGETHER) {
        int count = (int) Math.min(TOGETHER, outs - o);
        for (int i = 0; i < count * channels; i++) {
          long filter = o + i / channels;
          int c = i % channels;
          long at = (turned ? c * outs + filter : filter * channels + c) * TAPS;
          for (int t = 0; t < TAPS; t++) {
            taps[turned ? TAPS - 1 - t : t] = (float) weight.get(at + t);
          }
          filter(taps, u, i * form.points);
        }
        planes(u, o, count, bias);
      }
    });
  }

  /** All pictures of {@code count} output channels from o on. */
  private void planes(float[] u, long o, int count, Tensor bias) {
    Access to = Access.of(y);
    Access b = bias == null ? null : Access.of(bias);
    int tile = form.tile;
    float[] m = new float[count * form.points];
    float[] out = new float[tile * tile];
    for (long n = 0; n < y.size(0); n++) {
      for (long row = 0; row < y.size(2); row += tile) {
        for (long column = 0; column < y.size(3); column += tile) {
          multiply(n, row - top, column - left, u, m);
          for (int i = 0; i < count; i++) {
            outputs(m, i * form.points, out);
            // Of all numbers, -0 alone leaves every other as it is when it is added.
            float added = b == null ? -0f : (float) b.get(o + i);
            for (int j = 0; j < tile * tile; j++) {
              if (row + j / tile < y.size(2) && column + j % tile < y.size(3)) {
                to.set(((n * y.size(1) + o + i) * y.size(2) + row + j / tile) * y.size(3) + column + j % tile, out[j] + added);
              }
            }
          }
        }
      }
    }
  }

  /** The sums over c, of as many output channels as m has room for, of the patch that begins at a row and a column. */
  private void multiply(long n, long row, long column, float[] u, float[] m) {
    float[] patch = new float[form.points];
    float[] link = new float[m.length];
    for (int begin = 0; begin < channels; begin += Winograd.LINK) {
      Arrays.fill(link, 0f);
      for (int c = begin; c < Math.min(channels, begin + Winograd.LINK); c++) {
        read(n * channels + c, row, column, patch);
        transform(patch);
        for (int i = 0; i < m.length; i++) {
          int point = i % form.points;
          link[i] = Math.fma(u[(i / form.points * channels + c) * form.points + point], patch[point], link[i]);
        }
      }
      for (int i = 0; i < m.length; i++) {
        m[i] = begin == 0 ? link[i] : m[i] + link[i];
      }
    }
  }

  /** The patch of a plane of x that begins at a row and a column; outside the picture x is 0. */
  private void read(long plane, long row, long column, float[] patch) {
    Access source = Access.of(x);
    long height = x.size(2);
    long width = x.size(3);
    for (int i = 0; i < form.points; i++) {
      long h = row + i / form.patch;
      long v = column + i % form.patch;
      boolean inside = h >= 0 && h < height && v >= 0 && v < width;
      patch[i] = inside ? (float) source.get((plane * height + h) * width + v) : 0f;
    }
  }

  /** {@code G g G^T}. */
  private void filter(float[] g, float[] u, int at) {
    float[] rows = new float[form.patch * Winograd.TAPS];
    for (int j = 0; j < Winograd.TAPS; j++) {
      form.filter(g, j, Winograd.TAPS, rows, j, Winograd.TAPS);
    }
    for (int i = 0; i < form.patch; i++) {
      form.filter(rows, i * Winograd.TAPS, 1, u, at + i * form.patch, 1);
    }
  }

  /** {@code B^T d B}, in place. */
  private void transform(float[] d) {
    float[] rows = new float[form.points];
    for (int j = 0; j < form.patch; j++) {
      form.patch(d, j, form.patch, rows, j, form.patch);
    }
    for (int i = 0; i < form.patch; i++) {
      form.patch(rows, i * form.patch, 1, d, i * form.patch, 1);
    }
  }

  /** {@code A^T m A}. */
  private void outputs(float[] m, int at, float[] y) {
    float[] rows = new float[form.tile * form.patch];
    for (int j = 0; j < form.patch; j++) {
      form.outputs(m, at + j, form.patch, rows, j, form.patch);
    }
    for (int i = 0; i < form.tile; i++) {
      form.outputs(rows, i * form.patch, 1, y, i * form.tile, 1);
    }
  }
}
