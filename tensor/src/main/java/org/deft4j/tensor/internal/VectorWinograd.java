package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

import static org.deft4j.tensor.internal.Buffer.START;

/**
 * {@link ScalarWinograd} by vectors and threads, as n^2 products, one for each number ("point") of a patch:
 *
 * <pre>
 *                       V [point]   C x tiles     B^T d B
 *   U [point]  O x C    M [point]   O x tiles     U = G g G^T,  M = U V  by {@link RegisterTile},  Y = A^T M A
 * </pre>
 *
 * <p>All three are several times as large as pictures and filters, so none is ever whole: a thread makes what it needs of each ({@link WinogradFilters},
 * {@link WinogradPatches}, {@link WinogradOutputs}) in a memory of its own, small enough for caches, and none waits for another. It takes some
 * panels of tiles and of filters,
 *
 * <pre>
 *   for some channels        V of these tiles                   stays in the last-level cache
 *     for each panel of filters
 *       for each {@link Winograd#LINK} of these channels
 *         U of these filters                                    second-level cache
 *         M += U V, point by point                              second-level cache
 * </pre>
 *
 * <p>and makes Y of a panel as soon as its M has all channels. U and V are made as the panels that the tiles of a product read, so that nothing is
 * packed besides.
 */
final class VectorWinograd {
  private static final int WIDTH = RegisterTile.WIDTH;
  /** Floats of a tile of M. */
  static final int TILE = RegisterTile.WIDE * WIDTH;
  /** Tiles that a thread takes at the most: U is made anew for others, which costs a half of the product with 32 tiles of F(4 x 4). */
  private static final int TILES = 128;
  /** Floats of V that a thread has at a time, unless one link has more. */
  private static final long CHANNELS = 5L << 17;
  /** Floats of M, if the sums of all its filters have to wait for more channels. */
  private static final long SUMS = 1L << 21;
  /**
   * Floats between the points of U, and of V, beside what is in them: two cache lines, without which lines of all points that are written together
   * would often fall into one set of the first-level cache, which has fewer ways.
   */
  static final int APART = 32;

  private final Winograd form;
  private final Tensor x;
  private final Panels filters;
  private final boolean turned;
  private final long top;
  private final long left;
  private final Product.Bias bias;
  private final Tensor y;
  private final int channels;
  private final Cut rows;
  private final WinogradTiles tiles;
  /** Pieces of the panels of tiles, and of the panels of filters. */
  private final int pieces;
  private final int ranges;
  /** Channels of V at a time, whole links or all; if not all, the sums of all filters of a range wait for the next. */
  private final int deep;
  private final boolean waits;

  private VectorWinograd(Winograd form, Tensor x, Panels filters, boolean turned, long top, long left, Product.Bias bias, Tensor y) {
    this.form = form;
    this.x = x;
    this.filters = filters;
    this.turned = turned;
    this.top = top;
    this.left = left;
    this.bias = bias;
    this.y = y;
    this.channels = Math.toIntExact(x.size(1));
    this.rows = Cut.rows(y.size(1));
    this.tiles = WinogradTiles.of(form, y);
    int panels = tiles.panels();
    int threads = Threads.count();
    this.pieces = Math.max(Math.ceilDiv(panels, TILES / WIDTH), Math.min(panels, threads));
    long floats = (long) form.points * Math.ceilDiv(panels, pieces);
    int links = Math.ceilDiv(channels, Winograd.LINK);
    int parts = (int) Math.ceilDiv(links, Math.max(1, CHANNELS / (floats * WIDTH * Winograd.LINK)));
    this.deep = Math.min(channels, Math.ceilDiv(links, parts) * Winograd.LINK);
    this.waits = deep < channels;
    long sums = waits ? Math.ceilDiv(rows.count() * floats * TILE, SUMS) : 1;
    this.ranges = (int) Math.min(rows.count(), Math.max(sums, Math.ceilDiv(threads, pieces)));
  }

  /**
   * Computes {@link ScalarWinograd#run}.
   *
   * @param filters a line for each output channel, which runs along the channels of x and, in each, the nine taps
   */
  static void run(Winograd form, Tensor x, Panels filters, boolean turned, long top, long left, Product.Bias bias, Tensor y) {
    new VectorWinograd(form, x, filters, turned, top, left, bias, y).run();
  }

  private void run() {
    Parallel.forRange((long) pieces * ranges, 1, (first, end) -> {
      try (Worker worker = new Worker()) {
        for (long i = first; i < end; i++) {
          worker.compute(i / ranges, i % ranges);
        }
      }
    });
  }

  /** What one thread does, in its own memory. */
  private final class Worker implements AutoCloseable {
    final long panels = Math.ceilDiv(tiles.panels(), pieces);
    final WinogradFilters u = new WinogradFilters(form, filters, turned, rows);
    final WinogradPatches v = new WinogradPatches(form, x, top, left, tiles, panels, deep);
    /** M: for each panel of filters and of tiles the tiles of all points, side by side. After it room to read ahead. */
    final Buffer m = Buffer.of(START + form.points * panels * TILE * (waits ? Math.ceilDiv(rows.count(), ranges) : 1) + TILE + Winograd.LINK);
    final WinogradOutputs outputs = new WinogradOutputs(form, bias, y, rows, tiles);
    final float[] link = new float[TILE];

    @Override
    public void close() {
      u.close();
      v.close();
      m.close();
    }

    void compute(long piece, long range) {
      int first = (int) (tiles.panels() * piece / pieces);
      int end = (int) (tiles.panels() * (piece + 1) / pieces);
      long from = rows.count() * range / ranges;
      long to = rows.count() * (range + 1) / ranges;
      int size = form.points * (end - first) * TILE;
      for (int channel = 0; channel < channels; channel += deep) {
        int count = Math.min(deep, channels - channel);
        v.transform(first, end, channel, count);
        for (long row = from; row < to; row++) {
          int at = START + (waits ? (int) (row - from) * size : 0);
          for (int c = 0; c < count; c += Winograd.LINK) {
            int depth = Math.min(Winograd.LINK, count - c);
            u.transform(row, channel + c, depth);
            multiply(row, first, end, c, depth, channel + c == 0, at);
          }
          for (int panel = first; panel < end && channel + count == channels; panel++) {
            outputs.store(row, panel, m.floats, at + (panel - first) * form.points * TILE);
          }
        }
      }
    }

    /** A link of the channels of V from {@code channel} on. */
    private void multiply(long row, int first, int end, int channel, int depth, boolean begins, int at) {
      for (int point = 0; point < form.points; point++) {
        for (int panel = first; panel < end; panel++) {
          int b = v.at(point, panel, channel);
          int to = at + ((panel - first) * form.points + point) * TILE;
          int next = panel + 1 < end ? v.at(point, panel + 1, channel) : v.at(Math.min(point + 1, form.points - 1), first, channel);
          RegisterTile.run(rows.room(row), u.u, WinogradFilters.at(point), v.v, b, depth, begins ? m.floats : link, begins ? to : 0, true,
              v.v, next, m.floats, to);
          if (!begins) {
            add(to);
          }
        }
      }
    }

    private void add(int at) {
      for (int i = 0; i < TILE; i += Simd.LANES) {
        FloatVector sum = FloatVector.fromArray(Simd.FLOATS, m.floats, at + i);
        sum.add(FloatVector.fromArray(Simd.FLOATS, link, i)).intoArray(m.floats, at + i);
      }
    }
  }
}
