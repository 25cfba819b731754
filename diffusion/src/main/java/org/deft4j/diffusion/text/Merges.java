package org.deft4j.diffusion.text;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Byte-pair merging (Sennrich et al. 2016): of all neighbours that may be joined those of the lowest rank are, again and
 * again, the leftmost first.
 *
 * <p>A row of n ids takes O(n log n): the pairs wait in a heap ordered by rank and place.
 */
public final class Merges {
  /** Pair (left id, right id) to (rank, id of the joined symbol), each two ints in a long. */
  private final Map<Long, Long> joins = new HashMap<>();

  /** Lets two neighbours be joined; false, and nothing changes, if they may be already. */
  public boolean add(int left, int right, int rank, int joined) {
    return joins.putIfAbsent(pair(left, right), (long) rank << 32 | joined) == null;
  }

  private static long pair(int left, int right) {
    return (long) left << 32 | right;
  }

  /** What becomes of {@code ids}, none of them negative; the array itself is worked in. */
  public int[] join(int[] ids) {
    new Row(ids).join();
    return Arrays.stream(ids).filter(id -> id >= 0).toArray();
  }

  /** Symbols as a doubly linked list over an array; a symbol that was joined to its left neighbour is -1. */
  private final class Row {
    private final int[] ids;
    private final int[] previous;
    private final int[] next;
    private final LongHeap heap;

    Row(int[] ids) {
      this.ids = ids;
      previous = new int[ids.length];
      next = new int[ids.length];
      heap = new LongHeap(ids.length);
      Arrays.setAll(previous, i -> i - 1);
      Arrays.setAll(next, i -> i + 1);
      for (int i = 0; i + 1 < ids.length; i++) {
        push(i);
      }
    }

    private long joinAt(int i) {
      return ids[i] < 0 || next[i] >= ids.length ? -1 : joins.getOrDefault(pair(ids[i], ids[next[i]]), -1L);
    }

    private void push(int i) {
      long join = joinAt(i);
      if (join >= 0) {
        heap.add((join & 0xffff_ffff_0000_0000L) | i);
      }
    }

    void join() {
      while (!heap.isEmpty()) {
        long entry = heap.removeSmallest();
        int i = (int) entry;
        long join = joinAt(i);
        if (join < 0 || join >> 32 != entry >> 32) {
          continue; // One of the two was joined to another symbol meanwhile.
        }
        int right = next[i];
        ids[i] = (int) join;
        ids[right] = -1;
        next[i] = next[right];
        if (next[i] < ids.length) {
          previous[next[i]] = i;
          push(i);
        }
        if (previous[i] >= 0) {
          push(previous[i]);
        }
      }
    }
  }
}
