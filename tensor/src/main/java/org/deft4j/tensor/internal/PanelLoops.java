package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import org.deft4j.tensor.internal.PanelRows.Block;

/**
 * The loops along rows that a QR decomposition and its gradient are made of, over the same rows of a panel or two. A sum over rows is one chain
 * of fused multiply-adds from 0, first row first. Addresses are in bytes.
 */
interface PanelLoops {
  /**
   * Takes {@code count} rows of a matrix, and zeros beyond the last column.
   *
   * @param single whether the matrix is F32, and not F64
   * @param pitch from one of its rows to the next
   */
  void load(MemorySegment x, boolean single, long from, long pitch, Block a, int count);

  /** Writes {@code count} rows of a matrix, without what is beyond the last column. */
  void store(Block a, int count, MemorySegment x, boolean single, long to, long pitch);

  /** The largest magnitude of each column, or NaN, or infinity, to {@code largest} from {@code at} on. */
  void largest(Block a, int count, double[] largest, int at);

  /** {@code z[r][l] = sum_i v_ir c_il}, z in rows of WIDTH from {@code at} on; what is beyond the columns may be anything. */
  void project(Block v, Block c, int count, double[] z, int at);

  /**
   * With {@code v_i = a_ij factor} all columns become {@code a_ic = fma(v_i, w_c, a_ic)}, w_j being 0; then {@code y_c = sum_i a_i,j+1 a_ic}; and v takes
   * the place of column j, y_j being multiplied by the factor.
   */
  void eliminate(Block a, int j, double factor, double[] w, int count, double[] y);

  /**
   * {@code c_il = fma(v_ir, w[r][l], c_il)} for r = 0, 1, ..., w in rows of WIDTH from {@code at} on. Up to 7 rows after the last may become
   * anything.
   */
  void add(Block v, double[] w, int at, Block c, int count);
}
