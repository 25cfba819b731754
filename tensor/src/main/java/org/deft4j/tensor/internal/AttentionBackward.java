package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicIntegerArray;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;

import static org.deft4j.tensor.internal.AttentionTask.BLOCK;
import static org.deft4j.tensor.internal.AttentionTask.WIDTH;
import static org.deft4j.tensor.internal.Buffer.START;

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
  private static final int QUERIES = ScalarAttention.QUERIES;
  /** Strips in a block. */
  private static final int STRIPS = BLOCK / WIDTH;
  /** Floats of packed keys and values and their gradients of one task: half of a second-level cache. */
  private static final int GROUP = 1 << 17;

  private final AttentionTask task;
  private final Tensor dO;
  private final Tensor q;
  private final Tensor k;
  private final Tensor v;
  private final Tensor o;
  private final Tensor lse;
  private final Tensor dq;
  private final Tensor dk;
  private final Tensor dv;
  private final int width;
  private final int pitch;
  private final Cut columnCut;
  /** Floats of a strip of a gradient. */
  private final int sumFloats;
  private final int queryBlocks;
  private final int keyBlocks;
  private final int groups;
  /** Blocks of queries that each task has done. */
  private final AtomicIntegerArray progress;
  /** The sums of dq of each head that is under way, where several tasks add to them. */
  private final Buffer[] queryGradients;

  AttentionBackward(AttentionTask task, Tensor[] in, Tensor[] out) {
    this.task = task;
    this.dO = in[0];
    this.q = in[1];
    this.k = in[2];
    this.v = in[3];
    this.o = in[4];
    this.lse = in[5];
    this.dq = out[0];
    this.dk = out[1];
    this.dv = out[2];
    this.width = task.width;
    this.pitch = HeadRows.pitch(width);
    this.columnCut = Cut.rows(width);
    this.sumFloats = AttentionTask.stripFloats(columnCut);
    this.queryBlocks = blocks(task.queries);
    this.keyBlocks = blocks(task.keys);
    this.groups = Math.max(1, Math.ceilDiv(keyBlocks, Math.max(1, GROUP / (4 * BLOCK * Math.max(1, width)))));
    int heads = Math.toIntExact(q.size(0) * task.heads);
    this.progress = new AtomicIntegerArray(heads * groups);
    this.queryGradients = new Buffer[heads];
  }

  private static int blocks(int length) {
    return Math.ceilDiv(length, BLOCK);
  }

  /** Computes all gradients. */
  void run() {
    Parallel.forRange(progress.length(), 1, (from, to) -> {
      for (int i = (int) from; i < to; i++) {
        int group = i % groups;
        try (Group work = new Group(i / groups, keyBlocks * group / groups, keyBlocks * (group + 1) / groups)) {
          work.run(i);
        } finally {
          // Even if it failed: nobody may wait for it.
          progress.set(i, Integer.MAX_VALUE);
        }
      }
    });
  }

  /** Scores become p, and dp becomes ds, in one vector. */
  private static void differentiate(float[] scores, float[] dp, int at, FloatVector lse, FloatVector delta) {
    FloatVector p = MathVector.expOrZero(FloatVector.fromArray(Simd.FLOATS, scores, at).sub(lse));
    p.intoArray(scores, at);
    p.mul(FloatVector.fromArray(Simd.FLOATS, dp, at).sub(delta)).intoArray(dp, at);
  }

  /** {@code to_i = sum_d a_di b_di}, a chain over d, in one vector of lanes. */
  private static void dots(float[] a, float[] b, int at, int pitch, int depth, float[] to, int toAt) {
    FloatVector sum = FloatVector.zero(Simd.FLOATS);
    for (int d = 0; d < depth; d++) {
      FloatVector x = FloatVector.fromArray(Simd.FLOATS, a, at + d * pitch);
      sum = x.fma(FloatVector.fromArray(Simd.FLOATS, b, at + d * pitch), sum);
    }
    sum.intoArray(to, toAt);
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
    final Buffer query = Buffer.of(START + AttentionTask.packedFloats(Cut.rows(BLOCK), width));
    final Buffer upstream = Buffer.of(START + AttentionTask.packedFloats(Cut.rows(BLOCK), width));
    final Buffer queryColumns = Buffer.of(START + AttentionTask.packedFloats(columnCut, BLOCK));
    final Buffer upstreamColumns = Buffer.of(START + AttentionTask.packedFloats(columnCut, BLOCK));
    /** lse and delta of the block of queries. */
    final float[] shifts = new float[BLOCK];
    final float[] deltas = new float[BLOCK + RegisterTile.WIDTH];
    /** Scores, then p; dp, then ds: a block of queries by a strip of keys. */
    final Buffer p = Buffer.of(START + AttentionTask.stripFloats(Cut.rows(BLOCK)));
    final Buffer ds = Buffer.of(START + AttentionTask.stripFloats(Cut.rows(BLOCK)));
    /** ds^T, right sides: for each strip of queries a block of keys. */
    final Buffer turned = Buffer.of(START + (long) BLOCK * BLOCK);
    /** dq of one block of queries, where no other task adds to it. */
    final Buffer queryGradient = Buffer.of(groups == 1 ? START + (long) STRIPS * sumFloats : 0);
    final Buffer room = Buffer.of(START + (long) BLOCK * Math.max(pitch, WIDTH) + LANES);

    Group(int head, int first, int end) {
      this.head = head;
      this.first = first;
      this.end = end;
      long strips = (long) (end - first) * STRIPS;
      this.keys = Buffer.of(START + strips * width * WIDTH);
      this.values = Buffer.of(START + strips * width * WIDTH);
      this.keyColumns = Buffer.of(START + (end - first) * AttentionTask.packedFloats(columnCut, BLOCK));
      this.keySums = Buffer.of(START + strips * sumFloats);
      this.valueSums = Buffer.of(START + strips * sumFloats);
    }

    @Override
    public void close() {
      for (Buffer buffer : new Buffer[] {keys, values, keyColumns, keySums, valueSums, query, upstream, queryColumns,
          upstreamColumns, p, ds, turned, queryGradient, room}) {
        buffer.close();
      }
    }

    /** Task {@code index}: waits for the one before where both are of this head. */
    void run(int index) {
      packKeys();
      boolean waits = first > 0;
      if (groups > 1 && !waits) {
        queryGradients[head] = Buffer.of(START + (long) queryBlocks * STRIPS * sumFloats);
      }
      // A causal query sees no later key: blocks of queries that lie before all of these keys are left out.
      for (int block = task.causal ? Math.min(first, queryBlocks) : 0; block < queryBlocks; block++) {
        packQueries(block);
        if (!waits) {
          Arrays.fill(querySums(), querySumsAt(block), querySumsAt(block) + STRIPS * sumFloats, 0f);
        }
        while (waits && progress.get(index - 1) <= block) {
          Thread.onSpinWait();
        }
        int visited = task.causal ? Math.min(keyBlocks, block + 1) : keyBlocks;
        for (int keyBlock = first; keyBlock < Math.min(end, visited); keyBlock++) {
          multiply(block, keyBlock);
        }
        if (visited <= end) {
          storeQueries(block);
        }
        progress.set(index, block + 1);
      }
      store(keySums, dk);
      store(valueSums, dv);
      while (waits && progress.get(index - 1) < queryBlocks) {
        Thread.onSpinWait();
      }
      if (groups > 1 && end == keyBlocks) {
        queryGradients[head].close();
      }
    }

    private void packKeys() {
      HeadRows key = HeadRows.of(k, head);
      HeadRows value = HeadRows.of(v, head);
      for (int block = first; block < end; block++) {
        int count = count(block, task.keys);
        int strip = (block - first) * STRIPS;
        key.read((long) block * BLOCK, count, 1f, room.floats, START);
        packStrips(count, keys.floats, strip);
        AttentionTask.packColumns(columnCut, room.floats, pitch, count, keyColumns.floats, columnsAt(block));
        value.read((long) block * BLOCK, count, 1f, room.floats, START);
        packStrips(count, values.floats, strip);
      }
      Arrays.fill(keySums.floats, 0f);
      Arrays.fill(valueSums.floats, 0f);
    }

    /** Lays the rows that were read out in strips. */
    private void packStrips(int count, float[] to, int strip) {
      for (int i = 0; i < count; i += WIDTH) {
        Transpose.lines(room.floats, START + i * pitch, pitch, Math.min(WIDTH, count - i), width, to,
            START + (strip + i / WIDTH) * width * WIDTH, WIDTH);
      }
    }

    private int columnsAt(int keyBlock) {
      return START + (int) ((keyBlock - first) * AttentionTask.packedFloats(columnCut, BLOCK));
    }

    /** Where dq of a block of queries is summed. */
    private float[] querySums() {
      return (groups == 1 ? queryGradient : queryGradients[head]).floats;
    }

    private int querySumsAt(int block) {
      return START + (groups == 1 ? 0 : block * STRIPS * sumFloats);
    }

    /** Packs a block of queries with what comes down to them, and computes their delta. */
    private void packQueries(int block) {
      int from = block * BLOCK;
      int count = count(block, task.queries);
      Cut rows = Cut.rows(count);
      // o is needed for delta alone, and lies where q will.
      HeadRows.of(o, head).read(from, count, 1f, room.floats, START);
      AttentionTask.packRows(rows, room.floats, pitch, width, query.floats, START);
      HeadRows.of(dO, head).read(from, count, 1f, room.floats, START);
      AttentionTask.packRows(rows, room.floats, pitch, width, upstream.floats, START);
      AttentionTask.packColumns(columnCut, room.floats, pitch, count, upstreamColumns.floats, START);
      for (long panel = 0; panel < rows.count(); panel++) {
        for (int lane = 0; lane < rows.lines(panel); lane += LANES) {
          dots(upstream.floats, query.floats, START + (int) rows.before(panel) * width + lane, rows.pitch(panel), width, deltas,
              (int) rows.start(panel) + lane);
        }
      }
      HeadRows.of(q, head).read(from, count, task.scale, room.floats, START);
      AttentionTask.packRows(rows, room.floats, pitch, width, query.floats, START);
      AttentionTask.packColumns(columnCut, room.floats, pitch, count, queryColumns.floats, START);
      long[] steps = lse.strides();
      long at = lse.offset() + head / task.heads * steps[0] + head % task.heads * steps[1] + from * steps[2];
      for (int i = 0; i < count; i++) {
        float value = lse.memory().getAtIndex(Simd.F32, at + i * steps[2]);
        // Where lse is minus infinity any finite number does: e^(-infinity - 0) = 0.
        shifts[i] = value == Float.NEGATIVE_INFINITY ? 0f : value;
      }
    }

    private static int count(int block, int length) {
      return Math.min(BLOCK, length - block * BLOCK);
    }

    /** A block of queries with a block of keys: the queries that see it, run by run. */
    private void multiply(int block, int keyBlock) {
      int count = count(block, task.queries);
      for (int from = 0; from < count; from += QUERIES) {
        int to = from;
        while (to < count && task.sees(head, block * BLOCK + to, keyBlock * BLOCK)) {
          to = Math.min(count, to + QUERIES);
        }
        if (to > from) {
          multiply(block, from, to, keyBlock);
          from = to;
        }
      }
    }

    /** The queries {@code from .. to} of a block with a block of keys. */
    private void multiply(int block, int from, int to, int keyBlock) {
      int keyCount = count(keyBlock, task.keys);
      for (int lane = 0; lane < keyCount; lane += WIDTH) {
        int lanes = Math.min(WIDTH, keyCount - lane);
        strip(block, from, to, keyBlock * BLOCK + lane, lanes);
        for (int i = from; i < to; i += WIDTH) {
          Transpose.lines(ds.floats, START + i * WIDTH, WIDTH, Math.min(WIDTH, to - i), HeadRows.pitch(lanes), turned.floats,
              START + i * BLOCK + lane * WIDTH, WIDTH);
        }
      }
      for (int i = from; i < to; i += WIDTH) {
        AttentionTask.multiply(columnCut, keyColumns.floats, columnsAt(keyBlock), keyCount, turned.floats, START + i * BLOCK, querySums(),
            querySumsAt(block) + i / WIDTH * sumFloats, false);
      }
    }

    /** p and ds of these queries of a block with the strip of keys from {@code key} on, and what they add to dk and dv. */
    private void strip(int block, int from, int to, int key, int lanes) {
      int count = count(block, task.queries);
      Cut rows = Cut.rows(count);
      int strip = key / WIDTH - first * STRIPS;
      int at = START + strip * width * WIDTH;
      AttentionTask.multiplyRows(rows, from, to, query.floats, START, width, keys.floats, at, lanes, p.floats, START);
      task.mask(head, p.floats, block * BLOCK, count, key, lanes, ds.floats, room.floats);
      AttentionTask.multiplyRows(rows, from, to, upstream.floats, START, width, values.floats, at, lanes, ds.floats, START);
      for (int i = from; i < to; i++) {
        FloatVector shift = MathVector.splat(shifts[i]);
        FloatVector delta = MathVector.splat(deltas[i]);
        for (int lane = 0; lane < lanes; lane += LANES) {
          differentiate(p.floats, ds.floats, START + i * WIDTH + lane, shift, delta);
        }
      }
      int sums = START + strip * sumFloats;
      AttentionTask.addProduct(columnCut, from, to, queryColumns.floats, START, count, ds.floats, START, lanes, keySums.floats,
          sums);
      AttentionTask.addProduct(columnCut, from, to, upstreamColumns.floats, START, count, p.floats, START, lanes, valueSums.floats,
          sums);
    }

    /** dq of a block of queries, which all keys have been added to. */
    private void storeQueries(int block) {
      float[] sums = querySums();
      for (int i = 0; i < count(block, task.queries); i += WIDTH) {
        int at = querySumsAt(block) + i / WIDTH * sumFloats;
        AttentionTask.multiplyAll(sums, at, width * WIDTH, task.scale);
        int query = block * BLOCK + i;
        task.store(sums, at, dq, head, query, Math.min(WIDTH, task.queries - query), room.floats);
      }
    }

    private void store(Buffer sums, Tensor to) {
      for (int s = first * STRIPS; s < end * STRIPS && s * WIDTH < task.keys; s++) {
        task.store(sums.floats, START + (s - first * STRIPS) * sumFloats, to, head, s * WIDTH, Math.min(WIDTH, task.keys - s * WIDTH),
            room.floats);
      }
    }
  }
}
