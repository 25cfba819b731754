package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * Products of which one dimension is at most {@link #MOST}, the rank of an adapter: {@code thin.cu}. They read their large side once, where it
 * lies; cuBLAS would want factors of one type, and has few threads for such shapes.
 */
final class ThinProducts {
  private static final String SOURCE = "thin";
  private static final long MOST = 16;
  private static final long[] WIDTHS = {4, 8, MOST};
  /** Rows of a block of {@code thin_rows}, times the width. */
  private static final long ROWS_BY_WIDTH = 32;
  /** Of the dimension that is summed over, what a block of {@code thin_columns} takes, and the most pieces. */
  private static final long PIECE = 64;
  private static final long MOST_PIECES = 128;
  /** Rows that a thread of {@code thin_outer} goes down. */
  private static final long DOWN = 16;
  /** Columns that a thread of {@code thin_outer} has, if they can be moved at once. */
  private static final long COLUMNS = 4;
  /** Blocks that a grid may have in y. */
  private static final long MOST_ROWS = 65_535;

  private final Launcher launcher;

  ThinProducts(Launcher launcher) {
    this.launcher = launcher;
  }

  /** A matrix: where, of what type, and the elements from one row to the next and from one column to the next. */
  record Matrix(long address, DType dtype, long row, long column) {
    /** The last two dimensions of a tensor. */
    static Matrix of(Tensor tensor) {
      long[] strides = tensor.strides();
      return new Matrix(tensor.address(), tensor.dtype(), strides[strides.length - 2], strides[strides.length - 1]);
    }

    /** The elements of a tensor by rows of so many, without gaps. */
    static Matrix byRows(Tensor tensor, long columns) {
      return new Matrix(tensor.address(), tensor.dtype(), columns, 1);
    }

    Matrix t() {
      return new Matrix(address, dtype, /* row= */ column, /* column= */ row);
    }
  }

  /** {@code C = alpha A B + beta C}, of m x k by k x n; or does nothing and returns false, if this is no product of its kind. */
  boolean multiply(Matrix left, Matrix right, Matrix c, long m, long n, long k, double alpha, double beta) {
    if (k == 0) {
      return false;
    }
    if (n <= MOST && n <= m) {
      return thin(left, right, c, m, n, k, alpha, beta);
    }
    if (m <= MOST) {
      return thin(right.t(), left.t(), c.t(), n, m, k, alpha, beta);
    }
    if (k <= MOST && beta == 0 && c.column() == 1 && c.row() == n && isFor(left, right, c)) {
      outer(left, right, 0, c, m, n, k, alpha);
      return true;
    }
    return false;
  }

  /** {@code Y = X + A B} of dense X and Y [m, n], k being at most {@link #MOST}, or does nothing and returns false. */
  boolean add(Matrix left, Matrix right, long x, Matrix y, long m, long n, long k) {
    if (k > MOST || !isFor(left, right, y)) {
      return false;
    }
    outer(left, right, x, y, m, n, k, 1);
    return true;
  }

  /** Whether there are kernels of these types. */
  private static boolean isFor(Matrix a, Matrix b, Matrix c) {
    return areFactors(a, b) && c.dtype() == a.dtype();
  }

  /** The same where sums are parts in F32 before they are the result, of either type. */
  private static boolean areFactors(Matrix a, Matrix b) {
    return (a.dtype() == DType.F32 || a.dtype() == DType.BF16) && (b.dtype() == a.dtype() || b.dtype() == DType.F32);
  }

  private boolean thin(Matrix a, Matrix b, Matrix c, long m, long n, long k, double alpha, double beta) {
    if (a.column() == 1 && isFor(a, b, c)) {
      launcher.rows(Math.ceilDiv(m, ROWS_BY_WIDTH / width(n)), Launcher.THREADS, SOURCE, kernel("thin_rows", n, a, b), a.address(), a.row(),
          b.address(), b.row(), b.column(), c.address(), c.row(), c.column(), m, k, (int) n, (float) alpha, (float) beta);
      return true;
    }
    if (a.row() != 1 || !areFactors(a, b)) {
      return false;
    }
    long pieces = Math.clamp(k / PIECE, 1, MOST_PIECES);
    long piece = Math.ceilDiv(k, pieces);
    try (Tensor parts = Tensor.empty(Device.CUDA, DType.F32, Shape.of(pieces, n, m))) {
      launcher.grid(Math.ceilDiv(m, (long) Launcher.THREADS), pieces, 1, Launcher.THREADS, 0, SOURCE, kernel("thin_columns", n, a, b),
          a.address(), a.column(), b.address(), b.row(), b.column(), parts, m, k, (int) n, piece);
      launcher.each(m * n, SOURCE, Launcher.variant("thin_columns_sum", c.dtype()), parts, c.address(), c.row(), c.column(), m, (int) n,
          pieces, (float) alpha, (float) beta);
    }
    return true;
  }

  private void outer(Matrix a, Matrix b, long x, Matrix y, long m, long n, long k, double alpha) {
    long rows = Math.max(DOWN, Math.ceilDiv(m, MOST_ROWS));
    launcher.grid(Math.ceilDiv(n, COLUMNS * Launcher.THREADS), Math.ceilDiv(m, rows), 1, Launcher.THREADS, 0, SOURCE,
        kernel("thin_outer", k, a, b), a.address(), a.row(), a.column(), b.address(), b.row(), b.column(), x, y.address(), m, n, (int) k,
        (float) alpha, rows);
  }

  private static String kernel(String name, long thin, Matrix a, Matrix b) {
    return Launcher.variant(Launcher.variant(name + "_" + width(thin), a.dtype()), b.dtype());
  }

  private static long width(long n) {
    for (long width : WIDTHS) {
      if (n <= width) {
        return width;
      }
    }
    throw new IllegalArgumentException(n + " is not thin");
  }
}
