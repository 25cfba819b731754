package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

import static org.deft4j.tensor.internal.Buffer.START;

/**
 * What the forward and the backward pass of attention share: B H heads, each of T queries and S keys of D numbers.
 *
 * <p>Vectors lie along the queries (or along the keys, for the gradients of keys and values): a strip of WIDTH of them is the right
 * side of each product, in columns; the others come in blocks of {@link #BLOCK}, as rows of the left side. So a tile of scores
 * stands as the next product wants it, and maxima, exponentials and sums run in every lane for itself.
 *
 * <pre>
 *    keys   +---------+   x   queries q^T  D x WIDTH    =   scores  BLOCK x WIDTH
 *    BLOCK  |    D    |
 *           +---------+
 *    values +---------+   x   e^scores  BLOCK x WIDTH   =   o^T     D x WIDTH
 *    v^T  D |  BLOCK  |
 *           +---------+
 * </pre>
 */
final class AttentionTask {
  /**
   * Queries or keys in a block; part of the definition of the result's bits. Strips of 8, 16 and 32 do not cross its
   * border, so that causal attention leaves out whole blocks for all of a strip.
   */
  static final int BLOCK = ScalarAttention.BLOCK;

  static final int WIDTH = RegisterTile.WIDTH;
  /** Floats of strips that one thread works on, so that each packed block is used by many of them. */
  private static final int STRIPS = 1 << 18;

  final float scale;
  final boolean causal;
  final long heads;
  final int queries;
  final int keys;
  final int width;
  private final boolean lanesAreKeys;
  /** A mask of numbers to add, or null. */
  private final Tensor mask;
  private final long[] maskSteps;
  /** A mask of BOOL, or null. */
  private final AttentionMask allowed;

  /** With {@code mask}, or null; queries lie along the lanes of scores unless {@code lanesAreKeys}. */
  AttentionTask(double scale, boolean causal, Tensor q, Tensor k, Tensor mask, boolean lanesAreKeys) {
    this.scale = (float) scale;
    this.causal = causal;
    this.heads = q.size(1);
    this.queries = Math.toIntExact(q.size(2));
    this.keys = Math.toIntExact(k.size(2));
    this.width = Math.toIntExact(q.size(3));
    this.lanesAreKeys = lanesAreKeys;
    boolean allows = mask != null && mask.dtype() == DType.BOOL;
    this.mask = allows ? null : mask;
    this.maskSteps = mask == null ? null : Strides.stretched(mask, 4);
    this.allowed = allows ? new AttentionMask(mask, maskSteps, q.size(0), heads, queries, keys, lanesAreKeys) : null;
  }

  /** Works on strips {@code first .. end} of a head. */
  @FunctionalInterface
  interface Strips {
    /** Does it. */
    void run(long head, int first, int end);
  }

  /** Deals out the strips over {@code length} lanes of all {@code count} heads, as many of one head together as is good. */
  void forStrips(long count, int length, Strips body) {
    int strips = (length + WIDTH - 1) / WIDTH;
    long fair = (count * strips + 4L * Threads.count() - 1) / (4L * Threads.count());
    long most = Math.clamp(fair, 1, Math.max(1, STRIPS / (2 * WIDTH * Math.max(1, width))));
    int groups = (int) ((strips + most - 1) / most);
    Parallel.forRange(count * groups, 1, (from, to) -> {
      for (long task = from; task < to; task++) {
        int group = (int) (task % groups);
        body.run(task / groups, (int) ((long) strips * group / groups), (int) ((long) strips * (group + 1) / groups));
      }
    });
  }

  /** Lays {@code depth} numbers of each row that was read to {@code rows} out as the left side of a product, cut by {@code cut}. */
  static void packRows(Cut cut, float[] rows, int pitch, int depth, float[] to, int at) {
    for (long panel = 0; panel < cut.count() && depth > 0; panel++) {
      Transpose.lines(rows, START + (int) cut.start(panel) * pitch, pitch, cut.lines(panel), depth, to, at + (int) cut.before(panel) * depth,
          cut.pitch(panel));
    }
  }

  /** Lays rows that were read to {@code rows} out as the turned left side of a product: their numbers are cut by {@code cut}. */
  static void packColumns(Cut cut, float[] rows, int pitch, int depth, float[] to, int at) {
    for (long panel = 0; panel < cut.count(); panel++) {
      int from = START + (int) cut.start(panel);
      int into = at + (int) cut.before(panel) * depth;
      int step = cut.pitch(panel);
      for (int lane = 0; lane < cut.lines(panel); lane += Simd.LANES) {
        copyColumn(rows, from + lane, pitch, depth, to, into + lane, step);
      }
    }
  }

  private static void copyColumn(float[] from, int start, int length, int count, float[] to, int at, int pitch) {
    for (int i = 0; i < count; i++) {
      FloatVector.fromArray(Simd.FLOATS, from, start + i * length).intoArray(to, at + i * pitch);
    }
  }

  /** {@code c = a b} or {@code c += a b}: packed rows times a strip of {@code depth} rows. */
  static void multiply(Cut cut, float[] a, int aAt, int depth, float[] b, int bAt, float[] c, int cAt, boolean first) {
    for (long panel = 0; panel < cut.count(); panel++) {
      RegisterTile.run(cut.room(panel), a, aAt + (int) cut.before(panel) * depth, b, bAt, depth, c,
          cAt + (int) cut.start(panel) * WIDTH, first);
    }
  }

  /** {@code c = a b} for the panels that hold the rows {@code from .. to}, if not for some rows beside them, and so many lanes of b. */
  static void multiplyRows(Cut cut, int from, int to, float[] a, int aAt, int depth, float[] b, int bAt, int lanes, float[] c, int cAt) {
    for (long panel = 0; panel < cut.count() && cut.start(panel) < to; panel++) {
      if (cut.start(panel) + cut.room(panel) > from) {
        tile(cut.room(panel), a, aAt + (int) cut.before(panel) * depth, b, bAt, lanes, depth, c,
            cAt + (int) cut.start(panel) * WIDTH, true);
      }
    }
  }

  /** {@code c += a b} with the columns {@code from .. to} of a and those rows of b, of {@code depth}, and so many lanes of b. */
  static void addProduct(Cut cut, int from, int to, float[] a, int aAt, int depth, float[] b, int bAt, int lanes, float[] c, int cAt) {
    for (long panel = 0; panel < cut.count(); panel++) {
      tile(cut.room(panel), a, aAt + (int) cut.before(panel) * depth + from * cut.pitch(panel), b, bAt + from * WIDTH, lanes, to - from, c,
          cAt + (int) cut.start(panel) * WIDTH, false);
    }
  }

  private static void tile(int rows, float[] a, int aAt, float[] b, int bAt, int lanes, int depth, float[] c, int cAt, boolean first) {
    if (rows == RegisterTile.WIDE && lanes <= Simd.LANES) {
      RegisterTile.left(a, aAt, b, bAt, depth, c, cAt, first);
    } else {
      RegisterTile.run(rows, a, aAt, b, bAt, depth, c, cAt, first);
    }
  }

  /** Floats of a strip of the rows of {@code cut}; the last tile may be taller than what is left of them. */
  static int stripFloats(Cut cut) {
    return (int) (cut.lines() + RegisterTile.WIDE) * WIDTH;
  }

  /** Floats of packed rows. */
  static long packedFloats(Cut cut, int depth) {
    return cut.before(cut.count()) * depth;
  }

  static void multiplyAll(float[] values, int from, int count, float factor) {
    for (int i = from; i < from + count; i += Simd.LANES) {
      FloatVector.fromArray(Simd.FLOATS, values, i).mul(factor).intoArray(values, i);
    }
  }

  /** Whether the group of this query visits the block of this key, as far as the mask goes. */
  boolean sees(long head, int query, int key) {
    return allowed == null || !allowed.hides(head, query, key);
  }

  /**
   * Applies the mask and causality to scores: row i of {@code scores}, which start at {@code START}, is key (or query, if lanes are keys)
   * {@code row + i}, its lanes are the queries (or keys) from {@code lane} on.
   *
   * @param work memory for rows x WIDTH floats
   */
  void mask(long head, float[] scores, int row, int rows, int lane, int lanes, float[] work, float[] room) {
    if (allowed != null) {
      allowed.apply(head, scores, row, rows, lane);
    }
    if (mask != null) {
      long rowStep = lanesAreKeys ? maskSteps[2] : maskSteps[3];
      long laneStep = lanesAreKeys ? maskSteps[3] : maskSteps[2];
      long start = mask.offset() + head / heads * maskSteps[0] + head % heads * maskSteps[1] + row * rowStep + lane * laneStep;
      MatrixPanels.of(mask.memory(), mask.dtype(), start, lanes, laneStep, rowStep).pack(0, lanes, 0, rows, work, START, WIDTH, room);
      for (int i = START; i < START + rows * WIDTH; i += Simd.LANES) {
        FloatVector.fromArray(Simd.FLOATS, scores, i).add(FloatVector.fromArray(Simd.FLOATS, work, i)).intoArray(scores, i);
      }
    }
    // Key s is hidden from query t if s > t.
    if (causal && (lanesAreKeys ? lane + WIDTH > row : row + rows > lane)) {
      for (int i = 0; i < rows; i++) {
        int from = START + i * WIDTH + (lanesAreKeys ? Math.clamp((long) row + i - lane + 1, 0, WIDTH) : 0);
        int to = START + i * WIDTH + (lanesAreKeys ? WIDTH : Math.clamp((long) row + i - lane, 0, WIDTH));
        Arrays.fill(scores, from, Math.max(from, to), Float.NEGATIVE_INFINITY);
      }
    }
  }

  /** Writes a strip [D, WIDTH] as rows of D: lane i goes to row {@code lane + i} of a head of a contiguous tensor. */
  void store(float[] strip, int at, Tensor to, long head, int lane, int lanes, float[] room) {
    int pitch = HeadRows.pitch(width);
    Transpose.lines(strip, at, WIDTH, width, WIDTH, room, START, pitch);
    long first = Float.BYTES * (to.offset() + (head * to.size(2) + lane) * width);
    // Where rows lie side by side in both, they are one run.
    int rows = pitch == width ? lanes : 1;
    for (int i = 0; i < lanes; i += rows) {
      MemorySegment.copy(room, START + i * pitch, to.memory(), Simd.F32, first + (long) Float.BYTES * i * width, rows * width);
    }
  }
}
