package org.deft4j.tensor.internal;

import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.ColumnMatrix.Block;

import static org.deft4j.tensor.internal.ColumnMatrix.SQUARE;
import static org.deft4j.tensor.internal.ColumnMatrix.SQUARE_BYTES;
import static org.deft4j.tensor.internal.ColumnMatrix.WIDTH;

/**
 * The gradient of {@code X = Q R}, X [M, N] with M at least N, in float64 (Walter and Lehmann, "Algorithmic differentiation of linear
 * algebra functions", 2010):
 *
 * <pre>
 *   dX = (dQ + Q sym(R dR^T - dQ^T Q)) R^-T = dQ Y + Q (sym(...) Y)      Y = R^-T
 * </pre>
 *
 * where sym takes the lower triangle and mirrors it. Two products over the rows, and N x N matrices between them.
 */
final class QrGradient {
  private final ReflectorLoops loops;
  private final int n;
  private final ColumnMatrix q;
  private final ColumnMatrix dq;
  private final ColumnMatrix dx;
  private final RowSums sums;

  private QrGradient(int m, int n, ReflectorLoops loops) {
    this.loops = loops;
    this.n = n;
    this.q = new ColumnMatrix(m, n);
    this.dq = new ColumnMatrix(m, n);
    this.dx = new ColumnMatrix(m, n);
    this.sums = new RowSums(q, SQUARE_BYTES * q.panels(), loops);
  }

  /** Computes dX of each matrix of a batch; {@code in} are Q and R in F64, dQ, and dR unless that is zero; all contiguous. */
  static void run(Tensor[] in, Tensor out, ReflectorLoops loops) {
    if (out.elementCount() == 0) {
      return;
    }
    int m = Math.toIntExact(out.size(-2));
    int n = Math.toIntExact(out.size(-1));
    try (Scope _ = Scope.open()) {
      ColumnMatrix.forMatrices(out.elementCount() / ((long) m * n), () -> new QrGradient(m, n, loops), (gradient, i) -> gradient.run(in, i, out));
    }
  }

  private void run(Tensor[] in, long index, Tensor out) {
    q.load(in[0], index, loops);
    dq.load(in[2], index, loops);
    run(square(in[1], index, n), in.length == 4 ? square(in[3], index, n) : null, (row, count) -> dx.store(index, n, loops, row, count, out));
  }

  private static double[] square(Tensor x, long index, int n) {
    Access from = Access.of(x);
    double[] square = new double[n * n];
    for (int i = 0; i < square.length; i++) {
      square[i] = from.get(index * square.length + i);
    }
    return square;
  }

  private void run(double[] r, double[] dr, ColumnMatrix.Seen done) {
    double[] y = inverseTransposed(r);
    double[] sym = symmetric(r, dr);
    double[] symY = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < n; k++) {
        addRow(sym[i * n + k], y, k * n, k + 1, symY, i * n);
      }
    }
    double[][] first = squares(y);
    double[][] second = squares(symY);
    q.forRows(0, n * n, (_, from, count) -> {
      dx.clear(0, n, from, count);
      for (int panel = 0; panel < q.panels(); panel++) {
        Block to = dx.panel(panel, from);
        for (int s = 0; s < q.panels(); s++) {
          if (s >= panel) {
            loops.add(dq.panel(s, from), first[s * q.panels() + panel], to, count);
          }
          loops.add(q.panel(s, from), second[s * q.panels() + panel], to, count);
        }
      }
      done.see(from, count);
    });
  }

  /** {@code to[0 .. count] += factor from[0 .. count]}. */
  private static void addRow(double factor, double[] from, int at, int count, double[] to, int start) {
    for (int c = 0; c < count; c++) {
      to[start + c] = Math.fma(factor, from[at + c], to[start + c]);
    }
  }

  /** R^-T, lower triangular: row i of {@code R^T Y = 1} gives {@code R_ii Y_i = e_i - sum_k<i R_ki Y_k}. */
  private double[] inverseTransposed(double[] r) {
    double[] y = new double[n * n];
    for (int i = 0; i < n; i++) {
      y[i * n + i] = 1;
      for (int k = 0; k < i; k++) {
        addRow(-r[k * n + i], y, k * n, k + 1, y, i * n);
      }
      for (int c = 0; c <= i; c++) {
        y[i * n + c] /= r[i * n + i];
      }
    }
    return y;
  }

  /** {@code sym(R dR^T - dQ^T Q)}. */
  private double[] symmetric(double[] r, double[] dr) {
    double[] sym = new double[n * n];
    for (int panel = 0; panel < q.panels(); panel++) {
      int p = panel;
      int last = q.panelColumns(p) - 1;
      double[] products = sums.over(0, p * SQUARE + last * WIDTH + last + 1, (last + 1) * Math.min(n, (p + 1) * WIDTH), (from, count, to, at) -> {
        for (int s = 0; s <= p; s++) {
          loops.project(dq.panel(p, from), q.panel(s, from), count, to, at + SQUARE_BYTES * s);
        }
      });
      for (int i = p * WIDTH; i < Math.min(n, (p + 1) * WIDTH); i++) {
        for (int j = 0; j <= i; j++) {
          double value = -products[j / WIDTH * SQUARE + (i - p * WIDTH) * WIDTH + j % WIDTH];
          if (dr != null) {
            for (int k = i; k < n; k++) {
              value = Math.fma(r[i * n + k], dr[j * n + k], value);
            }
          }
          sym[i * n + j] = value;
          sym[j * n + i] = value;
        }
      }
    }
    return sym;
  }

  /** An N x N matrix in squares of panels, row by row. */
  private double[][] squares(double[] matrix) {
    double[][] squares = new double[q.panels() * q.panels()][SQUARE];
    for (int i = 0; i < n; i++) {
      for (int c = 0; c < n; c++) {
        squares[i / WIDTH * q.panels() + c / WIDTH][i % WIDTH * WIDTH + c % WIDTH] = matrix[i * n + c];
      }
    }
    return squares;
  }
}
