package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.stream.IntStream;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

import static org.deft4j.tensor.internal.AttentionTask.BLOCK;
import static org.deft4j.tensor.internal.AttentionTask.WIDTH;
import static org.deft4j.tensor.internal.Buffer.START;

/**
 * Which queries may see which keys: a BOOL mask as bits, in the order in which scores lie, made once for all heads that share a plane
 * [T, S] of it. Bit l of word (g, row) is lane 32 g + l of that row. A tile of {@link ScalarAttention#QUERIES} queries and a
 * block of keys that is wholly hidden is not visited, one that is wholly seen is not masked.
 */
final class AttentionMask {
  /** Lanes in a word. */
  private static final int LANES = Integer.SIZE;
  private static final int QUERIES = ScalarAttention.QUERIES;
  private static final int[] BITS = IntStream.range(0, LANES).map(lane -> 1 << lane).toArray();
  private static final ValueLayout.OfLong EIGHT = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final long LOW_BITS = 0x0101010101010101L;
  private static final long ALL_BUT_HIGH = 0x7f7f7f7f7f7f7f7fL;
  /** Brings bit 0 of byte i to bit 56 + i. */
  private static final long GATHER = 0x0102040810204080L;

  /** What is so of a tile. */
  private enum Tile {
    HIDDEN, SEEN, MIXED
  }

  private final Tensor mask;
  private final long[] steps;
  private final long heads;
  private final int queries;
  private final int keys;
  private final boolean lanesAreKeys;
  private final int lanes;
  private final int rows;
  private final int groups;
  private final MemorySegment words;
  private final Tile[] tiles;

  /**
   * Of a mask that broadcasts to [B, H, T, S].
   *
   * @param steps its strides there
   * @param lanesAreKeys whether keys lie along the lanes of scores, and queries along their rows; or the other way round
   */
  AttentionMask(Tensor mask, long[] steps, long batch, long heads, int queries, int keys, boolean lanesAreKeys) {
    this.mask = mask;
    this.steps = steps;
    this.heads = heads;
    this.queries = queries;
    this.keys = keys;
    this.lanesAreKeys = lanesAreKeys;
    this.lanes = lanesAreKeys ? keys : queries;
    this.rows = lanesAreKeys ? queries : keys;
    this.groups = Math.ceilDiv(lanes, LANES);
    int planes = Math.toIntExact((steps[0] == 0 ? 1 : batch) * (steps[1] == 0 ? 1 : heads));
    this.words = Tensor.empty(Device.CPU, DType.I32, Shape.of(planes, groups, rows)).memory();
    this.tiles = new Tile[planes * queryGroups() * keyBlocks()];
    Parallel.forRange((long) planes * groups, 1, (from, to) -> {
      for (long i = from; i < to; i++) {
        pack((int) (i / groups), (int) (i % groups));
      }
    });
    Parallel.forRange((long) planes * queryGroups(), 1, (from, to) -> {
      for (long i = from; i < to; i++) {
        classify((int) (i / queryGroups()), (int) (i % queryGroups()));
      }
    });
  }

  private int queryGroups() {
    return Math.ceilDiv(queries, QUERIES);
  }

  private int keyBlocks() {
    return Math.ceilDiv(keys, BLOCK);
  }

  /** Whether no query of this one's group may see any key of this one's block. */
  boolean hides(long head, int query, int key) {
    return tile(head, query, key) == Tile.HIDDEN;
  }

  private Tile tile(long head, int query, int key) {
    return tiles[(plane(head) * queryGroups() + query / QUERIES) * keyBlocks() + key / BLOCK];
  }

  private int plane(long head) {
    long h = steps[1] == 0 ? 0 : head % heads;
    return (int) (steps[0] == 0 ? h : head / heads * (steps[1] == 0 ? 1 : heads) + h);
  }

  /** Hides scores: row i of {@code scores}, which start at {@code START}, is row {@code row + i}, its lanes those from {@code lane} on. */
  void apply(long head, float[] scores, int row, int count, int lane) {
    int together = lanesAreKeys ? QUERIES : count;
    for (int i = 0; i < count; i += together) {
      if ((lanesAreKeys ? tile(head, row + i, lane) : tile(head, lane, row)) == Tile.MIXED) {
        hide(words, word(plane(head), lane / LANES, row + i), lane % LANES, scores, START + i * WIDTH, Math.min(together, count - i));
      }
    }
  }

  private static void hide(MemorySegment words, long word, int lane, float[] scores, int at, int count) {
    IntVector left = IntVector.fromArray(Simd.INTS, BITS, lane);
    IntVector right = IntVector.fromArray(Simd.INTS, BITS, lane + Simd.LANES);
    for (int i = 0; i < count; i++) {
      IntVector bits = IntVector.broadcast(Simd.INTS, OffHeap.known(words).getAtIndex(ValueLayout.JAVA_INT, word + i));
      hide(bits.and(left), scores, at + i * WIDTH);
      hide(bits.and(right), scores, at + i * WIDTH + Simd.LANES);
    }
  }

  private static void hide(IntVector seen, float[] scores, int at) {
    FloatVector.fromArray(Simd.FLOATS, scores, at)
        .blend(Float.NEGATIVE_INFINITY, seen.compare(VectorOperators.EQ, 0).cast(Simd.FLOATS)).intoArray(scores, at);
  }

  private long word(int plane, int group, int row) {
    return ((long) plane * groups + group) * rows + row;
  }

  private int lanes(int group) {
    return Math.min(LANES, lanes - group * LANES);
  }

  // ------------------------------------------------------------------------------------------------------ bytes to bits

  /** The words of one group of lanes: eight bytes at a time, along lanes or along rows, as they lie side by side. */
  private void pack(int plane, int group) {
    long planeHeads = steps[1] == 0 ? 1 : heads;
    long rowStep = lanesAreKeys ? steps[2] : steps[3];
    long laneStep = lanesAreKeys ? steps[3] : steps[2];
    long start = mask.offset() + plane / planeHeads * steps[0] + plane % planeHeads * steps[1] + (long) group * LANES * laneStep;
    long to = word(plane, group, 0);
    if (rowStep == 1) {
      long[] quarters = new long[LANES / Long.BYTES];
      for (int row = 0; row < rows; row += Long.BYTES) {
        packAlongRows(start + row, laneStep, lanes(group), quarters, to + row, Math.min(Long.BYTES, rows - row));
      }
    } else {
      for (int row = 0; row < rows; row++) {
        words.setAtIndex(ValueLayout.JAVA_INT, to + row, packAlongLanes(start + row * rowStep, laneStep, lanes(group)));
      }
    }
  }

  private int packAlongLanes(long start, long step, int count) {
    int word = 0;
    for (int lane = 0; lane < count; lane += Long.BYTES) {
      long ones = ones(start + lane * step, step, Math.min(Long.BYTES, count - lane));
      word |= (int) ((ones * GATHER) >>> 56) << lane;
    }
    return word;
  }

  /** Up to eight words; byte i of {@code quarters[j]} becomes byte j of word i. */
  private void packAlongRows(long start, long laneStep, int count, long[] quarters, long to, int rows) {
    Arrays.fill(quarters, 0);
    for (int lane = 0; lane < count; lane++) {
      quarters[lane / Long.BYTES] |= ones(start + lane * laneStep, 1, rows) << lane % Long.BYTES;
    }
    for (int i = 0; i < rows; i++) {
      int word = 0;
      for (int j = 0; j < quarters.length; j++) {
        word |= (int) ((quarters[j] >>> (Byte.SIZE * i)) & 0xff) << (Byte.SIZE * j);
      }
      words.setAtIndex(ValueLayout.JAVA_INT, to + i, word);
    }
  }

  /** Byte i of the result is 1 where the mask's i-th from {@code at} on is not 0. */
  private long ones(long at, long step, int count) {
    MemorySegment memory = OffHeap.known(mask.memory());
    long bytes = 0;
    if (step == 1 && count == Long.BYTES) {
      bytes = memory.get(EIGHT, at);
    } else {
      for (int i = 0; i < count; i++) {
        bytes |= (memory.get(ValueLayout.JAVA_BYTE, at + i * step) & 0xffL) << (Byte.SIZE * i);
      }
    }
    return ((((bytes & ALL_BUT_HIGH) + ALL_BUT_HIGH) | bytes) >>> 7) & LOW_BITS;
  }

  private void classify(int plane, int queryGroup) {
    for (int block = 0; block < keyBlocks(); block++) {
      int query = queryGroup * QUERIES;
      int key = block * BLOCK;
      int queryEnd = Math.min(queries, query + QUERIES);
      int keyEnd = Math.min(keys, key + BLOCK);
      tiles[(plane * queryGroups() + queryGroup) * keyBlocks() + block] = lanesAreKeys
          ? classify(plane, key / LANES, Math.ceilDiv(keyEnd, LANES), query, queryEnd)
          : classify(plane, query / LANES, Math.ceilDiv(queryEnd, LANES), key, keyEnd);
    }
  }

  private Tile classify(int plane, int group, int groupEnd, int row, int rowEnd) {
    boolean none = true;
    boolean all = true;
    for (int g = group; g < groupEnd; g++) {
      int full = -1 >>> (LANES - lanes(g));
      for (int i = row; i < rowEnd; i++) {
        int word = words.getAtIndex(ValueLayout.JAVA_INT, word(plane, g, i));
        none &= word == 0;
        all &= word == full;
      }
    }
    return none ? Tile.HIDDEN : all ? Tile.SEEN : Tile.MIXED;
  }
}
