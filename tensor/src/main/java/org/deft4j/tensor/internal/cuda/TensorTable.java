package org.deft4j.tensor.internal.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** Dense tensors, however many, that one launch goes over, some blocks for each: rows of {@code tables.cuh}. */
final class TensorTable {
  private final long piece;
  private final List<long[]> rows = new ArrayList<>();
  private long blocks;

  /** @param elements of a tensor that a thread, and so a block takes: {@code EACH} of the source */
  TensorTable(long elements) {
    this.piece = elements * Launcher.THREADS;
  }

  /** A tensor of {@code count} elements, or several that go together, one address for each; of none there is nothing to do. */
  void add(long count, long... addresses) {
    if (count > 0) {
      long[] row = new long[2 + addresses.length];
      row[0] = blocks;
      row[1] = count;
      System.arraycopy(addresses, 0, row, 2, addresses.length);
      rows.add(row);
      blocks += Math.ceilDiv(count, piece);
    }
  }

  /** Of all of them. */
  long blocks() {
    return blocks;
  }

  /** How many there are. */
  long count() {
    return rows.size();
  }

  /** The bytes of all rows. */
  long bytes() {
    return rows.stream().mapToLong(row -> row.length * (long) Long.BYTES).sum();
  }

  /** Copies the rows to the card. */
  void upload(Card card, long address) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocate(bytes(), Long.BYTES);
      long at = 0;
      for (long[] row : rows) {
        MemorySegment.copy(row, 0, memory, ValueLayout.JAVA_LONG, at, row.length);
        at += row.length * (long) Long.BYTES;
      }
      card.upload(memory, address);
    }
  }
}
