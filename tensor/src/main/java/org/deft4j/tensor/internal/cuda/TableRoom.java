package org.deft4j.tensor.internal.cuda;

/**
 * Where the table of a launch is on the card, the next one's after it. Not the pool's memory: that may have been a gradient's which was given
 * back while a step that reads it waits.
 */
final class TableRoom {
  private static final long LEAST = 64 << 10;

  private final GatheringCard card;
  private long address;
  private long bytes;

  TableRoom(GatheringCard card) {
    this.card = card;
  }

  /** The address of {@code table}, for a launch that is asked for before the next table is put there. */
  long put(TensorTable table) {
    // What waits has a table too.
    card.settle();
    if (table.bytes() > bytes) {
      if (bytes > 0) {
        card.free(address);
      }
      bytes = Math.max(LEAST, Long.highestOneBit(table.bytes()) * 2);
      address = card.allocate(bytes);
    }
    table.upload(card, address);
    return address;
  }
}
