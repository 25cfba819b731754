package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;

import static org.deft4j.tensor.internal.AttentionTask.BLOCK;
import static org.deft4j.tensor.internal.AttentionTask.WIDTH;

/**
 * {@code o = softmax(scale q k^T + mask) v}, block of keys by block of keys, with the running maximum m and sum l of the online
 * softmax (Milakov and Gimelshein 2018) in each lane; what was summed under an older maximum is rescaled.
 */
final class AttentionForward implements AutoCloseable {
  private static final int LANES = Simd.LANES;

  private final AttentionTask task;
  private final long head;
  private final int first;
  private final int end;
  private final int width;
  private final Cut keyRows = Cut.rows(BLOCK);
  private final Cut valueRows;
  private final int strip;
  private final Buffer query;
  private final Buffer key;
  private final Buffer value;
  private final Buffer scores = Buffer.of(AttentionTask.stripFloats(keyRows));
  private final Buffer work = Buffer.of((long) BLOCK * WIDTH);
  private final Buffer room;
  private final Buffer output;
  /** m and l of each strip, one after the other. */
  private final Buffer state;

  /** The strips {@code first .. end} of queries of a head. */
  AttentionForward(AttentionTask task, long head, int first, int end) {
    this.task = task;
    this.head = head;
    this.first = first;
    this.end = end;
    this.width = task.width;
    this.valueRows = Cut.rows(width);
    this.strip = AttentionTask.stripFloats(valueRows);
    int count = end - first;
    this.query = Buffer.of((long) count * width * WIDTH);
    this.key = Buffer.of(AttentionTask.packedFloats(keyRows, width));
    this.value = Buffer.of(AttentionTask.packedFloats(valueRows, BLOCK));
    this.room = Buffer.of((long) WIDTH * (Math.max(width, BLOCK) + LANES));
    this.output = Buffer.of((long) count * strip);
    this.state = Buffer.of(2L * count * WIDTH);
  }

  @Override
  public void close() {
    for (Buffer buffer : new Buffer[] {query, key, value, scores, work, room, output, state}) {
      buffer.close();
    }
  }

  void run(Tensor q, Tensor k, Tensor v, Tensor o, Tensor lse) {
    Panels queries = task.rows(q, head);
    for (int s = first; s < end; s++) {
      int at = (s - first) * width * WIDTH;
      if (width > 0) {
        queries.pack((long) s * WIDTH, lanes(s), 0, width, query.floats, at, WIDTH, room.floats);
        AttentionTask.multiplyAll(query.floats, at, width * WIDTH, task.scale);
      }
      int state = (s - first) * 2 * WIDTH;
      java.util.Arrays.fill(this.state.floats, state, state + WIDTH, Float.NEGATIVE_INFINITY);
      java.util.Arrays.fill(this.state.floats, state + WIDTH, state + 2 * WIDTH, 0f);
    }
    if (task.keys == 0) {
      java.util.Arrays.fill(output.floats, 0, (end - first) * strip, 0f);
    }
    Panels keys = task.rows(k, head);
    Panels values = task.columns(v, head);
    for (int from = 0; from < task.keys; from += BLOCK) {
      if (task.causal && from >= end * WIDTH) {
        break;
      }
      int count = Math.min(BLOCK, task.keys - from);
      Cut rows = Cut.rows(count);
      AttentionTask.packLeft(keys, rows, from, 0, width, key.floats, 0, room.floats);
      AttentionTask.packLeft(values, valueRows, 0, from, count, value.floats, 0, room.floats);
      for (int s = first; s < end; s++) {
        if (!task.causal || from < (s + 1) * WIDTH) {
          block(s, rows, from, count);
        }
      }
    }
    for (int s = first; s < end; s++) {
      finish(s, o, lse);
    }
  }

  private int lanes(int s) {
    return Math.min(WIDTH, task.queries - s * WIDTH);
  }

  /** One block of keys for one strip of queries. */
  private void block(int s, Cut rows, int from, int count) {
    float[] p = scores.floats;
    AttentionTask.multiply(rows, key.floats, 0, width, query.floats, (s - first) * width * WIDTH, p, 0, true);
    task.mask(head, p, from, count, s * WIDTH, lanes(s), false, work.floats, room.floats);
    int at = (s - first) * strip;
    // The first block finds nothing to bring up to date.
    int rescaled = from == 0 ? 0 : width;
    for (int lane = 0; lane < WIDTH; lane += LANES) {
      softmax(p, count, lane, state.floats, (s - first) * 2 * WIDTH + lane, output.floats, at + lane, rescaled);
    }
    AttentionTask.multiply(valueRows, value.floats, 0, count, p, 0, output.floats, at, from == 0);
  }

  /** Turns scores into exponentials in one vector of lanes, and brings m, l and the output up to date. */
  private static void softmax(float[] p, int count, int lane, float[] state, int at, float[] output, int outputAt, int rescaled) {
    FloatVector before = FloatVector.fromArray(Simd.FLOATS, state, at);
    FloatVector max = before;
    for (int i = 0; i < count; i++) {
      FloatVector score = FloatVector.fromArray(Simd.FLOATS, p, lane + i * WIDTH);
      max = max.blend(score, max.lt(score));
    }
    // Where nothing was seen yet, any finite number will do: e^(-infinity - 0) = 0.
    FloatVector shift = max.blend(0f, max.eq(Float.NEGATIVE_INFINITY));
    FloatVector correction = MathVector.expOrZero(before.sub(shift));
    FloatVector sum = FloatVector.zero(Simd.FLOATS);
    for (int i = 0; i < count; i++) {
      FloatVector e = MathVector.expOrZero(FloatVector.fromArray(Simd.FLOATS, p, lane + i * WIDTH).sub(shift));
      e.intoArray(p, lane + i * WIDTH);
      sum = sum.add(e);
    }
    max.intoArray(state, at);
    FloatVector.fromArray(Simd.FLOATS, state, at + WIDTH).fma(correction, sum).intoArray(state, at + WIDTH);
    for (int i = 0; i < rescaled; i++) {
      FloatVector.fromArray(Simd.FLOATS, output, outputAt + i * WIDTH).mul(correction).intoArray(output, outputAt + i * WIDTH);
    }
  }

  /** {@code o = o (1 / l)}, {@code lse = m + log l}; a row that saw nothing is 0 and minus infinity. */
  private void finish(int s, Tensor o, Tensor lse) {
    int m = (s - first) * 2 * WIDTH;
    for (int lane = 0; lane < WIDTH; lane += LANES) {
      FloatVector l = FloatVector.fromArray(Simd.FLOATS, state.floats, m + WIDTH + lane);
      FloatVector factor = FloatVector.broadcast(Simd.FLOATS, 1f).div(l).blend(0f, l.eq(0f));
      for (int i = 0; i < width; i++) {
        int at = (s - first) * strip + i * WIDTH + lane;
        FloatVector.fromArray(Simd.FLOATS, output.floats, at).mul(factor).intoArray(output.floats, at);
      }
    }
    task.store(output.floats, (s - first) * strip, o, head, s * WIDTH, lanes(s), room.floats);
    for (int i = 0; i < lanes(s); i++) {
      float l = state.floats[m + WIDTH + i];
      lse.memory().setAtIndex(Simd.F32, lse.offset() + head * task.queries + (long) s * WIDTH + i,
          l == 0f ? Float.NEGATIVE_INFINITY : state.floats[m + i] + MathF32.log(l));
    }
  }
}
