package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

import static org.deft4j.tensor.internal.Buffer.START;
import static org.deft4j.tensor.internal.ScalarWinograd.POINTS;

/**
 * {@link ScalarWinograd} by vectors and threads, as 16 products, one for each number ("point") of a patch:
 *
 * <pre>
 *                       V [point]   C x tiles     B^T d B, tiles of some rows of tiles
 *   U [point]  O x C    M [point]   O x tiles     U = G g G^T,  M = U V  by {@link RegisterTile},  Y = A^T M A
 * </pre>
 *
 * <p>U and V are made as the panels that the tiles of a product read, so that nothing is packed besides. What of V, U and M there is at a time
 * is bounded: some rows of tiles, and of filters some panels. A thread takes a point and a group of panels of V, which stay in its
 * second-level cache while the panels of U stream past.
 */
final class VectorWinograd {
  private static final int LANES = Simd.LANES;
  private static final int WIDTH = RegisterTile.WIDTH;
  private static final int TILE = RegisterTile.WIDE * WIDTH;
  private static final int TAPS = 9;
  /** The most channels of a block: then a panel of U has 32 KiB, the size of the first-level cache. */
  private static final int DEPTH = 512;
  /** The most channels of a part. */
  private static final int PART = 640;
  /** Floats of U, of V and of M at a time. */
  private static final long SHARED = 3L << 20;
  /** Floats of V of one point of one thread: half of a second-level cache. */
  private static final int GROUP = 1 << 17;
  /**
   * Floats between the points of U, and of V, beside what is in them: two cache lines, without which lines of all points that are written together
   * would often fall into one set of the first-level cache, which has fewer ways.
   */
  private static final int APART = 32;
  /** Channels whose filters are turned at a time. */
  private static final int TURNED = 32;
  /** Forward. */
  private static final ReadAhead FILTERS = new ReadAhead();
  /** For the input's gradient. */
  private static final ReadAhead TURNED_FILTERS = new ReadAhead();

  private final Tensor x;
  private final Panels filters;
  private final int[] places;
  private final long top;
  private final long left;
  private final Product.Bias bias;
  private final Tensor y;
  private final int channels;
  private final Cut rows;
  /** Tiles in a row of them, and rows of tiles in a picture. */
  private final int across;
  private final int down;

  private VectorWinograd(Tensor x, Panels filters, boolean turned, long top, long left, Product.Bias bias, Tensor y) {
    this.x = x;
    this.filters = filters;
    this.places = ScalarWinograd.places(turned);
    this.top = top;
    this.left = left;
    this.bias = bias;
    this.y = y;
    this.channels = Math.toIntExact(x.size(1));
    this.rows = Cut.rows(y.size(1));
    this.across = Math.toIntExact(ScalarWinograd.tiles(y.size(3)));
    this.down = Math.toIntExact(ScalarWinograd.tiles(y.size(2)));
  }

  /**
   * Computes {@link ScalarWinograd#run}.
   *
   * @param filters a line for each output channel, which runs along the channels of x and, in each, the nine taps
   */
  static void run(Tensor x, Panels filters, boolean turned, long top, long left, Product.Bias bias, Tensor y) {
    new VectorWinograd(x, filters, turned, top, left, bias, y).run();
  }

  private void run() {
    long all = y.size(0) * down;
    // Filters are transformed anew for each piece. In parts, V is smaller, and M has to hold the sums of all filters.
    int parts = Math.ceilDiv(channels, PART);
    long ofParts = Math.max(pieces((long) POINTS * Math.ceilDiv(channels, parts)), pieces(POINTS * RegisterTile.WIDE * rows.count()));
    long pieces = pieces((long) POINTS * channels);
    if (ofParts < pieces) {
      pieces = ofParts;
    } else {
      parts = 1;
    }
    int deep = Math.ceilDiv(channels, parts);
    long panels = Math.ceilDiv(Math.ceilDiv(all, pieces) * across, WIDTH);
    long floats = POINTS * Math.max((long) deep * RegisterTile.WIDE_PITCH, parts == 1 ? panels * TILE : 0);
    long some = Math.clamp(SHARED / floats, 1, rows.count());
    // If not all, as many for each thread.
    long chunks = some == rows.count() ? 1 : Math.ceilDiv(rows.count(), Math.max(1, some / Threads.count() * Threads.count()));
    some = Math.ceilDiv(rows.count(), chunks);
    try (Buffer u = Buffer.of(START + POINTS * (some * RegisterTile.WIDE_PITCH * deep + APART));
        Buffer v = Buffer.of(START + POINTS * (panels * WIDTH * deep + APART));
        Buffer m = Buffer.of(START + POINTS * ((parts == 1 ? some : rows.count()) * panels + 1) * TILE + DEPTH)) {
      for (long piece = 0; piece < pieces; piece++) {
        for (int part = 0; part < parts; part++) {
          int first = part * deep;
          int count = Math.min(deep, channels - first);
          Piece tiles = new Piece((int) (all * piece / pieces), (int) (all * (piece + 1) / pieces), first, count, v.floats);
          tiles.transform();
          for (long chunk = 0; chunk < chunks; chunk++) {
            Chunk lines = new Chunk(rows.count() * chunk / chunks, rows.count() * (chunk + 1) / chunks, first, count, u.floats);
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
    return Math.ceilDiv(all, Math.clamp(SHARED / floats / across, 1, all));
  }

  // ------------------------------------------------------------------------------------------------------- filters

  /** The panels {@code from .. to} of filters, and of these {@code count} channels from {@code begin} on. */
  private final class Chunk {
    final long from;
    final long to;
    final int begin;
    final int count;
    final float[] u;
    /** Floats from point to point. */
    final int step;

    Chunk(long from, long to, int begin, int count, float[] u) {
      this.from = from;
      this.to = to;
      this.begin = begin;
      this.count = count;
      this.u = u;
      this.step = (int) ((rows.before(to) - rows.before(from)) * count) + APART;
    }

    int at(int point, long panel) {
      return START + point * step + (int) (rows.before(panel) - rows.before(from)) * count;
    }

    /** In the order in which the filters lie in memory: filter by filter, or, if turned, channel by channel. */
    void transform() {
      boolean byPanels = filters.stretch() == Integer.MAX_VALUE;
      long turns = Math.ceilDiv(count, TURNED);
      Parallel.forRange(byPanels ? to - from : turns, 1, (first, end) -> {
        try (Buffer taps = Buffer.of(START + (long) TURNED * TAPS * RegisterTile.WIDE_PITCH);
            Buffer room = Buffer.of(Math.max(Panels.ROOM, (long) WIDTH * TURNED * TAPS))) {
          for (long i = first; i < end; i++) {
            if (byPanels) {
              long panel = from + i;
              FILTERS.run(0, turns, (a, b) -> readAhead(panel, panel + 1, a, b), (a, b) -> {
                for (long turn = a; turn < b; turn++) {
                  transform(panel, (int) turn * TURNED, taps.floats, room.floats);
                }
              });
            } else {
              long turn = i;
              TURNED_FILTERS.run(from, to, (a, b) -> readAhead(a, b, turn, turn + 1), (a, b) -> {
                for (long panel = a; panel < b; panel++) {
                  transform(panel, (int) turn * TURNED, taps.floats, room.floats);
                }
              });
            }
          }
        }
      });
    }

    /** Brings the panels {@code first .. end}, of the turns {@code turn .. last} of channels. */
    private void readAhead(long first, long end, long turn, long last) {
      int lines = (int) (Math.min(rows.lines(), rows.start(end)) - rows.start(first));
      long channel = turn * TURNED;
      filters.readAhead(rows.start(first), lines, TAPS * (begin + channel), TAPS * (int) (Math.min(count, last * TURNED) - channel));
    }

    private void transform(long panel, int channel, float[] taps, float[] room) {
      int turned = Math.min(TURNED, count - channel);
      int pitch = rows.pitch(panel);
      filters.pack(rows.start(panel), rows.lines(panel), (long) TAPS * (begin + channel), TAPS * turned, taps, START, pitch, room);
      int to = at(0, panel) + channel * pitch;
      for (int i = 0; i < pitch; i += LANES) {
        for (int c = 0; c < turned; c++) {
          WinogradTransforms.filter(taps, START + c * TAPS * pitch + i, pitch, u, to + c * pitch + i, step, places);
        }
      }
    }
  }

  // ------------------------------------------------------------------------------------------------------- pictures

  /** The rows {@code from .. to} of tiles, of all pictures one after another, and of these {@code count} channels from {@code begin} on. */
  private final class Piece {
    final int from;
    final int to;
    final int begin;
    final int count;
    final float[] v;
    final int tiles;
    final int panels;
    /** Floats from point to point. */
    final int step;

    Piece(int from, int to, int begin, int count, float[] v) {
      this.from = from;
      this.to = to;
      this.begin = begin;
      this.count = count;
      this.v = v;
      this.tiles = (to - from) * across;
      this.panels = Math.ceilDiv(tiles, WIDTH);
      this.step = panels * count * WIDTH + APART;
    }

    int at(int point, int panel, int channel) {
      return START + point * step + (panel * count + channel) * WIDTH;
    }

    void transform() {
      Parallel.forRange(panels, Math.max(1, panels / (4L * Threads.count())), (first, end) -> {
        Lines lines = new Lines(this);
        for (int i = (int) first; i < end; i++) {
          lines.transform(below(i));
        }
      });
    }

    /** The panels in such an order that those of wide pictures are followed by the ones below, which see two of their four rows too. */
    private int below(int i) {
      int beside = across / WIDTH;
      return across % WIDTH == 0 ? i % (to - from) * beside + i / (to - from) : i;
    }
  }

  /**
   * What one thread needs to transform patches. It goes along the channels of a panel, so that each point is written in the order in which
   * it lies in memory.
   */
  private final class Lines {
    /** Floats of a row: all columns that a panel of tiles sees, and what vectors read beyond. */
    static final int LENGTH = 2 * WIDTH + 2 + 2 * LANES;

    final Piece piece;
    final int height = Math.toIntExact(x.size(2));
    final int width = Math.toIntExact(x.size(3));
    /** Four rows of the picture with zeros around them, and one that is outside. */
    final float[] lines = new float[5 * LENGTH];
    /** Where a vector of tiles goes that does not fit into a panel as it is. */
    final float[] aside = new float[POINTS * LANES];

    Lines(Piece piece) {
      this.piece = piece;
    }

    void transform(int panel) {
      int first = panel * WIDTH;
      int count = Math.min(WIDTH, piece.tiles - first);
      for (int i = 0; i < count;) {
        int index = first + i;
        int run = Math.min(count - i, across - index % across);
        transform(panel, i, piece.from + index / across, index % across, run);
        i += run;
      }
    }

    /** A run of tiles of one row, from {@code tile} on, which are those from {@code lane} on in their panel. */
    private void transform(int panel, int lane, int row, int tile, int run) {
      Arrays.fill(lines, 0f);
      int left = 2 * tile - (int) VectorWinograd.this.left;
      int begin = Math.max(0, left);
      int columns = Math.min(width, left + 2 * run + 2) - begin;
      int top = row % down * 2 - (int) VectorWinograd.this.top;
      long plane = (long) height * width;
      long start = x.offset() + ((long) row / down * channels + piece.begin) * plane;
      int[] at = new int[4];
      for (int i = 0; i < 4; i++) {
        at[i] = (top + i >= 0 && top + i < height ? i : 4) * LENGTH;
      }
      for (int c = 0; c < piece.count; c++) {
        for (int i = 0; i < 4 && columns > 0; i++) {
          if (at[i] < 4 * LENGTH) {
            copy(Float.BYTES * (start + c * plane + (long) (top + i) * width + begin), columns, at[i] + begin - left);
          }
        }
        for (int i = 0; i < run; i += LANES) {
          patches(panel, lane + i, c, at, 2 * i, Math.min(LANES, run - i));
        }
      }
    }

    /** Some numbers of a row of the picture; the last vector is moved back to end with them. */
    private void copy(long from, int count, int to) {
      MemorySegment memory = x.memory();
      if (count < LANES) {
        for (int i = 0; i < count; i++) {
          lines[to + i] = memory.get(Simd.F32, from + (long) Float.BYTES * i);
        }
        return;
      }
      for (int i = 0; i < count; i += LANES) {
        int column = Math.min(i, count - LANES);
        Simd.load(memory, from + (long) Float.BYTES * column).intoArray(lines, to + column);
      }
    }

    /** A vector of tiles, of which {@code count} are in the panel. */
    private void patches(int panel, int lane, int channel, int[] at, int column, int count) {
      int to = piece.at(0, panel, channel) + lane;
      int step = piece.step;
      if (count == LANES && lane % LANES == 0) {
        WinogradTransforms.patches(lines, at[0] + column, at[1] + column, at[2] + column, at[3] + column, piece.v, to, step);
        return;
      }
      WinogradTransforms.patches(lines, at[0] + column, at[1] + column, at[2] + column, at[3] + column, aside, 0, LANES);
      for (int point = 0; point < POINTS; point++) {
        System.arraycopy(aside, point * LANES, piece.v, to + point * step, count);
      }
    }
  }

  // ------------------------------------------------------------------------------------------------------- products

  /** Where the tile of a panel of filters and a panel of tiles waits for its outputs: all its points lie side by side. */
  private static int at(Piece tiles, long row, int panel, int point) {
    return START + (int) ((row * tiles.panels + panel) * POINTS + point) * TILE;
  }

  /** @param base the panel of filters whose tiles come first in m */
  private void multiply(Chunk lines, Piece tiles, float[] m, long base) {
    int block = Math.ceilDiv(tiles.count, Math.ceilDiv(tiles.count, DEPTH));
    int groups = Math.ceilDiv(tiles.panels, Math.max(1, GROUP / (block * WIDTH)));
    Parallel.forRange((long) POINTS * groups, 1, (first, end) -> {
      for (long task = first; task < end; task++) {
        int group = (int) (task % groups);
        int from = tiles.panels * group / groups;
        int to = tiles.panels * (group + 1) / groups;
        for (int channel = 0; channel < tiles.count; channel += block) {
          multiply(lines, tiles, (int) (task / groups), from, to, channel, Math.min(block, tiles.count - channel), m, base);
        }
      }
    });
  }

  /** One point of the panels {@code first .. end} of tiles, and {@code depth} channels. */
  private void multiply(Chunk lines, Piece tiles, int point, int first, int end, int channel, int depth, float[] m, long base) {
    boolean begins = tiles.begin + channel == 0;
    for (long row = lines.from; row < lines.to; row++) {
      int a = lines.at(point, row) + channel * rows.pitch(row);
      // The filters that come next, a little of them beside each tile.
      int ahead = row + 1 < lines.to ? lines.at(point, row + 1) + channel * rows.pitch(row + 1) : a;
      for (int panel = first; panel < end; panel++) {
        int to = at(tiles, row - base, panel, point);
        int next = ahead + RegisterTile.AHEAD * depth <= lines.u.length ? ahead : a;
        RegisterTile.run(rows.room(row), lines.u, a, tiles.v, tiles.at(point, panel, channel), depth, m, to, begins, lines.u, next, m,
            begins ? to : to + POINTS * TILE);
        ahead += RegisterTile.AHEAD * depth;
      }
    }
  }

  // -------------------------------------------------------------------------------------------------------- outputs

  private void store(Chunk lines, Piece tiles, float[] m, long base) {
    Parallel.forRange((lines.to - lines.from) * tiles.panels, 1, (first, end) -> {
      float[] out = new float[4 * WIDTH];
      for (long i = first; i < end; i++) {
        long row = lines.from + i / tiles.panels;
        int panel = (int) (i % tiles.panels);
        store(row, tiles, panel, m, at(tiles, row - base, panel, 0), out);
      }
    });
  }

  /** The outputs of a panel of filters and a panel of tiles. */
  private void store(long row, Piece tiles, int panel, float[] m, int at, float[] out) {
    int first = panel * WIDTH;
    int count = Math.min(WIDTH, tiles.tiles - first);
    for (int i = 0; i < rows.lines(row); i++) {
      long channel = rows.start(row) + i;
      // As in the plain form.
      float added = bias == null ? -0f : bias.get(channel);
      for (int j = 0; j < WIDTH; j += LANES) {
        WinogradTransforms.outputs(m, at + i * WIDTH + j, TILE, added, out, 2 * j, 2 * WIDTH + 2 * j);
      }
      for (int j = 0; j < count;) {
        int index = first + j;
        int run = Math.min(count - j, across - index % across);
        storeRun(tiles.from + index / across, index % across, channel, run, out, 2 * j);
        j += run;
      }
    }
  }

  /** The outputs of {@code run} tiles of a row of tiles, from {@code tile} on. */
  private void storeRun(int row, int tile, long channel, int run, float[] out, int from) {
    long height = y.size(2);
    long width = y.size(3);
    long h = row % down * 2L;
    int length = (int) Math.min(2L * run, width - 2L * tile);
    long to = Float.BYTES * (y.offset() + ((row / down * y.size(1) + channel) * height + h) * width + 2L * tile);
    MemorySegment.copy(out, from, y.memory(), Simd.F32, to, length);
    if (h + 1 < height) {
      MemorySegment.copy(out, 2 * WIDTH + from, y.memory(), Simd.F32, to + Float.BYTES * width, length);
    }
  }
}
