package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;

import static org.deft4j.tensor.internal.AttentionTask.BLOCK;
import static org.deft4j.tensor.internal.AttentionTask.WIDTH;
import static org.deft4j.tensor.internal.Buffer.START;

/**
 * {@code o = softmax(scale q k^T + mask) v}, block of keys by block of keys, with the running maximum m and sum l of the online
 * softmax (Milakov and Gimelshein 2018) in each lane; what was summed under an older maximum is rescaled.
 */
final class AttentionForward implements AutoCloseable {
  private static final int LANES = Simd.LANES;
  /** Floats that are read at a time: enough to wait for memory once for many rows. */
  private static final int READ = 1 << 13;

  private final AttentionTask task;
  private final long head;
  private final int first;
  private final int end;
  private final int width;
  private final int pitch;
  /** Strips whose queries are read at a time. */
  private final int read;
  /** Strips whose state is kept while the keys go by. */
  private final int together;
  private final Cut valueRows;
  private final int strip;
  private final Buffer query;
  private final Buffer key;
  private final Buffer value;
  private final Buffer scores = Buffer.of(START + AttentionTask.stripFloats(Cut.rows(BLOCK)));
  private final Buffer work = Buffer.of(START + (long) BLOCK * WIDTH);
  private final Buffer room;
  private final Buffer output;
  /** m and l of each strip, one after the other. */
  private final Buffer state;
  /** Whether a strip has seen a block of keys. */
  private final boolean[] started;
  /** The maxima with the block of keys at hand, and its sums. */
  private final float[] next = new float[2 * WIDTH];
  /** The block of keys that is packed, by its first key. */
  private int packed = -1;

  /** The strips {@code first .. end} of queries of a head. */
  AttentionForward(AttentionTask task, long head, int first, int end) {
    this.task = task;
    this.head = head;
    this.first = first;
    this.end = end;
    this.width = task.width;
    this.pitch = HeadRows.pitch(width);
    this.read = Math.clamp(READ / (WIDTH * Math.max(1, pitch)), 1, end - first);
    // With one block of keys nothing has to be kept, and a strip is done with while it is in the cache.
    this.together = task.keys <= BLOCK ? read : end - first;
    this.valueRows = Cut.fewestRows(width);
    this.strip = AttentionTask.stripFloats(valueRows);
    this.query = Buffer.of(START + (long) together * width * WIDTH);
    this.key = Buffer.of(START + AttentionTask.packedFloats(Cut.rows(BLOCK), width));
    this.value = Buffer.of(START + AttentionTask.packedFloats(valueRows, BLOCK));
    this.room = Buffer.of(START + (long) Math.max(BLOCK, read * WIDTH) * Math.max(pitch, WIDTH) + LANES);
    this.output = Buffer.of(START + (long) together * strip);
    this.state = Buffer.of(START + 2L * together * WIDTH);
    this.started = new boolean[together];
  }

  @Override
  public void close() {
    for (Buffer buffer : new Buffer[] {query, key, value, scores, work, room, output, state}) {
      buffer.close();
    }
  }

  void run(Tensor q, Tensor k, Tensor v, Tensor o, Tensor lse) {
    for (int s = first; s < end; s += together) {
      int last = Math.min(end, s + together);
      start(s, last, HeadRows.of(q, head));
      for (int from = 0; from == 0 || visits(last - 1, from); from += BLOCK) {
        for (int i = s; i < last; i++) {
          if (visits(i, from) && task.sees(head, i * WIDTH, from)) {
            packKeys(from, HeadRows.of(k, head), HeadRows.of(v, head));
            block(i, i - s, from);
          }
          // A strip is stored as soon as it is done with, so that memory takes one while the next is computed.
          if ((from == 0 || visits(i, from)) && !visits(i, from + BLOCK)) {
            finish(i, i - s, o, lse);
          }
        }
      }
    }
  }

  /** Whether a query of strip s sees the block of keys from {@code from} on. */
  private boolean visits(int s, int from) {
    return from < task.keys && (!task.causal || from < (s + 1) * WIDTH);
  }

  /** Packs the queries of the strips {@code s .. last}; nothing is seen yet. */
  private void start(int s, int last, HeadRows queries) {
    for (int i = s; i < last; i++) {
      if ((i - s) % read == 0) {
        int end = Math.min(task.queries, Math.min(last, i + read) * WIDTH);
        queries.read((long) i * WIDTH, end - i * WIDTH, task.scale, room.floats, START);
      }
      Transpose.lines(room.floats, START + (i - s) % read * WIDTH * pitch, pitch, lanes(i), width, query.floats, queryAt(i - s), WIDTH);
      int at = stateAt(i - s);
      Arrays.fill(state.floats, at, at + WIDTH, Float.NEGATIVE_INFINITY);
      Arrays.fill(state.floats, at + WIDTH, at + 2 * WIDTH, 0f);
    }
    Arrays.fill(started, false);
  }

  private void packKeys(int from, HeadRows keys, HeadRows values) {
    if (packed == from) {
      return;
    }
    int count = keys(from);
    keys.read(from, count, 1f, room.floats, START);
    AttentionTask.packRows(Cut.rows(count), room.floats, pitch, width, key.floats, START);
    values.read(from, count, 1f, room.floats, START);
    AttentionTask.packColumns(valueRows, room.floats, pitch, count, value.floats, START);
    packed = from;
  }

  /** Queries in strip s. */
  private int lanes(int s) {
    return Math.min(WIDTH, task.queries - s * WIDTH);
  }

  /** Keys in the block that starts at {@code from}. */
  private int keys(int from) {
    return Math.min(BLOCK, task.keys - from);
  }

  private int queryAt(int index) {
    return START + index * width * WIDTH;
  }

  private int outputAt(int index) {
    return START + index * strip;
  }

  private int stateAt(int index) {
    return START + index * 2 * WIDTH;
  }

  /** One block of keys for one strip of queries, the one at {@code index} of those that are kept. */
  private void block(int s, int index, int from) {
    float[] p = scores.floats;
    int count = keys(from);
    AttentionTask.multiply(Cut.rows(count), key.floats, START, width, query.floats, queryAt(index), p, START, true);
    task.mask(head, p, from, count, s * WIDTH, lanes(s), work.floats, room.floats);
    int at = stateAt(index);
    for (int lane = 0; lane < WIDTH; lane += LANES) {
      maxima(p, START + lane, count, state.floats, at + lane, next, lane);
      exponentials(p, START + lane, count, next, lane);
    }
    // The first block finds nothing to rescale.
    update(state.floats, at, next, output.floats, outputAt(index), started[index] ? width : 0);
    AttentionTask.multiply(valueRows, value.floats, START, count, p, START, output.floats, outputAt(index), !started[index]);
    started[index] = true;
  }

  /**
   * The largest of m and the scores of one vector of lanes; NaN is passed over. Four chains, since each step waits for the comparison
   * before; that they may find another zero than one chain would changes nothing in what is computed from it.
   */
  private static void maxima(float[] p, int from, int count, float[] m, int at, float[] next, int nextAt) {
    FloatVector a = FloatVector.fromArray(Simd.FLOATS, m, at);
    FloatVector b = a;
    FloatVector c = a;
    FloatVector d = a;
    int i = 0;
    for (; i < count - 3; i += 4) {
      int row = from + i * WIDTH;
      FloatVector x = FloatVector.fromArray(Simd.FLOATS, p, row);
      a = a.blend(x, a.lt(x));
      x = FloatVector.fromArray(Simd.FLOATS, p, row + WIDTH);
      b = b.blend(x, b.lt(x));
      x = FloatVector.fromArray(Simd.FLOATS, p, row + 2 * WIDTH);
      c = c.blend(x, c.lt(x));
      x = FloatVector.fromArray(Simd.FLOATS, p, row + 3 * WIDTH);
      d = d.blend(x, d.lt(x));
    }
    for (; i < count; i++) {
      FloatVector x = FloatVector.fromArray(Simd.FLOATS, p, from + i * WIDTH);
      a = a.blend(x, a.lt(x));
    }
    a = a.blend(b, a.lt(b));
    c = c.blend(d, c.lt(d));
    a.blend(c, a.lt(c)).intoArray(next, nextAt);
  }

  /** What a maximum takes away. Where nothing was seen yet, any finite number will do: e^(-infinity - 0) = 0. */
  private static FloatVector shift(FloatVector max) {
    return max.blend(0f, max.eq(Float.NEGATIVE_INFINITY));
  }

  /** Turns the scores of one vector of lanes into exponentials, and puts their sums after the maxima in {@code next}. */
  private static void exponentials(float[] p, int from, int count, float[] next, int at) {
    FloatVector shift = shift(FloatVector.fromArray(Simd.FLOATS, next, at));
    FloatVector sum = FloatVector.zero(Simd.FLOATS);
    for (int i = 0; i < count; i++) {
      FloatVector e = MathVector.expOrZero(FloatVector.fromArray(Simd.FLOATS, p, from + i * WIDTH).sub(shift));
      e.intoArray(p, from + i * WIDTH);
      sum = sum.add(e);
    }
    sum.intoArray(next, at + WIDTH);
  }

  /** Brings m, l and {@code rescaled} rows of the output up to the maxima and sums in {@code next}. */
  private static void update(float[] state, int at, float[] next, float[] output, int outputAt, int rescaled) {
    for (int lane = 0; lane < WIDTH; lane += LANES) {
      FloatVector max = FloatVector.fromArray(Simd.FLOATS, next, lane);
      FloatVector correction = MathVector.expOrZero(FloatVector.fromArray(Simd.FLOATS, state, at + lane).sub(shift(max)));
      max.intoArray(state, at + lane);
      FloatVector sum = FloatVector.fromArray(Simd.FLOATS, next, WIDTH + lane);
      FloatVector.fromArray(Simd.FLOATS, state, at + WIDTH + lane).fma(correction, sum).intoArray(state, at + WIDTH + lane);
      for (int i = 0; i < rescaled; i++) {
        int row = outputAt + lane + i * WIDTH;
        FloatVector.fromArray(Simd.FLOATS, output, row).mul(correction).intoArray(output, row);
      }
    }
  }

  /** {@code o = o (1 / l)}, {@code lse = m + log l}; a row that saw nothing is 0 and minus infinity. */
  private void finish(int s, int index, Tensor o, Tensor lse) {
    if (!started[index]) {
      Arrays.fill(output.floats, outputAt(index), outputAt(index) + width * WIDTH, 0f);
    }
    for (int lane = 0; lane < WIDTH; lane += LANES) {
      divide(output.floats, outputAt(index) + lane, width, state.floats, stateAt(index) + lane);
    }
    int lanes = lanes(s);
    task.store(output.floats, outputAt(index), o, head, s * WIDTH, lanes, room.floats);
    long to = lse.offset() + head * task.queries + (long) s * WIDTH;
    MemorySegment.copy(state.floats, stateAt(index), lse.memory(), Simd.F32, Float.BYTES * to, lanes);
  }

  /** In one vector of lanes; m becomes lse. */
  private static void divide(float[] output, int at, int width, float[] state, int stateAt) {
    FloatVector l = FloatVector.fromArray(Simd.FLOATS, state, stateAt + WIDTH);
    FloatVector factor = FloatVector.broadcast(Simd.FLOATS, 1f).div(l).blend(0f, l.eq(0f));
    for (int i = 0; i < width; i++) {
      FloatVector.fromArray(Simd.FLOATS, output, at + i * WIDTH).mul(factor).intoArray(output, at + i * WIDTH);
    }
    FloatVector sum = FloatVector.fromArray(Simd.FLOATS, state, stateAt).add(MathVector.log(l));
    sum.blend(Float.NEGATIVE_INFINITY, l.eq(0f)).intoArray(state, stateAt);
  }
}
