package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/**
 * Winograd's minimal filtering F(m x m, 3 x 3) (Winograd 1980; Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"): with d a
 * patch of n x n numbers, n = m + 2, and g the taps of a kernel,
 *
 * <pre>
 *   Y [m x m] = A^T [ sum_c (G g_c G^T) . (B^T d_c B) ] A
 * </pre>
 *
 * <p>takes n^2 multiplications for m^2 outputs and each channel, where 9 m^2 meet the eye. The filter and the patch are polynomials, which
 * are evaluated at n - 1 points and at infinity, multiplied there, and interpolated. The constants are the transforms along one
 * dimension, number by number; {@link WinogradLoops} are the same by vectors. Both are applied down the columns of a patch first, then along its
 * rows, in float32.
 */
enum Winograd {
  /**
   * 16 multiplications for 2 x 2 outputs, by the points 0, 1, -1:
   *
   * <pre>
   *         | 1  0 -1  0 |         |  1    0    0  |
   *   B^T = | 0  1  1  0 |     G = | 1/2  1/2  1/2 |     A^T = | 1  1  1  0 |
   *         | 0 -1  1  0 |         | 1/2 -1/2  1/2 |           | 0  1 -1 -1 |
   *         | 0  1  0 -1 |         |  0    0    1  |
   * </pre>
   */
  F2(2) {
    @Override
    void filter(float[] g, int at, int step, float[] u, int to, int toStep) {
      float outer = g[at] + g[at + 2 * step];
      u[to] = g[at];
      u[to + toStep] = 0.5f * (outer + g[at + step]);
      u[to + 2 * toStep] = 0.5f * (outer - g[at + step]);
      u[to + 3 * toStep] = g[at + 2 * step];
    }

    @Override
    void patch(float[] d, int at, int step, float[] v, int to, int toStep) {
      float d1 = d[at + step];
      float d2 = d[at + 2 * step];
      v[to] = d[at] - d2;
      v[to + toStep] = d1 + d2;
      v[to + 2 * toStep] = d2 - d1;
      v[to + 3 * toStep] = d1 - d[at + 3 * step];
    }

    @Override
    void outputs(float[] m, int at, int step, float[] y, int to, int toStep) {
      float m1 = m[at + step];
      float m2 = m[at + 2 * step];
      y[to] = m[at] + m1 + m2;
      y[to + toStep] = m1 - m2 - m[at + 3 * step];
    }
  },

  /**
   * 36 multiplications for 4 x 4 outputs, by the points 0, p, -p, q, -q with p = 5/8 and q = 3/2:
   *
   * <pre>
   *         | p^2 q^2     0   -p^2-q^2      0   1  0 |       | (1  0   0) / (p^2 q^2)           |
   *         |    0     -p q^2   -q^2        p   1  0 |       | (1  p  p^2) / (2 p^2 (p^2 - q^2)) |
   *   B^T = |    0      p q^2   -q^2       -p   1  0 |   G = | (1 -p  p^2) / (2 p^2 (p^2 - q^2)) |
   *         |    0     -p^2 q   -p^2        q   1  0 |       | (1  q  q^2) / (2 q^2 (q^2 - p^2)) |
   *         |    0      p^2 q   -p^2       -q   1  0 |       | (1 -q  q^2) / (2 q^2 (q^2 - p^2)) |
   *         |    0    p^2 q^2     0   -p^2-q^2  0  1 |       |  0  0   1                         |
   *
   *         | 1   1    1    1    1   0 |
   *   A^T = | 0   p   -p    q   -q   0 |
   *         | 0  p^2  p^2  q^2  q^2  0 |
   *         | 0  p^3 -p^3  q^3 -q^3  1 |
   * </pre>
   *
   * <p>Of all p and q that are eighths, these lose the fewest digits: errors are less than half as large as by the points 1 and 2, which most use. All
   * numbers of B^T and A^T are exact in float32.
   */
  F4(4) {
    @Override
    void filter(float[] g, int at, int step, float[] u, int to, int toStep) {
      float g0 = g[at];
      float g1 = g[at + step];
      float g2 = g[at + 2 * step];
      float ofP = Math.fma(g2, P * P, g0);
      float ofQ = Math.fma(g2, Q * Q, g0);
      u[to] = g0 * PER_ZERO;
      u[to + toStep] = Math.fma(g1, P, ofP) * PER_P;
      u[to + 2 * toStep] = Math.fma(g1, -P, ofP) * PER_P;
      u[to + 3 * toStep] = Math.fma(g1, Q, ofQ) * PER_Q;
      u[to + 4 * toStep] = Math.fma(g1, -Q, ofQ) * PER_Q;
      u[to + 5 * toStep] = g2;
    }

    @Override
    void patch(float[] d, int at, int step, float[] v, int to, int toStep) {
      float d1 = d[at + step];
      float d2 = d[at + 2 * step];
      float d3 = d[at + 3 * step];
      float d4 = d[at + 4 * step];
      float evenP = Math.fma(d2, -Q * Q, d4);
      float oddP = Math.fma(d1, -Q * Q, d3);
      float evenQ = Math.fma(d2, -P * P, d4);
      float oddQ = Math.fma(d1, -P * P, d3);
      v[to] = Math.fma(d[at], PRODUCT, Math.fma(d2, SUM, d4));
      v[to + toStep] = Math.fma(oddP, P, evenP);
      v[to + 2 * toStep] = Math.fma(oddP, -P, evenP);
      v[to + 3 * toStep] = Math.fma(oddQ, Q, evenQ);
      v[to + 4 * toStep] = Math.fma(oddQ, -Q, evenQ);
      v[to + 5 * toStep] = Math.fma(d1, PRODUCT, Math.fma(d3, SUM, d[at + 5 * step]));
    }

    @Override
    void outputs(float[] m, int at, int step, float[] y, int to, int toStep) {
      float sumP = m[at + step] + m[at + 2 * step];
      float differenceP = m[at + step] - m[at + 2 * step];
      float sumQ = m[at + 3 * step] + m[at + 4 * step];
      float differenceQ = m[at + 3 * step] - m[at + 4 * step];
      y[to] = m[at] + sumP + sumQ;
      y[to + toStep] = Math.fma(differenceQ, Q, differenceP * P);
      y[to + 2 * toStep] = Math.fma(sumQ, Q * Q, sumP * (P * P));
      y[to + 3 * toStep] = Math.fma(differenceQ, Q * Q * Q, Math.fma(differenceP, P * P * P, m[at + 5 * step]));
    }
  };

  /** The points of {@link #F4}. */
  static final float P = 0.625f;
  static final float Q = 1.5f;
  /** {@code p^2 q^2} and {@code -p^2 - q^2}. */
  static final float PRODUCT = P * P * Q * Q;
  static final float SUM = -P * P - Q * Q;
  /** What the rows of its G are multiplied by. */
  static final float PER_ZERO = 1 / PRODUCT;
  static final float PER_P = 1 / (2 * P * P * (P * P - Q * Q));
  static final float PER_Q = 1 / (2 * Q * Q * (Q * Q - P * P));

  /**
   * Channels of a link. A sum over channels is the sum of those of its links, added in order; that of a link is one chain of fused
   * multiply-adds. Most of the error comes from these sums, and shorter chains round less: with 320 channels {@link #F4} is as exact as the
   * plain sum, with more it is more exact, with 128 its root mean squared error is 1.7 times as large.
   */
  static final int LINK = 128;
  /** Taps of a kernel in one dimension. */
  static final int TAPS = 3;
  /** Channels on either side, and tiles of {@link #F2}, from which on the multiplications saved are more than the transforms. */
  private static final long FEWEST = 32;
  /** Tiles that are multiplied together where vectors have 512 bits; which form is taken must not depend on that, as its bits do. */
  private static final long TOGETHER = 32;

  /** Outputs of a tile in one dimension: m. */
  final int tile;
  /** Numbers that they are computed from: n. */
  final int patch;
  /** Numbers of a patch, each of which is multiplied by one of a filter: n^2. */
  final int points;

  Winograd(int tile) {
    this.tile = tile;
    this.patch = tile + TAPS - 1;
    this.points = patch * patch;
  }

  /**
   * By which of them a convolution between two pictures [N, C, H, W], or its input's gradient, is computed; null by neither. That
   * with less {@link #work}, if there are enough tiles.
   */
  static Winograd of(ConvSpec s, Tensor w, Tensor from, Tensor to) {
    boolean plain = to.dtype() == DType.F32 && w.size(2) == TAPS && w.size(3) == TAPS && s.strideH() == 1 && s.strideW() == 1
        && s.dilationH() == 1 && s.dilationW() == 1 && s.top() < TAPS && s.left() < TAPS && s.groups() == 1;
    if (!plain || from.size(1) < FEWEST || to.size(1) < FEWEST || F2.tilesOf(to) < FEWEST) {
      return null;
    }
    return F4.work(to) < F2.work(to) ? F4 : F2;
  }

  /** For each filter and channel, in halves of the multiplications with {@link #TOGETHER} tiles, as many as it takes to transform the filter. */
  private long work(Tensor to) {
    return points * (2 * Math.ceilDiv(tilesOf(to), TOGETHER) + 1);
  }

  private long tilesOf(Tensor pictures) {
    return pictures.size(0) * tiles(pictures.size(2)) * tiles(pictures.size(3));
  }

  /** How many tiles cover so many rows or columns. */
  int tiles(long length) {
    return Math.toIntExact(Math.ceilDiv(length, tile));
  }

  /** G along one dimension: three taps, {@code step} apart, become n numbers, {@code toStep} apart. */
  abstract void filter(float[] g, int at, int step, float[] u, int to, int toStep);

  /** B^T: n numbers become as many. */
  abstract void patch(float[] d, int at, int step, float[] v, int to, int toStep);

  /** A^T: n numbers become m. */
  abstract void outputs(float[] m, int at, int step, float[] y, int to, int toStep);
}
