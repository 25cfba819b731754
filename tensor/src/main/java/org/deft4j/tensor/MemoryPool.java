package org.deft4j.tensor;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.LongStream;
import org.deft4j.tensor.internal.cuda.Cuda;

/**
 * The one owner of native memory, or of a card's. It asks the system for segments, cuts blocks from them, and joins what comes back with
 * its free neighbours; a request takes the smallest free range that holds it. A budget in bytes refuses before the operating
 * system would. In the steady state of a training loop every request finds a free range, so {@link #systemAllocations}
 * stands still; and where one does not, segments that nobody uses go back before another is asked for, so that what is
 * reserved stays near what was needed at once.
 *
 * <p>Which range a request gets depends on nothing but the requests before it: a {@link Rehearsal} of the same program has
 * the same accounts.
 */
public final class MemoryPool {
  /** Every block starts at a multiple of this: the size of a cache line and of a 512-bit vector. */
  public static final long ALIGNMENT = 64;

  /** Requests up to this have segments of their own: a small tensor that stays must not split the room of large ones. */
  private static final long SMALL = 64L << 10;
  /** The segments of small requests. */
  private static final long SMALL_SEGMENT = 256L << 10;
  /** Large requests share segments of an eighth of what is reserved, within these bounds. */
  private static final long LEAST_SEGMENT = 1L << 20;
  private static final long LARGEST_SEGMENT = 64L << 20;
  private static final long SHARE = 8;
  /** What is reserved may exceed what was needed at once by {@link #spares} times this part of it. */
  private static final long SPARE = 32;

  /** More than any memory, and sums with it do not overflow: what is asked for beyond is refused as this is. */
  private static final long LARGEST = 1L << 60;
  private static final Pattern SIZE = Pattern.compile("(\\d{1,15})([kmgtKMGT]?)");
  /** The property that sets the budget of the CPU's pool, and that of the card's. */
  private static final String BUDGET = "deft4j.memory";
  private static final String CARD_BUDGET = "deft4j.cuda.memory";
  private static final MemoryPool CPU = new MemoryPool(budget(BUDGET, machineBytes()), BUDGET, Segment::ofSystem);

  private final String property;
  private final Segment.Source source;
  private final FreeBlocks small = new FreeBlocks();
  private final FreeBlocks large = new FreeBlocks();
  private long budget;
  private long aside;
  private long spares = 1;
  private long most;
  private long live;
  private long reserved;
  private long peakLive;
  private long peakReserved;
  private long systemAllocations;

  /** A pool of its own, with a budget in bytes. */
  public MemoryPool(long budgetBytes) {
    this(budgetBytes, BUDGET, Segment::ofSystem);
  }

  private MemoryPool(long budgetBytes, String property, Segment.Source source) {
    this.budget = budgetBytes;
    this.property = property;
    this.source = source;
  }

  /** The card's, made when it is first asked for. */
  private static final class OfCard {
    static final MemoryPool POOL = new MemoryPool(budget(CARD_BUDGET, Cuda.card().freeBytes()), CARD_BUDGET, Segment::ofCard);
  }

  /** That of weights that an {@link Offload} keeps for the card, in this process's memory. */
  private static final class OfKept {
    static final MemoryPool POOL = new MemoryPool(budget(BUDGET, machineBytes()), BUDGET, Segment::ofPinned);
  }

  /** The pool of all CPU tensors; on a thread with a {@link Rehearsal} its accounts. */
  public static MemoryPool cpu() {
    return of(Device.CPU);
  }

  /** The pool of the tensors that are made where nothing else is said; see {@link Device#current}. */
  public static MemoryPool current() {
    return of(Device.current());
  }

  /** The pool of a device that has memory; on a thread with a {@link Rehearsal} its accounts. */
  static MemoryPool of(Device device) {
    Rehearsal rehearsal = Rehearsal.current();
    if (rehearsal != null) {
      return rehearsal.pool();
    }
    return device == Device.CUDA ? OfCard.POOL : CPU;
  }

  /** The pool of weights that an {@link Offload} keeps for the card; on a thread with a {@link Rehearsal} its accounts of them. */
  public static MemoryPool kept() {
    Rehearsal rehearsal = Rehearsal.current();
    return rehearsal == null ? OfKept.POOL : rehearsal.kept();
  }

  /** The pool that the matrices of weights come from that are loaded now: {@link #kept}, or {@link #current}. */
  public static MemoryPool ofWeights() {
    return Offload.isLoading() ? kept() : current();
  }

  /** The accounts alone: its blocks have no memory, and there is no end to them. */
  static MemoryPool withoutMemory() {
    return new MemoryPool(Long.MAX_VALUE, BUDGET, Segment::hollow);
  }

  /** The next multiple of {@link #ALIGNMENT}, and at least that. */
  private static long rounded(long bytes) {
    return (Math.clamp(bytes, ALIGNMENT, LARGEST) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }

  /** A block of at least so many bytes; {@code what} is asked for only if there is none. */
  synchronized Block allocate(long bytes, Supplier<String> what) {
    long size = rounded(bytes);
    FreeBlocks free = size <= SMALL ? small : large;
    Block block = free.take(size);
    if (block == null) {
      free.add(fresh(free, size, bytes, what));
      block = free.take(size);
    }
    live += size;
    most = Math.max(most, live);
    peakLive = Math.max(peakLive, live);
    return block;
  }

  /**
   * Makes one free range for the next requests, which are of these sizes and stay: a model's weights then fill it to its end, where
   * many segments would each leave one unused. {@code what} says who needs it, should it not be there.
   */
  public synchronized void reserve(LongStream sizes, Supplier<String> what) {
    long bytes = sizes.map(MemoryPool::rounded).filter(size -> size > SMALL).sum();
    if (bytes > LARGEST_SEGMENT) {
      release(allocate(bytes, what));
    }
  }

  /** Asks the system, after making room. */
  private Segment fresh(FreeBlocks home, long size, long bytes, Supplier<String> what) {
    long wanted = shared(size);
    makeRoom(wanted, live + size);
    if (size > room()) {
      throw new MemoryException(what.get() + ": " + describe(bytes) + " more would exceed the memory budget of "
          + describe(budget) + "; in use are " + describe(live + aside)
          + ". Use a smaller size, batch or rank, or raise the budget (-D" + property + "=BYTES)");
    }
    Segment segment;
    try {
      segment = source.segment(home, systemAllocations, Math.min(wanted, room()));
    } catch (OutOfMemoryError _) {
      trim();
      try {
        segment = source.segment(home, systemAllocations, size);
      } catch (OutOfMemoryError e) {
        throw new MemoryException(what.get() + ": the system refused " + describe(size) + "; in use are "
            + describe(live) + ". Use a smaller size, batch or rank", e);
      }
    }
    systemAllocations++;
    reserved += segment.size();
    peakReserved = Math.max(peakReserved, reserved);
    return segment;
  }

  /** What may still be asked of the system. */
  private long room() {
    return budget - aside - reserved;
  }

  /**
   * Takes a segment for who manages it himself; it counts for the budget and for nothing else, until {@link #giveBack}.
   *
   * @throws MemoryException if there is not so much
   */
  synchronized Segment setAside(long bytes, Supplier<String> what) {
    long size = rounded(bytes);
    if (size > room()) {
      trim(Long.MAX_VALUE);
    }
    if (size > room()) {
      throw new MemoryException(what.get() + ": " + describe(bytes) + " more would exceed the memory budget of " + describe(budget)
          + "; in use are " + describe(live + aside));
    }
    try {
      Segment segment = source.segment(large, systemAllocations, size);
      systemAllocations++;
      aside += size;
      return segment;
    } catch (OutOfMemoryError e) {
      throw new MemoryException(what.get() + ": the system refused " + describe(size), e);
    }
  }

  /** Ends {@link #setAside}. */
  synchronized void giveBack(Segment segment) {
    aside -= segment.size();
    segment.close();
  }

  /** Bytes of the budget that are set aside, such as the window of an {@link Offload}. */
  public synchronized long asideBytes() {
    return aside;
  }

  /**
   * Where the reserve would grow beyond what was needed at once and a share of it, unused segments go back. That this had
   * to be done for less than was needed before means that the free ranges are too scattered for what is asked for again
   * and again: the share grows, so that a loop stops giving back in one step what it asks for in the next.
   */
  private void makeRoom(long wanted, long needed) {
    boolean neededBefore = needed <= most;
    most = Math.max(most, needed);
    long returned = trim(wanted + reserved - Math.min(budget - aside, most + most / SPARE * spares));
    if (returned > 0 && neededBefore) {
      spares++;
    }
  }

  /** The size of the segment that a request which found no room is cut from. */
  private long shared(long size) {
    return size <= SMALL ? SMALL_SEGMENT
        : Math.max(size, Math.clamp(rounded(reserved / SHARE), LEAST_SEGMENT, LARGEST_SEGMENT));
  }

  synchronized void release(Block block) {
    live -= block.size();
    block.segment().home().giveBack(block);
  }

  /** Gives every unused segment back to the operating system: what comes now has other needs than what was. */
  public synchronized void trim() {
    trim(Long.MAX_VALUE);
    most = live;
    spares = 1;
  }

  /** Gives unused segments back until they are so many bytes; returns how many. */
  private long trim(long bytes) {
    long returned = large.trim(bytes);
    returned += small.trim(bytes - returned);
    reserved -= returned;
    return returned;
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

  /** What the property says, or nine tenths of the memory that this process may use. */
  private static long budget(String property, long available) {
    String given = System.getProperty(property);
    if (given != null) {
      return parseBytes(given);
    }
    return available == Long.MAX_VALUE ? available : available / 10 * 9;
  }

  /** The memory of this machine, or what its container allows; {@link Long#MAX_VALUE} where the system does not tell. */
  public static long machineBytes() {
    return ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system
        ? system.getTotalMemorySize() : Long.MAX_VALUE;
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
