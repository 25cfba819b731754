package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/**
 * Convolutions with 3 x 3 taps by Winograd's F(2 x 2, 3 x 3) (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"): 16
 * multiplications for 2 x 2 outputs and each channel, where 36 meet the eye. With d a patch of 4 x 4 and g the taps,
 *
 * <pre>
 *   Y = A^T [ sum_c (G g_c G^T) . (B^T d_c B) ] A
 *
 *         | 1  0 -1  0 |         |  1    0    0  |
 *   B^T = | 0  1  1  0 |     G = | 1/2  1/2  1/2 |     A^T = | 1  1  1  0 |
 *         | 0 -1  1  0 |         | 1/2 -1/2  1/2 |           | 0  1 -1 -1 |
 *         | 0  1  0 -1 |         |  0    0    1  |
 * </pre>
 *
 * <p>All of it in float32, B^T, G and A^T along the rows first, then along the columns; each of the 16 sums over c is one chain. The transforms
 * add at most four numbers of like size, so that the error is that of the plain sum of nine times as many terms, or less.
 *
 * <p>The input's gradient is the same with the taps turned by half a circle, which exchanges the first and the last row and column of
 * {@code G g G^T}.
 */
final class ScalarWinograd {
  /** Numbers of a patch, and of what its outputs are computed from. */
  static final int POINTS = 16;
  /** Channels on either side, and tiles of 2 x 2 outputs, from which on the multiplications saved are more than the transforms. */
  private static final long FEWEST = 32;
  private static final int[] STRAIGHT = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  private static final int[] TURNED = {15, 13, 14, 12, 7, 5, 6, 4, 11, 9, 10, 8, 3, 1, 2, 0};

  private ScalarWinograd() {}

  /** Whether a convolution between two pictures [N, C, H, W], or its input's gradient, is computed so. */
  static boolean applies(ConvSpec s, Tensor w, Tensor from, Tensor to) {
    return to.dtype() == DType.F32 && w.size(2) == 3 && w.size(3) == 3 && s.strideH() == 1 && s.strideW() == 1 && s.dilationH() == 1
        && s.dilationW() == 1 && s.top() <= 2 && s.left() <= 2 && s.groups() == 1 && from.size(1) >= FEWEST && to.size(1) >= FEWEST
        && to.size(0) * tiles(to.size(2)) * tiles(to.size(3)) >= FEWEST;
  }

  /** How many tiles cover so many rows or columns. */
  static long tiles(long length) {
    return (length + 1) / 2;
  }

  /** Where each number of {@code G g G^T} belongs, if the taps are turned. */
  static int[] places(boolean turned) {
    return turned ? TURNED : STRAIGHT;
  }

  /**
   * {@code y[n,o] = bias[o] + sum_c x[n,c] * g[o,c]}.
   *
   * @param w [O, C, 3, 3], or [C, O, 3, 3] and turned
   * @param top rows from the first row of x up to the first tap of the first row of y
   * @param left columns
   */
  static void run(Tensor x, Tensor w, boolean turned, long top, long left, Tensor bias, Tensor y) {
    Access weight = Access.of(w);
    Access b = bias == null ? null : Access.of(bias);
    int channels = Math.toIntExact(x.size(1));
    long outs = y.size(1);
    int[] places = places(turned);
    Parallel.forRange(outs, 1, (from, end) -> {
      float[] u = new float[channels * POINTS];
      float[] taps = new float[9];
      for (long o = from; o < end; o++) {
        for (int c = 0; c < channels; c++) {
          long at = (turned ? c * outs + o : o * channels + c) * 9;
          for (int t = 0; t < 9; t++) {
            taps[t] = (float) weight.get(at + t);
          }
          filter(taps, u, c * POINTS, places);
        }
        // Of all numbers, -0 alone leaves every other as it is when it is added.
        plane(x, u, o, top, left, b == null ? -0f : (float) b.get(o), y);
      }
    });
  }

  /** {@code G g G^T}. */
  private static void filter(float[] g, float[] u, int at, int[] places) {
    float[] rows = new float[12];
    for (int j = 0; j < 3; j++) {
      float outer = g[j] + g[6 + j];
      rows[j] = g[j];
      rows[3 + j] = 0.5f * (outer + g[3 + j]);
      rows[6 + j] = 0.5f * (outer - g[3 + j]);
      rows[9 + j] = g[6 + j];
    }
    for (int i = 0; i < 4; i++) {
      float outer = rows[3 * i] + rows[3 * i + 2];
      u[at + places[4 * i]] = rows[3 * i];
      u[at + places[4 * i + 1]] = 0.5f * (outer + rows[3 * i + 1]);
      u[at + places[4 * i + 2]] = 0.5f * (outer - rows[3 * i + 1]);
      u[at + places[4 * i + 3]] = rows[3 * i + 2];
    }
  }

  /** All pictures of output channel o. */
  private static void plane(Tensor x, float[] u, long o, long top, long left, float bias, Tensor y) {
    Access source = Access.of(x);
    Access to = Access.of(y);
    int channels = Math.toIntExact(x.size(1));
    long height = x.size(2);
    long width = x.size(3);
    float[] patch = new float[POINTS];
    for (long n = 0; n < y.size(0); n++) {
      for (long row = 0; row < y.size(2); row += 2) {
        for (long column = 0; column < y.size(3); column += 2) {
          float[] m = new float[POINTS];
          for (int c = 0; c < channels; c++) {
            for (int i = 0; i < POINTS; i++) {
              long h = row - top + i / 4;
              long v = column - left + i % 4;
              boolean inside = h >= 0 && h < height && v >= 0 && v < width;
              patch[i] = inside ? (float) source.get(((n * channels + c) * height + h) * width + v) : 0f;
            }
            transform(patch);
            for (int i = 0; i < POINTS; i++) {
              m[i] = Math.fma(u[c * POINTS + i], patch[i], m[i]);
            }
          }
          float[] out = outputs(m);
          for (int i = 0; i < 4; i++) {
            if (row + i / 2 < y.size(2) && column + i % 2 < y.size(3)) {
              to.set(((n * y.size(1) + o) * y.size(2) + row + i / 2) * y.size(3) + column + i % 2, out[i] + bias);
            }
          }
        }
      }
    }
  }

  /** {@code B^T d B}, in place. */
  private static void transform(float[] d) {
    for (int j = 0; j < 4; j++) {
      transform(d, j, 4);
    }
    for (int i = 0; i < 4; i++) {
      transform(d, 4 * i, 1);
    }
  }

  private static void transform(float[] d, int at, int step) {
    float a = d[at];
    float b = d[at + step];
    float c = d[at + 2 * step];
    float e = d[at + 3 * step];
    d[at] = a - c;
    d[at + step] = b + c;
    d[at + 2 * step] = c - b;
    d[at + 3 * step] = b - e;
  }

  /** {@code A^T m A}. */
  private static float[] outputs(float[] m) {
    float[] rows = new float[8];
    for (int j = 0; j < 4; j++) {
      rows[j] = m[j] + m[4 + j] + m[8 + j];
      rows[4 + j] = m[4 + j] - m[8 + j] - m[12 + j];
    }
    float[] y = new float[4];
    for (int i = 0; i < 2; i++) {
      y[2 * i] = rows[4 * i] + rows[4 * i + 1] + rows[4 * i + 2];
      y[2 * i + 1] = rows[4 * i + 1] - rows[4 * i + 2] - rows[4 * i + 3];
    }
    return y;
  }
}
