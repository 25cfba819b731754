package org.deft4j.tensor;

import java.lang.foreign.MemorySegment;
import java.util.Comparator;

/** A range of a {@link Segment}, on loan or free; its neighbours are the ranges before and after it. */
final class Block {
  /** Smallest first; of equal ones the one in the oldest segment, nearest its start: the same choice in every run. */
  static final Comparator<Block> BY_SIZE = Block::compareBySize;

  private final Segment segment;
  private final long offset;
  private long size;
  private boolean free = true;
  private Block before;
  private Block after;
  private MemorySegment memory;

  private Block(Segment segment, long offset, long size) {
    this.segment = segment;
    this.offset = offset;
    this.size = size;
  }

  /** Every request asks some of these questions, so they are asked without ceremony. */
  private static int compareBySize(Block a, Block b) {
    int result = Long.compare(a.size, b.size);
    if (result == 0) {
      result = Long.compare(a.segment.number(), b.segment.number());
    }
    return result == 0 ? Long.compare(a.offset, b.offset) : result;
  }

  /** The whole of a segment, free. */
  static Block whole(Segment segment) {
    return new Block(segment, 0, segment.size());
  }

  /** A bound for searches: no block of fewer bytes comes after it. */
  static Block ofSize(long size) {
    return new Block(Segment.hollow(null, Long.MIN_VALUE, size), 0, size);
  }

  long size() {
    return size;
  }

  Segment segment() {
    return segment;
  }

  boolean isWhole() {
    return size == segment.size();
  }

  /** Where its first byte is. */
  long address() {
    return segment.address() + offset;
  }

  /** Its bytes, while on loan; null in a pool without memory, or on a card. */
  MemorySegment memory() {
    return memory;
  }

  /** Lends the first {@code bytes} of a free block; returns the rest, free, or null if there is none. */
  Block take(long bytes) {
    Block rest = null;
    if (size > bytes) {
      rest = new Block(segment, offset + bytes, size - bytes);
      rest.before = this;
      rest.after = after;
      if (after != null) {
        after.before = rest;
      }
      after = rest;
      size = bytes;
    }
    free = false;
    memory = segment.slice(offset, bytes);
    return rest;
  }

  /** The loan ends. */
  void giveBack() {
    free = true;
    memory = null;
  }

  /** The free block before this one, or null. */
  Block freeBefore() {
    return before != null && before.free ? before : null;
  }

  /** The free block after this one, or null. */
  Block freeAfter() {
    return after != null && after.free ? after : null;
  }

  /** Makes this block and the one after it, both free, one. */
  void merge() {
    size += after.size;
    after = after.after;
    if (after != null) {
      after.before = this;
    }
  }
}
