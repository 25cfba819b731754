package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;

/**
 * The loops along rows that a QR decomposition and its gradient are made of, over the same rows of a few columns, at most
 * {@link ColumnMatrix#WIDTH}: whole {@link ColumnMatrix#LANES} of rows, float64. Addresses are in bytes.
 *
 * <p>A sum over rows is left in its chains; that of number i starts LANES float64 numbers after that of number i - 1.
 */
interface ReflectorLoops {
  /**
   * Takes {@code count} rows of a matrix, which need not be whole LANES, as parts of columns, any number of them.
   *
   * @param single whether the matrix is F32, and not F64
   * @param pitch from one of its rows to the next
   */
  void load(MemorySegment x, boolean single, long from, long pitch, ColumnMatrix.Block a, int count);

  /** Writes parts of columns as {@code count} rows of a matrix. */
  void store(ColumnMatrix.Block a, int count, MemorySegment x, boolean single, long to, long pitch);

  /** Raises {@code largest}, the bits of the largest magnitude of each column, of which there may be any number. */
  void largest(ColumnMatrix.Block a, int count, long[] largest);

  /** The chains of {@code z[r][l] = sum_i v_ir c_il}, written to {@code sums} as number {@code r WIDTH + l}. */
  void project(ColumnMatrix.Block v, ColumnMatrix.Block c, int count, MemorySegment sums, long to);

  /** {@code a_ij = a_ij factor}. */
  void scale(ColumnMatrix.Block a, int j, double factor, int count);

  /**
   * {@code v_i = a_ij factor} replaces column j, {@code a_ic = fma(v_i, w_c, a_ic)} follows for all c (w_j is 0), and the chains of
   * {@code y_c = sum_i a_ik a_ic}, k = j + 1, with what came of it, written to {@code sums} as number c.
   */
  void eliminate(ColumnMatrix.Block a, int j, double factor, double[] w, int count, MemorySegment sums, long to);

  /** {@code c_il = c_il + sum_r v_ir w[r][l]}, one chain over r that starts with c_il; w has rows of WIDTH. */
  void add(ColumnMatrix.Block v, double[] w, ColumnMatrix.Block c, int count);

  /**
   * The sums {@code first .. end}, to their places in {@code total}: their chains over {@code chunks} chunks, which lie {@code step} apart, added in order from 0, then
   * folded in halves.
   */
  void fold(MemorySegment sums, long at, long step, int chunks, double[] total, int first, int end);
}
