package org.deft4j.tensor;

import java.util.Iterator;
import java.util.NavigableSet;
import java.util.TreeSet;

/** The free ranges of some segments, by size. */
final class FreeBlocks {
  private final NavigableSet<Block> blocks = new TreeSet<>(Block.BY_SIZE);

  /** Adds a segment, of which all is free. */
  void add(Segment segment) {
    blocks.add(Block.whole(segment));
  }

  /** Lends the smallest free range of at least so many bytes, cut to them; null if there is none. */
  Block take(long bytes) {
    Block block = blocks.ceiling(Block.ofSize(bytes));
    if (block != null) {
      blocks.remove(block);
      Block rest = block.take(bytes);
      if (rest != null) {
        blocks.add(rest);
      }
    }
    return block;
  }

  /** Takes a range back, and makes it one with its free neighbours. */
  void giveBack(Block block) {
    block.giveBack();
    Block after = block.freeAfter();
    if (after != null) {
      blocks.remove(after);
      block.merge();
    }
    Block before = block.freeBefore();
    if (before != null) {
      blocks.remove(before);
      before.merge();
    }
    blocks.add(before == null ? block : before);
  }

  /** Gives segments of which all is free back to the system, largest first, until they are so many bytes; returns how many. */
  long trim(long wanted) {
    long bytes = 0;
    for (Iterator<Block> each = blocks.descendingIterator(); bytes < wanted && each.hasNext();) {
      Block block = each.next();
      if (block.isWhole()) {
        each.remove();
        bytes += block.size();
        block.segment().close();
      }
    }
    return bytes;
  }
}
