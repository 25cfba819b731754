package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;

/**
 * The loops along rows that a {@link ThinQr} is made of, over a stretch of a panel: rows of {@link ThinQr#WIDTH} float64 numbers, side by
 * side. Addresses are in bytes.
 */
interface ReflectorLoops {
  /**
   * Copies {@code count} rows of a matrix to a panel, and raises {@code largest}, the bits of the largest magnitude of each column.
   *
   * @param pitch from one row of the matrix to the next
   * @param lanes the columns of the panel that the matrix has; the others become 0
   */
  void load(MemorySegment x, long from, long pitch, int lanes, MemorySegment a, long at, int count, long[] largest, int column);

  /** Copies the first {@code lanes} columns of {@code count} rows of a panel to a matrix. */
  void store(MemorySegment a, long at, int lanes, MemorySegment x, long to, long pitch, int count);

  /** {@code y_c = sum_i a_ij a_ic} for all columns c, chains over i; written to {@code sums}. */
  void dots(MemorySegment a, long at, int count, int j, MemorySegment sums, long to);

  /**
   * {@code v_i = a_ij factor} replaces column j, {@code a_ic = fma(v_i, w_c, a_ic)} follows for all c (w_j is 0), and {@link #dots} of column
   * {@code next} with what came of it.
   *
   * @param sums also memory for two numbers a row after those that are written
   */
  void eliminate(MemorySegment a, long at, int count, int j, double factor, double[] w, int next, MemorySegment sums, long to);

  /** {@code z = v^T c} for two panels, chains over the rows; {@code z[r][l]} is written to {@code sums}, row by row. */
  void project(MemorySegment a, long v, long c, int count, MemorySegment sums, long to);

  /** {@code c = c + v w}, chains over the columns of v; w is WIDTH x WIDTH. v may lie in another segment. */
  void add(MemorySegment from, long v, double[] w, MemorySegment a, long c, int count);
}
