package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

import static org.deft4j.tensor.internal.Buffer.START;

/**
 * {@code t = scale u - x s}, {@code z = x + t l^T} in float32 as {@link VectorRankUpdate} does it, for wide s and l: there arithmetic takes
 * longer than to read x a second time, and s and l are too large to go through for every eight rows. So t is made for all rows by one {@link Product},
 * and {@code d = t l^T} by its tile, from l^T packed once, for a stretch of columns at a time, which then is added to x.
 */
final class WideRankUpdate {
  private static final int LANES = Simd.LANES;
  private static final int WIDTH = RegisterTile.WIDTH;
  /** Most rows that one thread works on together. */
  private static final int BLOCK = 64;
  /** Fewest rows of a block. */
  private static final int ROWS = 8;
  /** Panels of columns of which a block is computed before it is added to x, so that x and z are walked in longer runs. */
  private static final int STRETCH = 8;

  private final MemorySegment x;
  private final MemorySegment z;
  private final Tensor s;
  private final Tensor u;
  private final Tensor thin;
  private final double scale;
  private final long fromX;
  private final long fromZ;
  private final int n;
  private final int r;
  /** Panels of columns of z; the last is moved back to end with them. */
  private final int panels;
  /** l^T [r, n] in panels. */
  private final float[] l;

  private WideRankUpdate(double scale, Tensor[] in, Tensor[] out, float[] l) {
    this.x = in[0].memory();
    this.z = out[0].memory();
    this.s = in[1];
    this.u = in.length == 4 ? in[3] : null;
    this.thin = out[1];
    this.scale = scale;
    this.fromX = Float.BYTES * in[0].offset();
    this.fromZ = Float.BYTES * out[0].offset();
    this.n = Math.toIntExact(s.size(0));
    this.r = Math.toIntExact(s.size(1));
    this.panels = Math.ceilDiv(n, WIDTH);
    this.l = l;
  }

  /** Computes it; s has at least LANES rows. */
  static void run(double scale, Tensor[] in, Tensor[] out) {
    long n = in[1].size(0);
    long r = in[1].size(1);
    try (Buffer l = Buffer.of(START + (n + WIDTH) * r)) {
      WideRankUpdate update = new WideRankUpdate(scale, in, out, l.floats);
      Parallel.forRange(update.panels, Math.max(1, Math.ceilDiv(update.panels, Threads.count())),
          (from, to) -> update.pack(in[2], (int) from, (int) to));
      long rows = in[0].elementCount() / n;
      update.project(rows);
      long fair = (rows + Threads.count() - 1) / Threads.count();
      int block = (int) Math.min(BLOCK, (fair + ROWS - 1) / ROWS * ROWS);
      Parallel.forRange((rows + block - 1) / block, 1, (from, to) -> update.blocks(from, to, block, rows));
    }
  }

  private int start(int panel) {
    return Math.max(0, Math.min(panel * WIDTH, n - WIDTH));
  }

  private int panelAt(int panel) {
    return START + panel * WIDTH * r;
  }

  private void pack(Tensor thick, int from, int to) {
    Panels columns = MatrixPanels.of(thick.memory(), DType.F32, thick.offset(), n, r, 1);
    try (Buffer room = Buffer.of((long) WIDTH * r)) {
      for (int panel = from; panel < to; panel++) {
        columns.pack(start(panel), Math.min(WIDTH, n), 0, r, l, panelAt(panel), WIDTH, room.floats);
      }
    }
  }

  /** {@code x s}, in place of t. */
  private void project(long rows) {
    Panels left = MatrixPanels.of(x, DType.F32, fromX / Float.BYTES, rows, n, 1);
    Panels right = MatrixPanels.of(s.memory(), DType.F32, s.offset(), r, 1, r);
    Target removed = new Target.Matrix(thin.memory(), Float.BYTES * thin.offset(), (long) Float.BYTES * r, Float.BYTES);
    Product.run(left, right, rows, r, n, removed, null);
  }

  private void blocks(long from, long to, int block, long rows) {
    Cut cut = Cut.rows(block);
    try (Buffer t = Buffer.of(START + (long) block * r + LANES); Buffer packed = Buffer.of(START + cut.before(cut.count()) * r);
        Buffer sums = Buffer.of(START + (long) STRETCH * AttentionTask.stripFloats(cut))) {
      for (long i = from; i < to; i++) {
        block(i * block, (int) Math.min(block, rows - i * block), t.floats, packed.floats, sums.floats);
      }
    }
  }

  private void block(long first, int count, float[] t, float[] packed, float[] sums) {
    for (int i = 0; i < count; i++) {
      subtract(first + i, t, START + i * r);
    }
    Cut cut = Cut.rows(count);
    for (long panel = 0; panel < cut.count(); panel++) {
      Transpose.lines(t, START + (int) cut.start(panel) * r, r, cut.lines(panel), r, packed, START + (int) cut.before(panel) * r,
          cut.pitch(panel));
    }
    for (int panel = 0; panel < panels; panel += STRETCH) {
      stretch(first, cut, panel, Math.min(panels, panel + STRETCH), packed, sums);
    }
  }

  // The parts of a block are methods by themselves, for they run often: a block does not, and would be compiled late, and until then from within
  // one of its loops, to slower code.

  /** A row of t, in which there is that of x s. */
  private void subtract(long row, float[] t, int at) {
    for (int j = 0; j < r; j++) {
      long element = row * r + j;
      float less = thin.memory().getAtIndex(Simd.F32, thin.offset() + element);
      t[at + j] = u == null ? -less : (float) scale * u.memory().getAtIndex(Simd.F32, u.offset() + element) - less;
      thin.memory().setAtIndex(Simd.F32, thin.offset() + element, t[at + j]);
    }
  }

  /** Some panels of a block. */
  private void stretch(long first, Cut cut, int panel, int end, float[] packed, float[] sums) {
    int strip = AttentionTask.stripFloats(cut);
    for (int p = panel; p < end; p++) {
      AttentionTask.multiply(cut, packed, START, r, l, panelAt(p), sums, START + (p - panel) * strip, true);
    }
    for (int i = 0; i < cut.lines(); i++) {
      addRow((first + i) * n, panel, end, sums, START + i * WIDTH, strip);
    }
  }

  /**
   * {@code z = x + d} in one row of some panels, whose vectors overlap where they are narrower than two.
   *
   * @param row its first element
   * @param at where d of the first panel is; the next lies {@code strip} after it
   */
  private void addRow(long row, int from, int to, float[] d, int at, int strip) {
    int second = Math.min(WIDTH, n) - LANES;
    for (int panel = from; panel < to; panel++) {
      long bytes = Float.BYTES * (row + start(panel));
      int own = at + (panel - from) * strip;
      FloatVector left = Simd.load(x, fromX + bytes).add(FloatVector.fromArray(Simd.FLOATS, d, own));
      FloatVector right = Simd.load(x, fromX + bytes + (long) Float.BYTES * second).add(FloatVector.fromArray(Simd.FLOATS, d, own + second));
      Simd.store(left, z, fromZ + bytes);
      Simd.store(right, z, fromZ + bytes + (long) Float.BYTES * second);
    }
  }
}
