package org.deft4j.tensor.internal.cuda;

import java.lang.foreign.MemorySegment;

/**
 * What a {@link Window} knows of one tensor's memory that lies in this process's and comes to the card when it is used.
 *
 * <p>All but the constants is the window's, and read and written while it is locked.
 */
public final class Kept {
  /** Places start at multiples of this. */
  private static final long ALIGNMENT = 512;

  private final MemorySegment memory;
  private final long bytes;
  /** Where it is in the window, or null. */
  Place place;
  /** Its uses in the {@link UseOrder}: the latest, and one that was looked at before. */
  int last = UseOrder.NONE;
  int seen = UseOrder.NONE;
  /** Which look ahead met it last. */
  long looked;
  /** Whether a copy may still read its memory. */
  boolean isRead;
  /** Whether it will not be used again, whatever is foreseen. */
  boolean isGone;

  /** @param memory its bytes; null in a rehearsal, which has none */
  public Kept(MemorySegment memory, long bytes) {
    this.memory = memory;
    this.bytes = bytes;
  }

  /** Its bytes in this process. */
  public MemorySegment memory() {
    return memory;
  }

  /** Bytes that it takes of a window. */
  public long room() {
    return (Math.max(1, bytes) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }

  /**
   * Where it is on the card now.
   *
   * @throws IllegalStateException if no operation has it there
   */
  public long address() {
    Place now = place;
    if (now == null || now.pins == 0) {
      throw new IllegalStateException("this tensor is kept in the machine's memory, and on the card only while an operation uses it");
    }
    return now.address;
  }
}
