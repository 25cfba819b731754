package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Threads;

/**
 * {@code C = A B + bias} for an A of m x k and a B of k x n, both given as {@link Panels}, in tiles of {@link RegisterTile}.
 *
 * <pre>
 *             n                     The panels of one side are dealt out: a thread takes a group of them, packs a block
 *       +-----------+               of their k at a time into its own second-level cache, and multiplies them by every
 *     k | B  | | |  |               panel of the other side, which is shared: all threads pack it together, or each does
 *       +-----------+               so for itself, and it stays in the last cache. So each output is computed by
 *    k        ||                    one thread, its chain running over k in blocks, and going on from what C holds.
 *  +---+ +-----------+
 *  |---| |    ##     |
 * m| A | | C  ##     |              ## the tiles of a thread, if A is shared
 *  |---| |    ##     |
 *  +---+ +-----------+
 * </pre>
 *
 * <p>The side with fewer panels is shared, and the left one where it has but a few times as many: then the tiles that a thread computes
 * one after another lie side by side in the rows of C. Where both are large, the shared side is taken in pieces of {@link #SHARED} floats: some of
 * its panels and some of k, as many of each as make the least work.
 *
 * <p>Between the blocks of k a thread keeps its tiles of C side by side in an array, and writes them to C, with the bias, when they are
 * done.
 */
final class Product {
  /** The most k per block: a panel of rows then has 32 KiB, the size of the first-level cache. */
  private static final int DEPTH = 512;
  /** Floats of packed panels that share the last cache. */
  private static final long SHARED = 1 << 22;
  /**
   * The most floats of a group of panels of one thread: some half of a second-level cache. Each shared panel comes from the last cache or
   * from memory once for each group.
   */
  private static final int GROUP = 5 << 15;
  /** Multiplications that one thread does in some 30 microseconds. */
  private static final long ALONE = 1 << 21;
  /** Multiplications that take as long as to pack one element. */
  private static final long PACKING = 16;
  /** The most groups per thread that are made so that a thread that is held up does not hold up the others for long. */
  private static final int GROUPS_PER_THREAD = 2;
  /** The left side is shared if it has at most so many times the panels of the right one. */
  private static final int LEFT = 4;
  /** Pieces per thread of the packing of the shared side, if the threads pack it together. */
  private static final int PACKINGS_PER_THREAD = 4;
  /** The shared panels that a thread packs at a time, if it packs them for itself, just before it needs the first. */
  private static final int PACKED_TOGETHER = 4;
  /** Each thread packs the shared side for itself where that costs at most one part in so many of its multiplications. */
  private static final long AGAIN = 20;
  private static final int WIDTH = RegisterTile.WIDTH;

  /**
   * Added to each element last: one number a row, or one a column.
   *
   * @param start the byte of the first
   * @param step bytes from one to the next
   */
  record Bias(MemorySegment memory, long start, long step, boolean perRow) {
    float get(long index) {
      return memory.get(Simd.F32, start + index * step);
    }
  }

  private final Panels left;
  private final Panels right;
  private final Cut rows;
  private final Cut columns;
  private final long k;
  private final Target target;
  private final Bias bias;
  private final boolean leftShared;
  /** Whether waking other threads would take longer than doing it alone. */
  private final boolean small;
  /** k per block, the blocks being equal but for the last. */
  private final int block;

  private Product(Panels left, Panels right, long m, long n, long k, Target target, Bias bias) {
    this.left = left;
    this.right = right;
    this.rows = Cut.rows(m);
    this.columns = Cut.columns(n);
    this.k = k;
    this.target = target;
    this.bias = bias;
    this.leftShared = rows.count() <= LEFT * columns.count();
    this.small = (m * n + PACKING * (m + n)) * k < ALONE;
    long blocks = Math.max(1, (k + DEPTH - 1) / DEPTH);
    long even = Math.max(1, (k + blocks - 1) / blocks);
    this.block = (int) (even + Simd.LANES - 1) / Simd.LANES * Simd.LANES;
  }

  /** Computes it; {@code bias} may be null. */
  static void run(Panels left, Panels right, long m, long n, long k, Target target, Bias bias) {
    if (m > 0 && n > 0) {
      new Product(left, right, m, n, k, target, bias).run();
    }
  }

  /** Floats of working memory for packing. */
  private long room() {
    return Math.max(Panels.ROOM, (long) WIDTH * block);
  }

  /**
   * In pieces of those panels and that k which make the least work: C is read and written once more for each piece of k, the other side
   * packed once more for each piece of panels.
   */
  private void run() {
    Cut shared = leftShared ? rows : columns;
    Cut own = leftShared ? columns : rows;
    long bestPanels = shared.count();
    long bestK = block;
    long least = Long.MAX_VALUE;
    for (long someK = block; someK < k + block; someK += block) {
      long panels = Math.clamp(SHARED / (someK * shared.pitch(0)), 1, shared.count());
      long work = (pieces(k, someK) - 1) * 2 * rows.lines() * columns.lines() + pieces(shared.count(), panels) * own.lines() * k;
      if (work < least && (someK == block || panels * someK * shared.pitch(0) <= SHARED)) {
        least = work;
        bestPanels = panels;
        bestK = someK;
      }
    }
    run(bestPanels, bestK);
  }

  private static long pieces(long count, long most) {
    return (count + most - 1) / most;
  }

  /** In pieces of at most so many shared panels and so much k, as even as can be. */
  private void run(long mostPanels, long mostK) {
    long count = (leftShared ? rows : columns).count();
    long panels = pieces(count, pieces(count, mostPanels));
    long blocks = pieces(k, block);
    long pieceK = Math.max(1, pieces(blocks, Math.max(1, pieces(k, mostK)))) * block;
    for (long k0 = 0; k0 == 0 || k0 < k; k0 += pieceK) {
      for (long panel = 0; panel < count; panel += panels) {
        new Piece(panel, Math.min(count, panel + panels), k0, Math.min(k, k0 + pieceK)).run();
      }
    }
  }

  /** The panels {@code from .. to} of the shared side, k0 .. k1, times all of the other side. */
  private final class Piece {
    final long from;
    final long to;
    final long k0;
    final long k1;
    final Cut shared = leftShared ? rows : columns;
    final Cut own = leftShared ? columns : rows;
    /** Floats of all the panels, for each k. */
    final long perK;

    Piece(long from, long to, long k0, long k1) {
      this.from = from;
      this.to = to;
      this.k0 = k0;
      this.k1 = k1;
      this.perK = shared.before(to) - shared.before(from);
    }

    void run() {
      long groups = groups();
      if (packsForItself()) {
        Map<Thread, Packed> copies = new ConcurrentHashMap<>();
        try {
          multiply(groups, () -> copies.computeIfAbsent(Thread.currentThread(), _ -> new Packed(this)));
        } finally {
          copies.values().forEach(Packed::close);
        }
      } else {
        try (Packed packed = new Packed(this)) {
          packed.packAll();
          multiply(groups, () -> packed);
        }
      }
    }

    private void multiply(long groups, Supplier<Packed> packed) {
      Parallel.forRange(groups, small ? groups : 1, (first, end) -> {
        try (Worker worker = new Worker(this, packed.get(), tileFloats(groups))) {
          for (long group = first; group < end; group++) {
            worker.multiply(own.count() * group / groups, own.count() * (group + 1) / groups);
          }
        }
      });
    }

    /**
     * Whether each thread packs the shared side for itself. What another one has just packed lies in that one's cache, from where a line
     * takes longer than to pack it again: the fewer the threads, and the more is done with each panel, the less that costs.
     */
    private boolean packsForItself() {
      return small || AGAIN * PACKING * (Threads.count() - 1) <= own.lines();
    }

    /**
     * How many groups the own panels form: small enough for the cache, the same number for each thread, and large enough to read a shared
     * panel ahead while the one before it is in use.
     */
    private long groups() {
      long most = Math.max(1, GROUP / (block * own.pitch(0)));
      long fewest = pieces(own.count(), most);
      if (small) {
        return fewest;
      }
      long large = own.count() * RegisterTile.AHEAD / shared.pitch(0);
      long wanted = Math.clamp(large, Threads.count(), (long) GROUPS_PER_THREAD * Threads.count());
      return Math.min(own.count(), pieces(Math.max(fewest, wanted), Threads.count()) * Threads.count());
    }

    /** Floats for the tiles of a group, if they have to wait for another block of k, else for one tile; and to read ahead of the last. */
    private long tileFloats(long groups) {
      long tiles = k1 - k0 > block ? pieces(own.count(), groups) * (to - from) : 1;
      return Buffer.START + (tiles * RegisterTile.WIDE + 1) * WIDTH + block;
    }

    int depth(long k) {
      return (int) Math.min(block, k1 - k);
    }

    /** Where a shared panel of the block at k is packed: blocks of k outside, panels inside. */
    int at(long panel, long k) {
      return Buffer.START + (int) ((k - k0) * perK + (shared.before(panel) - shared.before(from)) * depth(k));
    }
  }

  /** The shared side of a piece, block of k by block of k: all panels of the first, then all of the second. */
  private final class Packed implements AutoCloseable {
    final Piece piece;
    final Buffer buffer;
    /** Panels times blocks of k. */
    final long items;
    /** How many of them are packed. */
    private long done;

    Packed(Piece piece) {
      this.piece = piece;
      this.buffer = Buffer.of(Buffer.START + piece.perK * (piece.k1 - piece.k0));
      this.items = (piece.to - piece.from) * pieces(piece.k1 - piece.k0, block);
    }

    @Override
    public void close() {
      buffer.close();
    }

    /** Packs everything, all threads together. */
    void packAll() {
      Parallel.forRange(items, Math.max(1, items / ((long) PACKINGS_PER_THREAD * Threads.count())), this::pack);
      done = items;
    }

    /** Packs this item and some after it, unless that has been done; those before it have been. */
    void require(long item) {
      if (item == done && item < items) {
        done = Math.min(items, item + PACKED_TOGETHER);
        pack(item, done);
      }
    }

    private void pack(long first, long end) {
      Panels side = leftShared ? left : right;
      long panels = piece.to - piece.from;
      try (Buffer room = Buffer.of(room())) {
        for (long i = first; i < end;) {
          long panel = piece.from + i % panels;
          long last = Math.min(piece.to, panel + end - i);
          long k = piece.k0 + i / panels * block;
          side.packAll(piece.shared, panel, last, k, piece.depth(k), buffer.floats, piece.at(panel, k), room.floats);
          i += last - panel;
        }
      }
    }
  }

  /** What one thread does, in its own memory. */
  private final class Worker implements AutoCloseable {
    final Piece piece;
    final Packed packed;
    final Buffer own = Buffer.of(Buffer.START + GROUP);
    final Buffer room = Buffer.of(room());
    /** Tiles of C, and after them a row for the bias. */
    final Buffer tiles;
    final int aside;

    Worker(Piece piece, Packed packed, long tileFloats) {
      this.piece = piece;
      this.packed = packed;
      this.tiles = Buffer.of(tileFloats);
      this.aside = (int) tileFloats - WIDTH;
    }

    @Override
    public void close() {
      own.close();
      room.close();
      tiles.close();
    }

    /** The own panels {@code first .. end} times all shared ones, one block of k after another. */
    void multiply(long first, long end) {
      Panels side = leftShared ? right : left;
      Cut cut = piece.own;
      float[] shared = packed.buffer.floats;
      long item = 0;
      boolean waits = piece.k1 - piece.k0 > block;
      for (long k = piece.k0; k == piece.k0 || k < piece.k1; k += block) {
        int depth = piece.depth(k);
        if (depth > 0) {
          side.packAll(cut, first, end, k, depth, own.floats, Buffer.START, room.floats);
        }
        int at = Buffer.START;
        int step = waits ? RegisterTile.WIDE * WIDTH : 0;
        for (long panel = piece.from; panel < piece.to; panel++) {
          int sharedAt = piece.at(panel, k);
          packed.require(item++);
          // Panels lie one after another, so the next begins where this one ends.
          int ahead = sharedAt + piece.shared.pitch(panel) * depth;
          for (long mine = first; mine < end; mine++) {
            int ownAt = Buffer.START + (int) (cut.before(mine) - cut.before(first)) * depth;
            int next = ahead + RegisterTile.AHEAD * depth <= shared.length ? ahead : sharedAt;
            if (leftShared) {
              tile(panel, shared, sharedAt, mine, own.floats, ownAt, k, depth, at, next, at + step);
            } else {
              tile(mine, own.floats, ownAt, panel, shared, sharedAt, k, depth, at, next, at + step);
            }
            ahead += RegisterTile.AHEAD * depth;
            at += step;
          }
        }
      }
    }

    /** One block of k for one tile of C, which waits at {@code at}; some of the shared panel to come, and of the next tile, is read ahead. */
    private void tile(long rowPanel, float[] a, int aAt, long columnPanel, float[] b, int bAt, long k, int depth, int at, int next,
        int nextTile) {
      boolean first = k == piece.k0;
      boolean last = k + depth == piece.k1;
      if (first && k > 0) {
        exchange(rowPanel, columnPanel, at, false);
      }
      RegisterTile.run(rows.room(rowPanel), a, aAt, b, bAt, depth, tiles.floats, at, k == 0, packed.buffer.floats, next, tiles.floats, nextTile);
      if (last) {
        if (bias != null && piece.k1 == Product.this.k) {
          addBias(rowPanel, columnPanel, at);
        }
        exchange(rowPanel, columnPanel, at, true);
      }
    }

    private void exchange(long rowPanel, long columnPanel, int at, boolean out) {
      Tiles.exchange(target, rows.start(rowPanel), rows.lines(rowPanel), columns.start(columnPanel), columns.lines(columnPanel),
          tiles.floats, at, out);
    }

    private void addBias(long rowPanel, long columnPanel, int at) {
      float[] c = tiles.floats;
      long row = rows.start(rowPanel);
      long column = columns.start(columnPanel);
      if (!bias.perRow() && bias.step() == Float.BYTES && columns.lines(columnPanel) == WIDTH) {
        for (int j = 0; j < WIDTH; j += Simd.LANES) {
          Simd.load(bias.memory(), bias.start() + (column + j) * Float.BYTES).intoArray(c, aside + j);
        }
      } else if (!bias.perRow()) {
        for (int j = 0; j < columns.lines(columnPanel); j++) {
          c[aside + j] = bias.get(column + j);
        }
      }
      for (int i = 0; i < rows.lines(rowPanel); i++) {
        FloatVector perRow = FloatVector.broadcast(Simd.FLOATS, bias.perRow() ? bias.get(row + i) : 0);
        for (int j = 0; j < WIDTH; j += Simd.LANES) {
          FloatVector added = bias.perRow() ? perRow : FloatVector.fromArray(Simd.FLOATS, c, aside + j);
          FloatVector.fromArray(Simd.FLOATS, c, at + i * WIDTH + j).add(added).intoArray(c, at + i * WIDTH + j);
        }
      }
    }
  }
}
