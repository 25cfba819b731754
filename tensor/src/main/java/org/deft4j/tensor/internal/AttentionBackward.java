package org.deft4j.tensor.internal;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;

import static org.deft4j.tensor.internal.AttentionTask.BLOCK;
import static org.deft4j.tensor.internal.AttentionTask.WIDTH;

/**
 * The gradients of attention, from scores computed anew: with {@code p = e^(score - lse)}, {@code dp = do v^T},
 * {@code delta = sum_d do o} and {@code ds = p (dp - delta)},
 *
 * <pre>
 *   dq^T = scale k^T ds^T   in strips of queries, blocks of keys
 *   dk^T = (scale q)^T ds   in strips of keys, blocks of queries
 *   dv^T = do^T p           with it
 * </pre>
 *
 * <p>Scores are computed twice, once along the queries and once along the keys, so that no two threads add to one gradient.
 */
final class AttentionBackward {
  private static final int LANES = Simd.LANES;

  private final AttentionTask task;
  private final Tensor dO;
  private final Tensor q;
  private final Tensor k;
  private final Tensor v;
  private final int width;
  /** For each query of each head lse, and after them all delta. */
  private final float[] statistics;
  private final int deltas;

  AttentionBackward(AttentionTask task, Tensor[] in, float[] statistics) {
    this.task = task;
    this.dO = in[0];
    this.q = in[1];
    this.k = in[2];
    this.v = in[3];
    this.width = task.width;
    this.statistics = statistics;
    this.deltas = Math.toIntExact(q.size(0) * task.heads) * task.queries;
  }

  /** Fills the statistics of some strips. Where lse is minus infinity any finite number does: e^(-infinity - 0) = 0. */
  void prepare(Tensor o, Tensor lse, long head, int first, int end) {
    long[] steps = lse.strides();
    try (Work work = new Work(width, 2)) {
      for (int s = first; s < end; s++) {
        int at = Math.toIntExact(head * task.queries) + s * WIDTH;
        int lanes = Math.min(WIDTH, task.queries - s * WIDTH);
        work.strip(task.rows(dO, head), s, lanes, 0);
        work.strip(task.rows(o, head), s, lanes, 1);
        float[] strips = work.strips.floats;
        for (int i = 0; i < lanes; i++) {
          float delta = 0f;
          for (int d = 0; d < width; d++) {
            delta = Math.fma(strips[d * WIDTH + i], strips[(width + d) * WIDTH + i], delta);
          }
          statistics[deltas + at + i] = delta;
          float value = lse.memory().getAtIndex(Simd.F32, task.start(lse, head) + ((long) s * WIDTH + i) * steps[2]);
          statistics[at + i] = value == Float.NEGATIVE_INFINITY ? 0f : value;
        }
      }
    }
  }

  /** The gradient of some strips of queries. */
  void queries(Tensor dq, long head, int first, int end) {
    try (Work work = new Work(width, 2 * (end - first))) {
      Panels query = task.rows(q, head);
      Panels upstream = task.rows(dO, head);
      for (int s = first; s < end; s++) {
        int lanes = Math.min(WIDTH, task.queries - s * WIDTH);
        work.strip(query, s, lanes, 2 * (s - first));
        work.scale(2 * (s - first), task.scale);
        work.strip(upstream, s, lanes, 2 * (s - first) + 1);
      }
      for (int from = 0; from < task.keys && !(task.causal && from >= end * WIDTH); from += BLOCK) {
        int count = Math.min(BLOCK, task.keys - from);
        work.rows(task.rows(k, head), from, count, 0);
        work.rows(task.rows(v, head), from, count, 1);
        work.columns(task.columns(k, head), from, count, 0);
        for (int s = first; s < end; s++) {
          if (!task.causal || from < (s + 1) * WIDTH) {
            queryBlock(work, head, first, s, from, count);
          }
        }
      }
      for (int s = first; s < end; s++) {
        int at = work.sum(2 * (s - first));
        AttentionTask.multiplyAll(work.sums.floats, at, width * WIDTH, task.scale);
        task.store(work.sums.floats, at, dq, head, s * WIDTH, Math.min(WIDTH, task.queries - s * WIDTH), work.room.floats);
      }
    }
  }

  private void queryBlock(Work work, long head, int first, int s, int from, int count) {
    int lanes = Math.min(WIDTH, task.queries - s * WIDTH);
    work.scores(count, 2 * (s - first));
    task.mask(head, work.scores.floats, from, count, s * WIDTH, lanes, false, work.more.floats, work.room.floats);
    work.upstreams(count, 2 * (s - first) + 1);
    int at = Math.toIntExact(head * task.queries) + s * WIDTH;
    float[] aside = work.aside.floats;
    System.arraycopy(statistics, at, aside, 0, lanes);
    System.arraycopy(statistics, deltas + at, aside, WIDTH, lanes);
    for (int lane = 0; lane < WIDTH; lane += LANES) {
      FloatVector lse = FloatVector.fromArray(Simd.FLOATS, aside, lane);
      FloatVector delta = FloatVector.fromArray(Simd.FLOATS, aside, WIDTH + lane);
      for (int i = lane; i < count * WIDTH; i += WIDTH) {
        differentiate(work.scores.floats, work.more.floats, i, lse, delta);
      }
    }
    work.add(0, count, work.more.floats, 2 * (s - first));
  }

  /** The gradients of some strips of keys and values. */
  void keys(Tensor dk, Tensor dv, long head, int first, int end) {
    try (Work work = new Work(width, 2 * (end - first))) {
      Panels key = task.rows(k, head);
      Panels value = task.rows(v, head);
      for (int s = first; s < end; s++) {
        int lanes = Math.min(WIDTH, task.keys - s * WIDTH);
        work.strip(key, s, lanes, 2 * (s - first));
        work.strip(value, s, lanes, 2 * (s - first) + 1);
      }
      // A causal query sees no later key: blocks of queries that lie before all of these keys are left out.
      int start = task.causal ? first * WIDTH / BLOCK * BLOCK : 0;
      for (int from = start; from < task.queries; from += BLOCK) {
        int count = Math.min(BLOCK, task.queries - from);
        work.rows(task.rows(q, head), from, count, 0);
        work.rows(task.rows(dO, head), from, count, 1);
        work.columns(task.columns(q, head), from, count, 0);
        work.columns(task.columns(dO, head), from, count, 1);
        AttentionTask.multiplyAll(work.rows[0].floats, 0, work.rowFloats(count), task.scale);
        AttentionTask.multiplyAll(work.columns[0].floats, 0, work.columnFloats(count), task.scale);
        for (int s = first; s < end; s++) {
          if (!task.causal || from + BLOCK > s * WIDTH) {
            keyBlock(work, head, first, s, from, count);
          }
        }
      }
      for (int s = first; s < end; s++) {
        int lanes = Math.min(WIDTH, task.keys - s * WIDTH);
        task.store(work.sums.floats, work.sum(2 * (s - first)), dk, head, s * WIDTH, lanes, work.room.floats);
        task.store(work.sums.floats, work.sum(2 * (s - first) + 1), dv, head, s * WIDTH, lanes, work.room.floats);
      }
    }
  }

  private void keyBlock(Work work, long head, int first, int s, int from, int count) {
    work.scores(count, 2 * (s - first));
    task.mask(head, work.scores.floats, from, count, s * WIDTH, Math.min(WIDTH, task.keys - s * WIDTH), true, work.more.floats,
        work.room.floats);
    work.upstreams(count, 2 * (s - first) + 1);
    int at = Math.toIntExact(head * task.queries) + from;
    for (int i = 0; i < count; i++) {
      FloatVector lse = MathVector.splat(statistics[at + i]);
      FloatVector delta = MathVector.splat(statistics[deltas + at + i]);
      for (int lane = 0; lane < WIDTH; lane += LANES) {
        differentiate(work.scores.floats, work.more.floats, i * WIDTH + lane, lse, delta);
      }
    }
    work.add(0, count, work.more.floats, 2 * (s - first));
    work.add(1, count, work.scores.floats, 2 * (s - first) + 1);
  }

  /** Scores become p, and dp becomes ds, in one vector. */
  private static void differentiate(float[] scores, float[] dp, int at, FloatVector lse, FloatVector delta) {
    FloatVector p = MathVector.expOrZero(FloatVector.fromArray(Simd.FLOATS, scores, at).sub(lse));
    p.intoArray(scores, at);
    p.mul(FloatVector.fromArray(Simd.FLOATS, dp, at).sub(delta)).intoArray(dp, at);
  }

  /** The memory of one thread: strips (right sides) and their sums, two kinds of packed rows and columns (left sides). */
  private static final class Work implements AutoCloseable {
    final int width;
    final Cut columnCut;
    final int sumFloats;
    final Buffer strips;
    final Buffer sums;
    final Buffer[] rows = new Buffer[2];
    final Buffer[] columns = new Buffer[2];
    final Buffer scores = Buffer.of(AttentionTask.stripFloats(Cut.rows(BLOCK)));
    final Buffer more = Buffer.of(AttentionTask.stripFloats(Cut.rows(BLOCK)));
    final Buffer aside = Buffer.of(2L * WIDTH);
    final Buffer room;

    Work(int width, int count) {
      this.width = width;
      this.columnCut = Cut.rows(width);
      this.sumFloats = AttentionTask.stripFloats(columnCut);
      this.strips = Buffer.of((long) count * width * WIDTH);
      this.sums = Buffer.of((long) count * sumFloats);
      Arrays.fill(sums.floats, 0, count * sumFloats, 0f);
      for (int i = 0; i < 2; i++) {
        rows[i] = Buffer.of(AttentionTask.packedFloats(Cut.rows(BLOCK), width));
        columns[i] = Buffer.of(AttentionTask.packedFloats(columnCut, BLOCK));
      }
      this.room = Buffer.of((long) WIDTH * (Math.max(width, BLOCK) + LANES));
    }

    @Override
    public void close() {
      for (Buffer buffer : new Buffer[] {strips, sums, rows[0], rows[1], columns[0], columns[1], scores, more, aside, room}) {
        buffer.close();
      }
    }

    int rowFloats(int count) {
      return (int) AttentionTask.packedFloats(Cut.rows(count), width);
    }

    int columnFloats(int count) {
      return (int) AttentionTask.packedFloats(columnCut, count);
    }

    /** Packs strip {@code s} of {@code side} as right side {@code slot}. */
    void strip(Panels side, int s, int lanes, int slot) {
      if (width > 0) {
        side.pack((long) s * WIDTH, lanes, 0, width, strips.floats, slot * width * WIDTH, WIDTH, room.floats);
      }
    }

    void scale(int slot, float factor) {
      AttentionTask.multiplyAll(strips.floats, slot * width * WIDTH, width * WIDTH, factor);
    }

    void rows(Panels side, int from, int count, int kind) {
      AttentionTask.packLeft(side, Cut.rows(count), from, 0, width, rows[kind].floats, room.floats);
    }

    void columns(Panels side, int from, int count, int kind) {
      AttentionTask.packLeft(side, columnCut, 0, from, count, columns[kind].floats, room.floats);
    }

    /** The first rows times a strip. */
    void scores(int count, int slot) {
      AttentionTask.multiply(Cut.rows(count), rows[0].floats, width, strips.floats, slot * width * WIDTH, scores.floats, 0, true);
    }

    /** The second rows times a strip. */
    void upstreams(int count, int slot) {
      AttentionTask.multiply(Cut.rows(count), rows[1].floats, width, strips.floats, slot * width * WIDTH, more.floats, 0, true);
    }

    int sum(int slot) {
      return slot * sumFloats;
    }

    /** Adds columns of a kind times a block of p or ds to a sum. */
    void add(int kind, int count, float[] block, int slot) {
      AttentionTask.multiply(columnCut, columns[kind].floats, count, block, 0, sums.floats, sum(slot), false);
    }
  }
}
