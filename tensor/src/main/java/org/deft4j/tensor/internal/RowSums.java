package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * Sums over the rows of a {@link ColumnMatrix}, many at a time: those of each chunk of rows in its {@link ColumnMatrix#LANES} chains, which are
 * then added in the order of the chunks and folded in halves. In memory of the innermost scope.
 */
final class RowSums {
  /** Chains of chunks that are worth a second thread. */
  private static final long FEW = 1 << 13;

  private final ColumnMatrix rows;
  private final ReflectorLoops loops;
  private final long pitch;
  private final MemorySegment memory;

  /** Leaves the chains of sums where it is told to. */
  @FunctionalInterface
  interface Chains {
    /** Those of {@code count} rows from {@code from} on, of one chunk. */
    void sum(int from, int count, MemorySegment sums, long to);
  }

  /** For sums whose chains take {@code bytes} for each chunk. */
  RowSums(ColumnMatrix rows, long bytes, ReflectorLoops loops) {
    this.rows = rows;
    this.loops = loops;
    this.pitch = bytes;
    this.memory = Tensor.empty(Device.CPU, DType.F64, Shape.of(rows.chunks(), bytes / Double.BYTES)).memory();
  }

  /**
   * {@code size} sums over the rows from {@code first} on.
   *
   * @param work multiply-adds for each row
   */
  double[] over(int first, int size, int work, Chains chains) {
    double[] total = new double[size];
    rows.forRows(first, work, (chunk, from, count) -> chains.sum(from, count, memory, chunk * pitch));
    int start = first / ColumnMatrix.CHUNK;
    int chunks = rows.chunks() - start;
    long grain = Math.max(1, FEW / chunks);
    Parallel.forRange(size, grain, (from, to) -> loops.fold(memory, start * pitch, pitch, chunks, total, (int) from, (int) to));
    return total;
  }

  /** Room for {@code columns} columns of a chunk while its sums are not needed. */
  ColumnMatrix.Block room(int chunk, int columns) {
    return new ColumnMatrix.Block(memory, chunk * pitch, (long) Double.BYTES * ColumnMatrix.CHUNK, columns);
  }
}
