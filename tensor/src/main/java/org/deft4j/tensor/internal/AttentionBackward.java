package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicIntegerArray;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;

import static org.deft4j.tensor.internal.AttentionTask.BLOCK;
import static org.deft4j.tensor.internal.AttentionTask.WIDTH;

/**
 * The gradients of attention, from scores computed anew: with {@code p = e^(score - lse)}, {@code dp = do v^T},
 * {@code delta = sum_d do o} and {@code ds = p (dp - delta)},
 *
 * <pre>
 *   dk^T = (scale q)^T ds   in strips of keys, blocks of queries
 *   dv^T = do^T p           with it
 *   dq^T = scale k^T ds^T   in strips of queries, blocks of keys, from the same ds, turned
 * </pre>
 *
 * <p>A task is a head and a group of blocks of keys, which it keeps packed, with their gradients, while it walks along the queries. Tasks of
 * one head add to the same dq, each query's part in the order of the keys: a task waits before a block of queries until the task before
 * it has done with that. Since tasks are taken in order, the first one under way never waits.
 */
final class AttentionBackward {
  private static final int LANES = Simd.LANES;
  /** Strips in a block. */
  private static final int STRIPS = BLOCK / WIDTH;
  /** Floats of packed keys and values and their gradients of one task: half of a second-level cache. */
  private static final int GROUP = 1 << 17;

  private final AttentionTask task;
  private final Tensor dO;
  private final Tensor q;
  private final Tensor k;
  private final Tensor v;
  private final Tensor dq;
  private final Tensor dk;
  private final Tensor dv;
  private final int width;
  private final Cut columnCut;
  /** Floats of a strip of a gradient. */
  private final int sumFloats;
  private final int queryBlocks;
  private final int groups;
  /** For each query of each head lse, and after them all delta. */
  private final float[] statistics;
  private final int deltas;
  /** Blocks of queries that each task has done. */
  private final AtomicIntegerArray progress;
  /** The sums of dq of each head that is under way. */
  private final Buffer[] queryGradients;

  AttentionBackward(AttentionTask task, Tensor[] in, Tensor[] out, float[] statistics) {
    this.task = task;
    this.dO = in[0];
    this.q = in[1];
    this.k = in[2];
    this.v = in[3];
    this.dq = out[0];
    this.dk = out[1];
    this.dv = out[2];
    this.width = task.width;
    this.columnCut = Cut.rows(width);
    this.sumFloats = AttentionTask.stripFloats(columnCut);
    this.queryBlocks = blocks(task.queries);
    this.groups = Math.max(1, Math.ceilDiv(blocks(task.keys), Math.max(1, GROUP / (4 * BLOCK * Math.max(1, width)))));
    this.statistics = statistics;
    int heads = Math.toIntExact(q.size(0) * task.heads);
    this.deltas = heads * task.queries;
    this.progress = new AtomicIntegerArray(heads * groups);
    this.queryGradients = new Buffer[heads];
  }

  private static int blocks(int length) {
    return Math.ceilDiv(length, BLOCK);
  }

  /** Computes all gradients, once the statistics are there. */
  void run() {
    Parallel.forRange(progress.length(), 1, (from, to) -> {
      for (int i = (int) from; i < to; i++) {
        int group = i % groups;
        int keyBlocks = blocks(task.keys);
        try (Group work = new Group(i / groups, keyBlocks * group / groups, keyBlocks * (group + 1) / groups)) {
          work.run(i, group == 0, group == groups - 1);
        } finally {
          // Even if it failed: nobody may wait for it.
          progress.set(i, Integer.MAX_VALUE);
        }
      }
    });
  }

  /** Fills the statistics of some strips. Where lse is minus infinity any finite number does: e^(-infinity - 0) = 0. */
  void prepare(Tensor o, Tensor lse, long head, int first, int end) {
    long[] steps = lse.strides();
    try (Buffer strips = Buffer.of(2L * width * WIDTH); Buffer room = Buffer.of((long) WIDTH * (width + LANES))) {
      float[] values = strips.floats;
      for (int s = first; s < end; s++) {
        int at = Math.toIntExact(head * task.queries) + s * WIDTH;
        int lanes = Math.min(WIDTH, task.queries - s * WIDTH);
        if (width > 0) {
          task.rows(dO, head).pack((long) s * WIDTH, lanes, 0, width, values, 0, WIDTH, room.floats);
          task.rows(o, head).pack((long) s * WIDTH, lanes, 0, width, values, width * WIDTH, WIDTH, room.floats);
        }
        for (int i = 0; i < WIDTH; i += LANES) {
          FloatVector delta = FloatVector.zero(Simd.FLOATS);
          for (int d = 0; d < width; d++) {
            delta = FloatVector.fromArray(Simd.FLOATS, values, d * WIDTH + i)
                .fma(FloatVector.fromArray(Simd.FLOATS, values, (width + d) * WIDTH + i), delta);
          }
          delta.intoArray(room.floats, i);
        }
        System.arraycopy(room.floats, 0, statistics, deltas + at, lanes);
        for (int i = 0; i < lanes; i++) {
          float value = lse.memory().getAtIndex(Simd.F32, task.start(lse, head) + ((long) s * WIDTH + i) * steps[2]);
          statistics[at + i] = value == Float.NEGATIVE_INFINITY ? 0f : value;
        }
      }
    }
  }

  /** Scores become p, and dp becomes ds, in one vector. */
  private static void differentiate(float[] scores, float[] dp, int at, FloatVector lse, FloatVector delta) {
    FloatVector p = MathVector.expOrZero(FloatVector.fromArray(Simd.FLOATS, scores, at).sub(lse));
    p.intoArray(scores, at);
    p.mul(FloatVector.fromArray(Simd.FLOATS, dp, at).sub(delta)).intoArray(dp, at);
  }

  /** One task: the blocks {@code first .. end} of keys of a head. */
  private final class Group implements AutoCloseable {
    final int head;
    final int first;
    final int end;
    /** Right sides: the strips of k, and those of v. */
    final Buffer keys;
    final Buffer values;
    /** Left sides: k^T, a block after the other. */
    final Buffer keyColumns;
    final Buffer keySums;
    final Buffer valueSums;
    /** Left sides, of one block of queries: scale q, do, and both turned. */
    final Buffer query = Buffer.of(AttentionTask.packedFloats(Cut.rows(BLOCK), width));
    final Buffer upstream = Buffer.of(AttentionTask.packedFloats(Cut.rows(BLOCK), width));
    final Buffer queryColumns = Buffer.of(AttentionTask.packedFloats(columnCut, BLOCK));
    final Buffer upstreamColumns = Buffer.of(AttentionTask.packedFloats(columnCut, BLOCK));
    /** Scores, then p; dp, then ds: a block of queries by a strip of keys. */
    final Buffer p = Buffer.of(AttentionTask.stripFloats(Cut.rows(BLOCK)));
    final Buffer ds = Buffer.of(AttentionTask.stripFloats(Cut.rows(BLOCK)));
    /** ds^T, right sides: for each strip of queries a block of keys. */
    final Buffer turned = Buffer.of((long) BLOCK * BLOCK);
    final Buffer room = Buffer.of((long) WIDTH * (Math.max(width, BLOCK) + LANES));

    Group(int head, int first, int end) {
      this.head = head;
      this.first = first;
      this.end = end;
      long strips = (long) (end - first) * STRIPS;
      this.keys = Buffer.of(strips * width * WIDTH);
      this.values = Buffer.of(strips * width * WIDTH);
      this.keyColumns = Buffer.of((end - first) * AttentionTask.packedFloats(columnCut, BLOCK));
      this.keySums = Buffer.of(strips * sumFloats);
      this.valueSums = Buffer.of(strips * sumFloats);
    }

    @Override
    public void close() {
      for (Buffer buffer : new Buffer[] {keys, values, keyColumns, keySums, valueSums, query, upstream, queryColumns,
          upstreamColumns, p, ds, turned, room}) {
        buffer.close();
      }
    }

    void run(int index, boolean isFirst, boolean isLast) {
      packKeys();
      if (isFirst) {
        int floats = queryBlocks * STRIPS * sumFloats;
        queryGradients[head] = Buffer.of(floats);
        Arrays.fill(queryGradients[head].floats, 0, floats, 0f);
      }
      // A causal query sees no later key: blocks of queries that lie before all of these keys are left out.
      for (int block = task.causal ? Math.min(first, queryBlocks) : 0; block < queryBlocks; block++) {
        packQueries(block);
        while (!isFirst && progress.get(index - 1) <= block) {
          Thread.onSpinWait();
        }
        for (int keyBlock = first; keyBlock < (task.causal ? Math.min(end, block + 1) : end); keyBlock++) {
          multiply(block, keyBlock);
        }
        progress.set(index, block + 1);
      }
      store(keySums, dk);
      store(valueSums, dv);
      while (!isFirst && progress.get(index - 1) < queryBlocks) {
        Thread.onSpinWait();
      }
      if (isLast) {
        try (Buffer sums = queryGradients[head]) {
          for (int s = 0; s * WIDTH < task.queries; s++) {
            AttentionTask.multiplyAll(sums.floats, s * sumFloats, width * WIDTH, task.scale);
            task.store(sums.floats, s * sumFloats, dq, head, s * WIDTH, Math.min(WIDTH, task.queries - s * WIDTH), room.floats);
          }
        }
      }
    }

    private void packKeys() {
      Panels key = task.rows(k, head);
      Panels value = task.rows(v, head);
      int strip = first * STRIPS;
      for (int s = strip; s < end * STRIPS && s * WIDTH < task.keys && width > 0; s++) {
        int lanes = Math.min(WIDTH, task.keys - s * WIDTH);
        key.pack((long) s * WIDTH, lanes, 0, width, keys.floats, (s - strip) * width * WIDTH, WIDTH, room.floats);
        value.pack((long) s * WIDTH, lanes, 0, width, values.floats, (s - strip) * width * WIDTH, WIDTH, room.floats);
      }
      Panels columns = task.columns(k, head);
      for (int block = first; block < end; block++) {
        AttentionTask.packLeft(columns, columnCut, 0, block * (long) BLOCK, count(block, task.keys), keyColumns.floats, columnsAt(block),
            room.floats);
      }
      int floats = (end - first) * STRIPS * sumFloats;
      Arrays.fill(keySums.floats, 0, floats, 0f);
      Arrays.fill(valueSums.floats, 0, floats, 0f);
    }

    private int columnsAt(int keyBlock) {
      return (int) ((keyBlock - first) * AttentionTask.packedFloats(columnCut, BLOCK));
    }

    private void packQueries(int block) {
      int from = block * BLOCK;
      int count = count(block, task.queries);
      Cut rows = Cut.rows(count);
      AttentionTask.packLeft(task.rows(q, head), rows, from, 0, width, query.floats, 0, room.floats);
      AttentionTask.packLeft(task.rows(dO, head), rows, from, 0, width, upstream.floats, 0, room.floats);
      AttentionTask.packLeft(task.columns(q, head), columnCut, 0, from, count, queryColumns.floats, 0, room.floats);
      AttentionTask.packLeft(task.columns(dO, head), columnCut, 0, from, count, upstreamColumns.floats, 0, room.floats);
      AttentionTask.multiplyAll(query.floats, 0, (int) AttentionTask.packedFloats(rows, width), task.scale);
      AttentionTask.multiplyAll(queryColumns.floats, 0, (int) AttentionTask.packedFloats(columnCut, count), task.scale);
    }

    private static int count(int block, int length) {
      return Math.min(BLOCK, length - block * BLOCK);
    }

    /** A block of queries with a block of keys. */
    private void multiply(int block, int keyBlock) {
      int count = count(block, task.queries);
      int keyCount = count(keyBlock, task.keys);
      for (int lane = 0; lane < keyCount; lane += WIDTH) {
        strip(block, count, keyBlock * BLOCK + lane, Math.min(WIDTH, keyCount - lane));
        for (int i = 0; i < count; i += WIDTH) {
          Transpose.lines(ds.floats, i * WIDTH, WIDTH, Math.min(WIDTH, count - i), WIDTH, turned.floats, i * BLOCK + lane * WIDTH, WIDTH);
        }
      }
      float[] sums = queryGradients[head].floats;
      for (int i = 0; i < count; i += WIDTH) {
        AttentionTask.multiply(columnCut, keyColumns.floats, columnsAt(keyBlock), keyCount, turned.floats, i * BLOCK, sums,
            (block * STRIPS + i / WIDTH) * sumFloats, false);
      }
    }

    /** p and ds of a block of queries with the strip of keys from {@code key} on, and what they add to dk and dv. */
    private void strip(int block, int count, int key, int lanes) {
      Cut rows = Cut.rows(count);
      int strip = key / WIDTH - first * STRIPS;
      int at = strip * width * WIDTH;
      AttentionTask.multiply(rows, query.floats, 0, width, keys.floats, at, p.floats, 0, true);
      task.mask(head, p.floats, block * BLOCK, count, key, lanes, true, ds.floats, room.floats);
      AttentionTask.multiply(rows, upstream.floats, 0, width, values.floats, at, ds.floats, 0, true);
      int statistic = head * task.queries + block * BLOCK;
      for (int i = 0; i < count; i++) {
        FloatVector lse = MathVector.splat(statistics[statistic + i]);
        FloatVector delta = MathVector.splat(statistics[deltas + statistic + i]);
        for (int lane = 0; lane < WIDTH; lane += LANES) {
          differentiate(p.floats, ds.floats, i * WIDTH + lane, lse, delta);
        }
      }
      AttentionTask.multiply(columnCut, queryColumns.floats, 0, count, ds.floats, 0, keySums.floats, strip * sumFloats, false);
      AttentionTask.multiply(columnCut, upstreamColumns.floats, 0, count, p.floats, 0, valueSums.floats, strip * sumFloats, false);
    }

    private void store(Buffer sums, Tensor to) {
      for (int s = first * STRIPS; s < end * STRIPS && s * WIDTH < task.keys; s++) {
        task.store(sums.floats, (s - first * STRIPS) * sumFloats, to, head, s * WIDTH, Math.min(WIDTH, task.keys - s * WIDTH),
            room.floats);
      }
    }
  }
}
