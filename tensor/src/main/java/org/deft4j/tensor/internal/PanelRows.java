package org.deft4j.tensor.internal;

import java.util.Arrays;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/**
 * Rows of a matrix in float64: panels of {@link #WIDTH} columns, each of which lies row by row, the last one filled up with zeros to whole
 * {@link #LANES}. In an array, on loan until it is closed, for there HotSpot makes the better loops. What one thread works on: a few of them fit
 * into a second-level cache.
 */
final class PanelRows implements AutoCloseable {
  /** Columns of a panel, that {@link PanelLoops} work on together; from each row to the next. */
  static final int WIDTH = 16;
  /** The numbers of WIDTH rows of a panel, or products of the columns of two. */
  static final int SQUARE = WIDTH * WIDTH;
  /** The columns of a panel, and the rows that there is room for, are a multiple of it: a vector of 512 bits. */
  private static final int LANES = 8;

  /** Where the numbers start in their array: as {@link Buffer#START}. */
  private static final int START = Buffer.START * Float.BYTES / Double.BYTES;
  private static final Loan.Shelf<double[]> SHELF = new Loan.Shelf<>(double[]::new);

  private final int capacity;
  private final int columns;
  private final Loan<double[]> loan;

  /**
   * Columns of a panel from a row on, as {@link PanelLoops} see them.
   *
   * @param at where the first number is
   * @param width how many columns there are with the zeros: 8 or 16
   * @param columns without the zeros
   */
  record Block(double[] numbers, int at, int width, int columns) {
    /** The first columns alone. */
    Block first(int number) {
      return new Block(numbers, at, width, number);
    }

    double get(int row, int column) {
      return numbers[at + row * WIDTH + column];
    }

    void set(int row, int column, double value) {
      numbers[at + row * WIDTH + column] = value;
    }

    /** Sets the first rows to zero. */
    void clear(int rows) {
      Arrays.fill(numbers, at, at + rows * WIDTH, 0);
    }
  }

  /** Room for so many rows, with anything in it. */
  PanelRows(int rows, int columns) {
    this.capacity = Math.ceilDiv(rows, LANES) * LANES;
    this.columns = columns;
    this.loan = SHELF.take(START + (long) panels() * capacity * WIDTH);
  }

  @Override
  public void close() {
    loan.close();
  }

  /** The panels of WIDTH columns, the last of which may have fewer. */
  int panels() {
    return Math.ceilDiv(columns, WIDTH);
  }

  /** Columns of a panel. */
  int columns(int panel) {
    return Math.min(WIDTH, columns - panel * WIDTH);
  }

  /** A panel from a row on. */
  Block panel(int panel, int row) {
    int own = columns(panel);
    return new Block(loan.array(), START + (capacity * panel + row) * WIDTH, Math.ceilDiv(own, LANES) * LANES, own);
  }

  double get(int row, int column) {
    return panel(column / WIDTH, row).get(0, column % WIDTH);
  }

  void set(int row, int column, double value) {
    panel(column / WIDTH, row).set(0, column % WIDTH, value);
  }

  /** Takes {@code count} rows of a contiguous matrix, F32 or F64, from element {@code at} of the tensor's memory on. */
  void load(Tensor x, long at, int count, PanelLoops loops) {
    long bytes = x.dtype().bytes();
    for (int panel = 0; panel < panels(); panel++) {
      loops.load(x.memory(), x.dtype() == DType.F32, bytes * (at + (long) panel * WIDTH), bytes * columns, panel(panel, 0), count);
    }
  }

  /** Writes {@code count} rows of a contiguous matrix, F32 or F64, from element {@code at} of the tensor's memory on. */
  void store(Tensor x, long at, int count, PanelLoops loops) {
    long bytes = x.dtype().bytes();
    for (int panel = 0; panel < panels(); panel++) {
      loops.store(panel(panel, 0), count, x.memory(), x.dtype() == DType.F32, bytes * (at + (long) panel * WIDTH), bytes * columns);
    }
  }

  /** Takes a small matrix of {@code columns} rows, row by row. */
  void set(double[] matrix) {
    clear();
    for (int panel = 0; panel < panels(); panel++) {
      Block own = panel(panel, 0);
      for (int i = 0; i < columns; i++) {
        System.arraycopy(matrix, i * columns + panel * WIDTH, own.numbers(), own.at() + i * WIDTH, own.columns());
      }
    }
  }

  private void clear() {
    for (int panel = 0; panel < panels(); panel++) {
      panel(panel, 0).clear(capacity);
    }
  }

  /** Multiplies each column by a number, in the first rows. */
  void scaleColumns(double[] factors, int rows) {
    for (int panel = 0; panel < panels(); panel++) {
      Block own = panel(panel, 0);
      for (int i = 0; i < rows; i++) {
        for (int c = 0; c < own.columns(); c++) {
          own.numbers()[own.at() + i * WIDTH + c] *= factors[panel * WIDTH + c];
        }
      }
    }
  }

  /** Becomes the identity. */
  void setIdentity() {
    clear();
    for (int i = 0; i < columns; i++) {
      set(i, i, 1);
    }
  }

  /** Of a small matrix the rows that belong to panel s, and the columns that belong to panel p. */
  Block square(int s, int p) {
    return panel(p, s * WIDTH);
  }
}
