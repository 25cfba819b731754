package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ObjLongConsumer;
import java.util.function.Supplier;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

/**
 * A matrix [rows, columns] in float64 that lies column by column, in memory of the innermost scope. Rows are filled up with zeros to
 * whole {@link #LANES}, and columns start an odd number of cache lines apart, so that they do not fight for the same places of a cache.
 *
 * <p>Sums over rows run in {@link #LANES} chains, row i in chain i mod LANES, over each {@link #CHUNK} of rows; the chains of the chunks are
 * added in order and folded in halves at the end. So nothing depends on who computes what.
 */
final class ColumnMatrix {
  /** Chains of a sum over rows; part of the definition of its bits, as CHUNK is. */
  static final int LANES = 8;
  /** Rows of which one thread takes care. */
  static final int CHUNK = 512;
  /** Columns that {@link ReflectorLoops} work on together. */
  static final int WIDTH = 16;
  /** Products of the columns of two panels. */
  static final int SQUARE = WIDTH * WIDTH;
  /** The bytes of their sums, chain by chain. */
  static final long SQUARE_BYTES = (long) Double.BYTES * LANES * SQUARE;
  /** Numbers or multiply-adds below which one thread is faster alone: the other would have to get them from its cache, and it them back. */
  private static final long FEW = 1 << 15;
  /** Rows that are turned together: they stay in the cache next to the processor. */
  private static final int TURNED = 64;

  private final int rows;
  private final int columns;
  private final int chunks;
  private final long pitch;
  private final MemorySegment memory;

  /** Columns of one chunk of rows. */
  @FunctionalInterface
  interface Rows {
    /** Works on {@code count} rows from {@code from} on, of chunk {@code chunk}; whole LANES. */
    void run(int chunk, int from, int count);
  }

  /**
   * The part of some columns from a row on, as {@link ReflectorLoops} see it. Addresses are in bytes.
   *
   * @param pitch from one column to the next
   */
  record Block(MemorySegment memory, long at, long pitch, int columns) {
    /** Where column c starts; the last one's place for those beyond. */
    long column(int c) {
      return at + Math.min(c, columns - 1) * pitch;
    }
  }

  ColumnMatrix(int rows, int columns) {
    this.rows = rows;
    this.columns = columns;
    this.chunks = Math.ceilDiv(rows, CHUNK);
    long lines = Math.ceilDiv(rows, LANES) | 1L;
    this.pitch = lines * LANES * Double.BYTES;
    this.memory = Tensor.empty(Device.CPU, DType.F64, Shape.of(columns, lines * LANES)).memory();
  }

  int chunks() {
    return chunks;
  }

  /** The panels of WIDTH columns, the last of which may have fewer. */
  int panels() {
    return Math.ceilDiv(columns, WIDTH);
  }

  int panelColumns(int panel) {
    return Math.min(WIDTH, columns - panel * WIDTH);
  }

  private long at(int row, int column) {
    return column * pitch + (long) Double.BYTES * row;
  }

  double get(int row, int column) {
    return memory.get(ValueLayout.JAVA_DOUBLE, at(row, column));
  }

  void set(int row, int column, double value) {
    memory.set(ValueLayout.JAVA_DOUBLE, at(row, column), value);
  }

  /** A panel from a row on. */
  Block panel(int panel, int row) {
    return columns(panel * WIDTH, panelColumns(panel), row);
  }

  /** {@code count} columns from a row on. */
  Block columns(int first, int count, int row) {
    return new Block(memory, at(row, first), pitch, count);
  }

  /** Sets rows {@code from .. from + count} of some columns to zero. */
  void clear(int first, int number, int from, int count) {
    for (int c = first; c < first + number; c++) {
      memory.asSlice(at(from, c), (long) Double.BYTES * count).fill((byte) 0);
    }
  }

  /** The chunks of the rows from {@code first} on, which is a multiple of LANES; each row is so much work. */
  void forRows(int first, int work, Rows body) {
    int start = first / CHUNK;
    boolean few = (long) (chunks - start) * CHUNK * work < FEW;
    Parallel.forRange(chunks - start, Math.max(1, few ? chunks : Math.ceilDiv(chunks - start, Threads.count())), (from, to) -> {
      for (int chunk = start + (int) from; chunk < start + (int) to; chunk++) {
        int row = Math.max(first, chunk * CHUNK);
        int end = Math.min(rows, (chunk + 1) * CHUNK);
        body.run(chunk, row, Math.ceilDiv(end - row, LANES) * LANES);
      }
    });
  }

  /**
   * Works on each matrix of a batch: several at a time where there are, each by one thread, or a single one by all.
   *
   * @param worker makes what a thread needs, in memory of the innermost scope
   */
  static <W> void forMatrices(long count, Supplier<W> worker, ObjLongConsumer<W> body) {
    long share = Math.ceilDiv(count, Threads.count());
    List<W> workers = new ArrayList<>();
    for (long from = 0; from < count; from += share) {
      workers.add(worker.get());
    }
    Parallel.forRange(count, share, (from, to) -> {
      for (long i = from; i < to; i++) {
        body.accept(workers.get((int) (from / share)), i);
      }
    });
  }

  // --------------------------------------------------------------------------------------------------------- in and out

  /** Takes matrix {@code index} of a contiguous batch [..., rows, columns], F32 or F64. */
  void load(Tensor x, long index, ReflectorLoops loops) {
    load(x, index, loops, (_, _) -> {});
  }

  /**
   * The same.
   *
   * @return the bits of the largest magnitude of each column
   */
  long[] loadWithLargest(Tensor x, long index, ReflectorLoops loops) {
    long[] largest = new long[columns];
    load(x, index, loops, (row, count) -> {
      long[] mine = new long[columns];
      loops.largest(columns(0, columns, row), count, mine);
      synchronized (largest) {
        Arrays.setAll(largest, c -> Math.max(largest[c], mine[c]));
      }
    });
    return largest;
  }

  /** Sees rows while they are in the cache. */
  @FunctionalInterface
  interface Seen {
    /** {@code count} of them from {@code row} on, whole LANES. */
    void see(int row, int count);
  }

  private void load(Tensor x, long index, ReflectorLoops loops, Seen then) {
    long bytes = x.dtype().bytes();
    long start = bytes * (x.offset() + index * rows * columns);
    forRows(0, columns, (_, row, count) -> {
      int end = Math.min(rows, row + count);
      for (int i = row; i < end; i += TURNED) {
        int some = Math.min(TURNED, end - i);
        loops.load(x.memory(), x.dtype() == DType.F32, start + bytes * i * columns, bytes * columns, columns(0, columns, i), some);
      }
      if (end < row + count) {
        clear(0, columns, end, row + count - end);
      }
      then.see(row, count);
    });
  }

  /** Writes its first columns as matrix {@code index} of contiguous batches [..., rows, number], F32 or F64. */
  void store(long index, int number, ReflectorLoops loops, Tensor... batches) {
    forRows(0, number, (_, row, count) -> store(index, number, loops, row, count, batches));
  }

  /** The same of {@code count} rows from {@code row} on, whole LANES. */
  void store(long index, int number, ReflectorLoops loops, int row, int count, Tensor... batches) {
    int end = Math.min(rows, row + count);
    for (int i = row; i < end; i += TURNED) {
      Block from = columns(0, number, i);
      for (Tensor x : batches) {
        long bytes = x.dtype().bytes();
        long to = bytes * (x.offset() + (index * rows + i) * number);
        loops.store(from, Math.min(TURNED, end - i), x.memory(), x.dtype() == DType.F32, to, bytes * number);
      }
    }
  }
}
