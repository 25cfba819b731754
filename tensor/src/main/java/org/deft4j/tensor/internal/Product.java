package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Threads;

/**
 * {@code C = A B + bias} for an A of m x k and a B of k x n, both given as {@link Panels}, in tiles of {@link RegisterTile}.
 *
 * <pre>
 *             n                     One side is shared: it is packed first, by all threads, to stay in the last cache.
 *       +-----------+               The panels of the other side are dealt out: a thread takes a group of them, packs
 *     k | B  | | |  |               a block of their k at a time into its own second-level cache, and multiplies them by
 *       +-----------+               every panel of the shared side. So each output is computed by one thread, its chain
 *    k        ||                    running over k in blocks, and going on from what C holds.
 *  +---+ +-----------+
 *  |---| |    ##     |
 * m| A | | C  ##     |              ## the tiles of a thread, if A is shared
 *  |---| |    ##     |
 *  +---+ +-----------+
 * </pre>
 *
 * <p>The side with fewer panels is shared. Where both are large, the shared side is taken in pieces of {@link #SHARED} floats.
 */
final class Product {
  /** The most k per block: a panel of 14 rows then has 32 KiB, the size of the first-level cache. */
  private static final int DEPTH = 512;
  /** Floats of packed panels that share the last cache. */
  private static final long SHARED = 1 << 22;
  /** Floats of a group of panels of one thread: a quarter of a second-level cache. */
  private static final int GROUP = 1 << 16;
  /** Floats of working memory that every packing may count on. */
  private static final long ROOM = 1 << 12;
  /** Multiplications that one thread does in some 30 microseconds. */
  private static final long ALONE = 1 << 21;
  /** Groups per thread, so that a thread that is held up does not hold up the others for long. */
  private static final int GROUPS_PER_THREAD = 4;
  private static final int WIDTH = RegisterTile.WIDTH;

  /**
   * Added to each element last: one number a row, or one a column.
   *
   * @param start the byte of the first
   * @param step bytes from one to the next
   */
  record Bias(MemorySegment memory, long start, long step, boolean perRow) {
    private float get(long index) {
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
    this.leftShared = rows.count() <= columns.count();
    this.small = m * n * k < ALONE;
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
    return Math.max(ROOM, (long) WIDTH * block);
  }

  private void run() {
    Cut shared = leftShared ? rows : columns;
    // Whole blocks of k; more than one piece of k only if not even one panel of all k fits.
    long pieceK = Math.clamp(k, 1, SHARED / shared.pitch(0) / block * block);
    long piecePanels = Math.min(shared.count(), SHARED / (pieceK * shared.pitch(0)));
    for (long k0 = 0; k0 == 0 || k0 < k; k0 += pieceK) {
      for (long panel = 0; panel < shared.count(); panel += piecePanels) {
        new Piece(panel, Math.min(shared.count(), panel + piecePanels), k0, Math.min(k, k0 + pieceK)).run();
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
      try (Buffer packed = Buffer.of(perK * (k1 - k0))) {
        long blocks = Math.max(1, (k1 - k0 + block - 1) / block);
        long items = (to - from) * blocks;
        Parallel.forRange(items, grain(items), (first, end) -> packShared(first, end, packed.floats));
        long groups = groups();
        Parallel.forRange(groups, small ? groups : 1, (first, end) -> {
          try (Worker worker = new Worker(this, packed.floats)) {
            for (long group = first; group < end; group++) {
              worker.multiply(own.count() * group / groups, own.count() * (group + 1) / groups);
            }
          }
        });
      }
    }

    /** All at once for one thread, if it is little; else a few pieces for each. */
    private long grain(long items) {
      return small ? items : Math.max(1, items / ((long) GROUPS_PER_THREAD * Threads.count()));
    }

    /** How many groups the own panels form: small enough for the cache, and the same number for each thread. */
    private long groups() {
      long most = Math.max(1, GROUP / (block * own.pitch(0)));
      long wanted = Math.max((own.count() + most - 1) / most, small ? 1 : (long) GROUPS_PER_THREAD * Threads.count());
      long even = (wanted + Threads.count() - 1) / Threads.count() * Threads.count();
      return Math.min(own.count(), small ? wanted : even);
    }

    int depth(long k) {
      return (int) Math.min(block, k1 - k);
    }

    /** Where a shared panel of the block at k is packed: blocks of k outside, panels inside. */
    int at(long panel, long k) {
      return (int) ((k - k0) * perK + (shared.before(panel) - shared.before(from)) * depth(k));
    }

    private void packShared(long first, long end, float[] packed) {
      Panels side = leftShared ? left : right;
      try (Buffer room = Buffer.of(room())) {
        for (long i = first; i < end && k0 < k1; i++) {
          long panel = from + i % (to - from);
          long k = k0 + i / (to - from) * block;
          side.pack(shared.start(panel), shared.lines(panel), k, depth(k), packed, at(panel, k), shared.pitch(panel),
              room.floats);
        }
      }
    }
  }

  /** What one thread does, in its own memory. */
  private final class Worker implements AutoCloseable {
    final Piece piece;
    final float[] shared;
    final Buffer own = Buffer.of(GROUP);
    final Buffer room = Buffer.of(room());
    final Buffer tile = Buffer.of((RegisterTile.WIDE + 1L) * WIDTH);

    Worker(Piece piece, float[] shared) {
      this.piece = piece;
      this.shared = shared;
    }

    @Override
    public void close() {
      own.close();
      room.close();
      tile.close();
    }

    /** The own panels {@code first .. end} times all shared ones, one block of k after another. */
    void multiply(long first, long end) {
      Panels side = leftShared ? right : left;
      Cut cut = piece.own;
      long base = cut.before(first);
      for (long k = piece.k0; k == piece.k0 || k < piece.k1; k += block) {
        int depth = piece.depth(k);
        for (long panel = first; panel < end && depth > 0; panel++) {
          side.pack(cut.start(panel), cut.lines(panel), k, depth, own.floats, (int) (cut.before(panel) - base) * depth,
              cut.pitch(panel), room.floats);
        }
        for (long panel = piece.from; panel < piece.to; panel++) {
          int sharedAt = piece.at(panel, k);
          for (long mine = first; mine < end; mine++) {
            int ownAt = (int) (cut.before(mine) - base) * depth;
            if (leftShared) {
              tile(panel, shared, sharedAt, mine, own.floats, ownAt, k, depth);
            } else {
              tile(mine, own.floats, ownAt, panel, shared, sharedAt, k, depth);
            }
          }
        }
      }
    }

    /** One tile of C, one block of k. */
    private void tile(long rowPanel, float[] a, int aAt, long columnPanel, float[] b, int bAt, long k, int depth) {
      long row = rows.start(rowPanel);
      long column = columns.start(columnPanel);
      int height = rows.lines(rowPanel);
      int width = columns.lines(columnPanel);
      if (k > 0) {
        exchange(row, height, column, width, false);
      }
      RegisterTile.run(rows.room(rowPanel), a, aAt, b, bAt, depth, tile.floats, 0, k == 0);
      if (bias != null && k + depth == Product.this.k) {
        addBias(row, height, column, width);
      }
      exchange(row, height, column, width, true);
    }

    private void addBias(long row, int height, long column, int width) {
      float[] c = tile.floats;
      int aside = RegisterTile.WIDE * WIDTH;
      for (int j = 0; j < width && !bias.perRow(); j++) {
        c[aside + j] = bias.get(column + j);
      }
      for (int i = 0; i < height; i++) {
        FloatVector perRow = FloatVector.broadcast(Simd.FLOATS, bias.perRow() ? bias.get(row + i) : 0);
        for (int j = 0; j < WIDTH; j += Simd.LANES) {
          FloatVector added = bias.perRow() ? perRow : FloatVector.fromArray(Simd.FLOATS, c, aside + j);
          FloatVector.fromArray(Simd.FLOATS, c, i * WIDTH + j).add(added).intoArray(c, i * WIDTH + j);
        }
      }
    }

    /** Copies the tile to C, or C to the tile, a run of columns at a time. */
    private void exchange(long row, int height, long column, int width, boolean out) {
      MemorySegment memory = target.memory();
      float[] c = tile.floats;
      for (int j = 0; j < width;) {
        int run = (int) Math.min(width - j, target.run(column + j));
        long at = target.at(row, column + j);
        if (run == WIDTH) {
          exchangeWhole(memory, at, target.rowStep(), height, c, out);
          return;
        }
        for (int i = 0; i < height; i++) {
          long inC = at + i * target.rowStep();
          for (int x = i * WIDTH + j; x < i * WIDTH + j + run; x++, inC += Float.BYTES) {
            if (out) {
              memory.set(Simd.F32, inC, c[x]);
            } else {
              c[x] = memory.get(Simd.F32, inC);
            }
          }
        }
        j += run;
      }
    }

    private static void exchangeWhole(MemorySegment memory, long at, long step, int height, float[] c, boolean out) {
      for (int i = 0; i < height; i++) {
        long inC = at + i * step;
        if (out) {
          FloatVector.fromArray(Simd.FLOATS, c, i * WIDTH).intoMemorySegment(memory, inC, Simd.ORDER);
          FloatVector.fromArray(Simd.FLOATS, c, i * WIDTH + Simd.LANES)
              .intoMemorySegment(memory, inC + Simd.BYTES, Simd.ORDER);
        } else {
          Simd.load(memory, inC).intoArray(c, i * WIDTH);
          Simd.load(memory, inC + Simd.BYTES).intoArray(c, i * WIDTH + Simd.LANES);
        }
      }
    }
  }
}
