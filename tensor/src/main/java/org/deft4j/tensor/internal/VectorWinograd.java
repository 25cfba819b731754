package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

import static org.deft4j.tensor.internal.Buffer.START;

/**
 * {@link ScalarWinograd} by vectors and threads, as n^2 products, one for each number ("point") of a patch:
 *
 * <pre>
 *                       V [point]   C x tiles     B^T d B, tiles of some rows of tiles
 *   U [point]  O x C    M [point]   O x tiles     U = G g G^T,  M = U V  by {@link RegisterTile},  Y = A^T M A
 * </pre>
 *
 * <p>U ({@link WinogradFilters}) and V ({@link WinogradPatches}) are made as the panels that the tiles of a product read, so that nothing is packed
 * besides; {@link WinogradOutputs} makes Y. What of V, U and M there is at a time
 * is bounded: some rows of tiles, and of filters some panels. A thread takes a point and a group of panels of V, which stay in its
 * second-level cache while the panels of U stream past.
 */
final class VectorWinograd {
  private static final int WIDTH = RegisterTile.WIDTH;
  /** Floats of a tile of M. */
  static final int TILE = RegisterTile.WIDE * WIDTH;
  /** The most channels of a block: then a panel of U has 32 KiB, the size of the first-level cache. Whole links. */
  private static final int DEPTH = 512;
  /** The most channels of a part, whole links. */
  private static final int PART = 640;
  /** Floats of V at a time, and of M if it holds the sums of all filters: a part of a last-level cache. */
  private static final long TILES = 3L << 20;
  /** Floats of U, and of M if it holds the sums of these filters alone, at a time: fewer, for what is written last is read next. */
  private static final long FILTERS = 1L << 20;
  /** Floats of V of one point of one thread: half of a second-level cache. */
  private static final int GROUP = 1 << 17;
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
  /** Tiles in a row of them, and rows of tiles in a picture. */
  private final int across;
  private final int down;

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
    this.across = form.tiles(y.size(3));
    this.down = form.tiles(y.size(2));
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
    long all = y.size(0) * down;
    // Filters are transformed anew for each piece. In parts, V is smaller, and M has to hold the sums of all filters.
    int parts = Math.ceilDiv(channels, PART);
    long ofParts = Math.max(pieces((long) form.points * Math.ceilDiv(channels, parts)), pieces((long) form.points * RegisterTile.WIDE * rows.count()));
    long pieces = pieces((long) form.points * channels);
    if (ofParts < pieces) {
      pieces = ofParts;
    } else {
      parts = 1;
    }
    int deep = Math.min(channels, wholeLinks(Math.ceilDiv(channels, parts)));
    long panels = Math.ceilDiv(Math.ceilDiv(all, pieces) * across, WIDTH);
    long floats = form.points * Math.max((long) deep * RegisterTile.WIDE_PITCH, parts == 1 ? panels * TILE : 0);
    // If not all, as many for each thread.
    long some = Math.max(FILTERS / floats / Threads.count(), 1) * Threads.count();
    long chunks = Math.ceilDiv(rows.count(), some);
    some = Math.ceilDiv(rows.count(), chunks);
    try (Buffer u = Buffer.of(WinogradFilters.floats(form, some, deep));
        Buffer v = Buffer.of(WinogradPatches.floats(form, panels, deep));
        Buffer m = Buffer.of(START + form.points * ((parts == 1 ? some : rows.count()) * panels + 1) * TILE + Winograd.LINK)) {
      for (long piece = 0; piece < pieces; piece++) {
        for (int part = 0; part < parts; part++) {
          int first = part * deep;
          int count = Math.min(deep, channels - first);
          WinogradPatches tiles = new WinogradPatches(form, x, top, left, y, (int) (all * piece / pieces), (int) (all * (piece + 1) / pieces),
              first, count, v.floats);
          tiles.transform();
          for (long chunk = 0; chunk < chunks; chunk++) {
            WinogradFilters lines = new WinogradFilters(form, filters, turned, rows, rows.count() * chunk / chunks,
                rows.count() * (chunk + 1) / chunks, first, count, u.floats);
            if (piece == 0 || chunks * parts > 1) {
              lines.transform();
            }
            long base = parts == 1 ? lines.from : 0;
            multiply(lines, tiles, m.floats, base);
            if (part + 1 == parts) {
              store(lines, tiles, m.floats, base);
            }
          }
        }
      }
    }
  }

  /** How many pieces there are, of whole rows of tiles, if there are so many floats for each tile. */
  private long pieces(long floats) {
    long all = y.size(0) * down;
    return Math.ceilDiv(all, Math.clamp(TILES / floats / across, 1, all));
  }

  /** Where the tile of a panel of filters and a panel of tiles waits for its outputs: all its points lie side by side. */
  private int at(WinogradPatches tiles, long row, int panel, int point) {
    return START + (int) ((row * tiles.panels + panel) * form.points + point) * TILE;
  }

  /** @param base the panel of filters whose tiles come first in m */
  private void multiply(WinogradFilters lines, WinogradPatches tiles, float[] m, long base) {
    int block = wholeLinks(Math.ceilDiv(tiles.count, Math.ceilDiv(tiles.count, DEPTH)));
    int groups = Math.ceilDiv(tiles.panels, Math.max(1, GROUP / (block * WIDTH)));
    Parallel.forRange((long) form.points * groups, 1, (first, end) -> {
      float[] link = new float[TILE];
      for (long task = first; task < end; task++) {
        int group = (int) (task % groups);
        int from = tiles.panels * group / groups;
        int to = tiles.panels * (group + 1) / groups;
        for (int channel = 0; channel < tiles.count; channel += block) {
          multiply(lines, tiles, (int) (task / groups), from, to, channel, Math.min(block, tiles.count - channel), m, base, link);
        }
      }
    });
  }

  /** One point of the panels {@code first .. end} of tiles, and {@code depth} channels. */
  private void multiply(WinogradFilters lines, WinogradPatches tiles, int point, int first, int end, int channel, int depth, float[] m, long base,
      float[] link) {
    for (long row = lines.from; row < lines.to; row++) {
      int pitch = rows.pitch(row);
      int a = lines.at(point, row) + channel * pitch;
      // The filters that come next, a little of them beside each tile.
      int ahead = row + 1 < lines.to ? lines.at(point, row + 1) + channel * rows.pitch(row + 1) : a;
      for (int panel = first; panel < end; panel++) {
        int b = tiles.at(point, panel, channel);
        int to = at(tiles, row - base, panel, point);
        for (int c = 0; c < depth; c += Winograd.LINK) {
          boolean begins = tiles.begin + channel + c == 0;
          int length = Math.min(Winograd.LINK, depth - c);
          int next = ahead + RegisterTile.AHEAD * length <= lines.u.length ? ahead : a;
          RegisterTile.run(rows.room(row), lines.u, a + c * pitch, tiles.v, b + c * WIDTH, length, begins ? m : link, begins ? to : 0, true,
              lines.u, next, m, to);
          if (!begins) {
            add(link, m, to);
          }
          ahead += RegisterTile.AHEAD * length;
        }
      }
    }
  }

  private static void add(float[] link, float[] m, int at) {
    for (int i = 0; i < TILE; i += Simd.LANES) {
      FloatVector.fromArray(Simd.FLOATS, m, at + i).add(FloatVector.fromArray(Simd.FLOATS, link, i)).intoArray(m, at + i);
    }
  }

  private static int wholeLinks(int channels) {
    return Math.ceilDiv(channels, Winograd.LINK) * Winograd.LINK;
  }

  private void store(WinogradFilters lines, WinogradPatches tiles, float[] m, long base) {
    Parallel.forRange((lines.to - lines.from) * tiles.panels, 1, (first, end) -> {
      WinogradOutputs out = new WinogradOutputs(form, bias, y, rows);
      for (long i = first; i < end; i++) {
        long row = lines.from + i / tiles.panels;
        int panel = (int) (i % tiles.panels);
        out.store(row, tiles, panel, m, at(tiles, row - base, panel, 0));
      }
    });
  }
}
