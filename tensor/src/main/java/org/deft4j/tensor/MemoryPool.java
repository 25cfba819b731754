package org.deft4j.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The one owner of native memory: blocks in size classes, kept for reuse when a tensor lets go of them. A budget in
 * bytes refuses before the operating system would. In the steady state of a training loop every request is served
 * from a free list, so {@link #systemAllocations} stands still.
 */
public final class MemoryPool {
  /** Every block starts at a multiple of this: the size of a cache line and of a 512-bit vector. */
  public static final long ALIGNMENT = 64;

  /** Beyond this no memory exists, and rounding up might overflow. */
  private static final long LARGEST_ROUNDED = 1L << 60;
  private static final Pattern SIZE = Pattern.compile("(\\d{1,15})([kmgtKMGT]?)");
  private static final MemoryPool CPU = new MemoryPool(defaultBudget());

  private final Map<Long, ArrayDeque<Block>> free = new HashMap<>();
  private long budget;
  private long live;
  private long reserved;
  private long peakLive;
  private long peakReserved;
  private long systemAllocations;

  /** A pool of its own, with a budget in bytes. */
  public MemoryPool(long budgetBytes) {
    this.budget = budgetBytes;
  }

  /** The pool of all CPU tensors. */
  public static MemoryPool cpu() {
    return CPU;
  }

  /** A block of memory on loan. */
  static final class Block {
    final Arena arena = Arena.ofShared();
    final MemorySegment segment;

    Block(long bytes) {
      try {
        segment = arena.allocate(bytes, ALIGNMENT);
      } catch (OutOfMemoryError e) {
        arena.close();
        throw e;
      }
    }
  }

  /**
   * The size class of a request: the next multiple of 64 of the form {16, 17, ..., 31} x 2^k; from 1 KiB on at most a
   * sixteenth larger than asked. Weights pay for the rounding as long as they are held, so the classes are narrow: the shapes of
   * diffusion models (320 x 2^i times 320 x 2^j) fall on them exactly.
   */
  static long sizeClass(long bytes) {
    if (bytes > LARGEST_ROUNDED) {
      return bytes;
    }
    long size = Math.max(ALIGNMENT, bytes);
    int shift = Math.max(0, 59 - Long.numberOfLeadingZeros(size - 1));
    long step = Math.max(ALIGNMENT, 1L << shift);
    return (size + step - 1) / step * step;
  }

  /** A block of at least so many bytes; {@code what} is asked for only if there is none. */
  synchronized Block allocate(long bytes, Supplier<String> what) {
    long size = sizeClass(bytes);
    ArrayDeque<Block> blocks = free.get(size);
    Block block = blocks == null ? null : blocks.pollLast();
    if (block == null) {
      block = fresh(size, bytes, what);
    }
    live += size;
    peakLive = Math.max(peakLive, live);
    return block;
  }

  /** Asks the system, giving unused blocks back first where the budget or the system wants that. */
  private Block fresh(long size, long bytes, Supplier<String> what) {
    if (size > budget - reserved) {
      trim();
    }
    if (size > budget - reserved) {
      throw new MemoryException(what.get() + ": " + describe(bytes) + " more would exceed the memory budget of "
          + describe(budget) + "; in use are " + describe(live)
          + ". Use a smaller size, batch or rank, or raise the budget (-Ddeft4j.memory=BYTES)");
    }
    Block block;
    try {
      block = new Block(size);
    } catch (OutOfMemoryError _) {
      trim();
      try {
        block = new Block(size);
      } catch (OutOfMemoryError e) {
        throw new MemoryException(what.get() + ": the system refused " + describe(size) + "; in use are "
            + describe(live) + ". Use a smaller size, batch or rank", e);
      }
    }
    systemAllocations++;
    reserved += size;
    peakReserved = Math.max(peakReserved, reserved);
    return block;
  }

  synchronized void release(Block block) {
    live -= block.segment.byteSize();
    free.computeIfAbsent(block.segment.byteSize(), size -> new ArrayDeque<>()).addLast(block);
  }

  /** Gives every unused block back to the operating system. */
  public synchronized void trim() {
    for (ArrayDeque<Block> blocks : free.values()) {
      for (Block block : blocks) {
        reserved -= block.segment.byteSize();
        block.arena.close();
      }
    }
    free.clear();
  }

  /** Bytes that open tensors hold. */
  public synchronized long liveBytes() {
    return live;
  }

  /** The most bytes that open tensors have held at once since {@link #resetPeak}. */
  public synchronized long peakLiveBytes() {
    return peakLive;
  }

  /** Bytes taken from the operating system and not given back. */
  public synchronized long reservedBytes() {
    return reserved;
  }

  /** The most {@link #reservedBytes} since {@link #resetPeak}. */
  public synchronized long peakReservedBytes() {
    return peakReserved;
  }

  /** How often memory was asked of the operating system. */
  public synchronized long systemAllocations() {
    return systemAllocations;
  }

  /** Forgets the peaks. */
  public synchronized void resetPeak() {
    peakLive = live;
    peakReserved = reserved;
  }

  /** The budget in bytes. */
  public synchronized long budget() {
    return budget;
  }

  /** Sets the budget in bytes; what is in use stays. */
  public synchronized void setBudget(long bytes) {
    if (bytes < 0) {
      throw new IllegalArgumentException("budget of " + bytes + " bytes: must not be negative");
    }
    budget = bytes;
  }

  /** Bytes in a form for people: {@code 1.5 GiB}. */
  public static String describe(long bytes) {
    if (bytes < 1024) {
      return bytes + " B";
    }
    int unit = Math.min(5, (63 - Long.numberOfLeadingZeros(bytes)) / 10);
    return String.format(java.util.Locale.ROOT, "%.1f %ciB", bytes / (double) (1L << (10 * unit)),
        " KMGTP".charAt(unit));
  }

  /** {@code -Ddeft4j.memory}, or nine tenths of the memory that this process may use. */
  private static long defaultBudget() {
    String given = System.getProperty("deft4j.memory");
    if (given != null) {
      return parseBytes(given);
    }
    var system = java.lang.management.ManagementFactory.getOperatingSystemMXBean();
    return system instanceof com.sun.management.OperatingSystemMXBean os
        ? os.getTotalMemorySize() / 10 * 9 : Long.MAX_VALUE;
  }

  /**
   * Reads a number of bytes, perhaps with a unit: {@code 8000000000}, {@code 8g}.
   *
   * @throws IllegalArgumentException if it is none
   */
  public static long parseBytes(String text) {
    Matcher matcher = SIZE.matcher(text);
    if (!matcher.matches()) {
      throw new IllegalArgumentException("memory size '" + text
          + "': expected a number of bytes, or one followed by k, m, g or t, as in 8g");
    }
    int unit = " kmgt".indexOf(matcher.group(2).isEmpty() ? ' ' : Character.toLowerCase(matcher.group(2).charAt(0)));
    return Math.multiplyExact(Long.parseLong(matcher.group(1)), 1L << (10 * unit));
  }
}
