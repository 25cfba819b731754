package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.List;
import org.deft4j.tensor.Threads;

import static org.deft4j.tensor.internal.Buffer.START;

/**
 * The input's gradient of a convolution with a stride: a product for each remainder of its positions, which are the rows of the same
 * filters, each with taps of its own ({@link VectorConvolution}). They are computed together, so that filters are read and turned once:
 *
 * <pre>
 *                       part 0, one tap       part 1, two taps       ...
 *                     +------------------+  +------------------+
 *                     | patches          |  | patches          |          shared: packed first, by all threads
 *                     +------------------+  +------------------+
 *   filters, packed          ||                     ||
 *   +----+--------+   +------------------+  +------------------+
 *   | p0 |   p1   |   | dx at (0, 0)     |  | dx at (0, 1)     |
 *   +----+--------+   +------------------+  +------------------+
 * </pre>
 *
 * <p>A thread takes a group of panels of channels, packs a block of filters for them at a time into its own second-level cache, and
 * multiplies each part of it by the patches of that part. The tiles wait in an array until all filters have been added.
 */
final class StridedGradient {
  /** The most parts that are computed together: with more, a block of few filters would fill the cache. */
  private static final int MOST_PARTS = 4;
  /** How long the parts of a block are on average: as long as the blocks of {@link Product}. */
  private static final int DEPTH = 512;
  /** Floats of packed patches that share the last cache. */
  private static final long SHARED = 1 << 22;
  /** Floats of packed filters of one thread. */
  private static final int GROUP = 5 << 15;
  /** Multiplications below which waking other threads takes longer than doing them alone. */
  private static final long ALONE = 1 << 21;
  private static final int WIDTH = RegisterTile.WIDTH;
  private static final int TILE = RegisterTile.WIDE * WIDTH;

  /** The positions with one remainder: their taps of a filter, ascending, what these meet, {@code count} positions, and where they lie. */
  record Part(int[] taps, Panels patches, long count, Target target) {}

  private final FilterPanels filters;
  private final List<Part> parts;
  private final int[][] taps;
  private final Cut rows;
  private final long depth;
  /** Taps of a filter in all parts; 1 if none has any. */
  private final int size;
  /** Filters in a block. */
  private final int block;
  private final boolean small;

  private StridedGradient(FilterPanels filters, List<Part> parts, long channels, long depth) {
    this.filters = filters;
    this.parts = parts;
    this.taps = parts.stream().map(Part::taps).toArray(int[][]::new);
    this.rows = Cut.rows(channels);
    this.depth = depth;
    this.size = Math.max(1, Arrays.stream(taps).mapToInt(t -> t.length).sum());
    long most = Math.clamp((long) DEPTH * parts.size() / size, 1, Math.max(1, GROUP / (2 * size * RegisterTile.WIDE_PITCH)));
    this.block = (int) Math.ceilDiv(depth, Math.ceilDiv(depth, most));
    long positions = parts.stream().mapToLong(Part::count).sum();
    this.small = channels * positions * depth * size / parts.size() < ALONE;
  }

  /**
   * Whether this is faster than a product for each part: where there are more channels than positions. Where there are fewer, the filters
   * are little, and products write their tiles side by side.
   */
  static boolean pays(List<Part> parts, long channels, int size) {
    return parts.size() > 1 && parts.size() <= MOST_PARTS && size > 1 && size <= FilterPanels.MOST_TAPS
        && Cut.rows(channels).count() > columns(parts.getFirst()).count();
  }

  /** Computes it for {@code channels} channels and {@code depth} filters. */
  static void run(FilterPanels filters, List<Part> parts, long channels, long depth) {
    new StridedGradient(filters, parts, channels, depth).run();
  }

  private void run() {
    long panels = parts.stream().mapToLong(part -> columns(part).count()).max().orElse(0);
    long most = Math.max(1, SHARED / ((long) WIDTH * size * depth));
    long pieces = Math.ceilDiv(panels, most);
    for (long i = 0; i < pieces; i++) {
      new Piece(panels * i / pieces, panels * (i + 1) / pieces).run();
    }
  }

  private static Cut columns(Part part) {
    return Cut.columns(part.count());
  }

  /** Panels of channels in a group. */
  private long groupPanels() {
    return Math.max(1, GROUP / ((long) block * size * RegisterTile.WIDE_PITCH));
  }

  /** The panels {@code from .. to} of positions of every part. */
  private final class Piece {
    final long from;
    final long to;
    /** Rows of patches for each filter, of all panels of the parts before. */
    final int[] before = new int[parts.size() + 1];

    Piece(long from, long to) {
      this.from = from;
      this.to = to;
      for (int part = 0; part < parts.size(); part++) {
        before[part + 1] = before[part] + taps[part].length * panels(part);
      }
    }

    /** Panels of a part, of which there may be fewer than of others. */
    int panels(int part) {
      return (int) Math.max(0, Math.min(to, columns(parts.get(part)).count()) - from);
    }

    /** Where the patches of a panel are packed for the block from {@code filter} on: blocks outside, parts, panels inside. */
    int at(long filter, int part, int panel) {
      return START + WIDTH * (int) (filter * before[parts.size()] + count(filter) * (before[part] + (long) panel * taps[part].length));
    }

    void run() {
      try (Buffer patches = Buffer.of(START + WIDTH * depth * before[parts.size()])) {
        long blocks = Math.ceilDiv(depth, block);
        long items = (to - from) * blocks;
        Parallel.forRange(items, small ? Math.max(1, items) : 1, (first, end) -> {
          for (long i = first; i < end; i++) {
            packPatches((int) (i % (to - from)), i / (to - from) * block, patches.floats);
          }
        });
        long fewest = Math.ceilDiv(rows.count(), groupPanels());
        long groups = small ? fewest : Math.min(rows.count(), Math.ceilDiv(fewest, Threads.count()) * Threads.count());
        Parallel.forRange(groups, small ? groups : 1, (first, end) -> {
          try (Worker worker = new Worker(this, patches.floats, Math.ceilDiv(rows.count(), groups))) {
            for (long group = first; group < end; group++) {
              worker.multiply(rows.count() * group / groups, rows.count() * (group + 1) / groups);
            }
          }
        });
      }
    }

    private void packPatches(int panel, long filter, float[] to) {
      try (Buffer room = Buffer.of(Panels.ROOM)) {
        for (int part = 0; part < parts.size(); part++) {
          if (panel < panels(part)) {
            Cut cut = columns(parts.get(part));
            int taken = taps[part].length;
            parts.get(part).patches().pack(cut.start(from + panel), cut.lines(from + panel), filter * taken, count(filter) * taken, to,
                at(filter, part, panel), WIDTH, room.floats);
          }
        }
      }
    }
  }

  /** Filters in the block that starts with this one. */
  private int count(long filter) {
    return (int) Math.min(block, depth - filter);
  }

  /** What one thread does, in its own memory. */
  private final class Worker implements AutoCloseable {
    final Piece piece;
    final float[] patches;
    final Buffer packed;
    final Buffer tiles;
    final Buffer room = Buffer.of(Panels.ROOM);

    Worker(Piece piece, float[] patches, long panels) {
      this.piece = piece;
      this.patches = patches;
      this.packed = Buffer.of(START + panels * block * size * RegisterTile.WIDE_PITCH);
      long kept = depth > block ? panels * parts.size() * (piece.to - piece.from) : 1;
      // There is room to read ahead of the last tile, as many floats as a part of a block is long.
      this.tiles = Buffer.of(START + (kept + 1) * TILE + (long) block * size);
    }

    @Override
    public void close() {
      packed.close();
      tiles.close();
      room.close();
    }

    /** The panels {@code first .. end} of channels, one block of filters after another. */
    void multiply(long first, long end) {
      int step = depth > block ? TILE : 0;
      for (long filter = 0; filter == 0 || filter < depth; filter += block) {
        int count = count(filter);
        packFilters(first, end, filter, count);
        int tile = START;
        int before = 0;
        for (int part = 0; part < parts.size(); part++) {
          int taken = taps[part].length;
          for (int panel = 0; panel < piece.panels(part); panel++) {
            int at = piece.at(filter, part, panel);
            // Panels lie one after another, so the next begins where this one ends; a little of it is read beside each tile.
            int ahead = at + WIDTH * count * taken;
            for (long row = first; row < end; row++) {
              int next = ahead + RegisterTile.AHEAD * count * taken <= patches.length ? ahead : at;
              RegisterTile.run(rows.room(row), packed.floats, packedAt(first, row, count) + before * count * rows.pitch(row), patches, at,
                  count * taken, tiles.floats, tile, filter == 0, patches, next, tiles.floats, tile + step);
              if (filter + count == depth) {
                store(row, part, piece.from + panel, tile);
              }
              ahead += RegisterTile.AHEAD * count * taken;
              tile += step;
            }
          }
          before += taken;
        }
      }
    }

    private int packedAt(long first, long row, int count) {
      return START + (int) (rows.before(row) - rows.before(first)) * count * size;
    }

    private void packFilters(long first, long end, long filter, int count) {
      for (int i = 0; i < count; i += FilterPanels.FILTERS) {
        for (long row = first; row < end; row++) {
          filters.packParts(taps, rows.start(row), rows.lines(row), filter, i, Math.min(count, i + FilterPanels.FILTERS), count,
              packed.floats, packedAt(first, row, count), rows.pitch(row), room.floats);
        }
      }
    }

    private void store(long row, int part, long panel, int tile) {
      Cut columns = columns(parts.get(part));
      Tiles.exchange(parts.get(part).target(), rows.start(row), rows.lines(row), columns.start(panel), columns.lines(panel), tiles.floats,
          tile, true);
    }
  }
}
