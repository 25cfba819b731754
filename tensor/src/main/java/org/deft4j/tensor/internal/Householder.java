package org.deft4j.tensor.internal;

import java.util.Arrays;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.PanelRows.Block;

import static org.deft4j.tensor.internal.PanelRows.SQUARE;
import static org.deft4j.tensor.internal.PanelRows.WIDTH;

/**
 * {@code A = Q R}, A [M, N], by Householder's reflections {@code H_j = 1 - tau_j v_j v_j^T} in float64, K = min(M, N) of them, with the
 * signs of LAPACK's dgeqrf: {@code R_jj = -sign(pivot) norm}, and H_j = 1 where all below the pivot is zero already. By one thread.
 *
 * <p>A lies in panels of {@link PanelRows#WIDTH} columns. A panel is reduced column by column; one pass applies H_j to it and
 * finds the products of the next column with all others, of which come the next norm, {@code tau v^T A}, and the triangle U of the
 * panel's {@code H_1 H_2 ... = 1 + V U V^T} (Schreiber and Van Loan 1989, who write T = -U). The panels after it are then multiplied by that at
 * once: {@code C += V (U^T (V^T C))}. The triangle of all reflections has those of the panels p on its diagonal, and beside them
 *
 * <pre>
 *   U_sp = sum_t=s..p-1 U_st (V_t^T V_p U_pp)        Q [B; 0] = [B; 0] + V (U (V_1^T B))
 * </pre>
 *
 * where V_1 are the first K rows of V, and B is the identity for Q itself.
 *
 * <p>The rows of the pivots, of which the sums below them know nothing, are taken out of the panel one by one, zeros left in their place.
 */
final class Householder implements AutoCloseable {
  /** Columns whose largest number is 2^e with e beyond this are scaled, so that no square overflows. */
  private static final int MODERATE = 300;
  /** Squares below this may have lost digits to underflow. */
  private static final double TINY = 0x1p-800;

  private final PanelLoops loops;
  private final int rows;
  private final int columns;
  private final int reflectors;
  /** A, and then V, with R above it. */
  private final PanelRows a;
  /** U [K, K], the rows below its triangle anything. */
  private final PanelRows u;
  /** K rows for a product with U. */
  private final PanelRows thin;
  /** R [K, N]. */
  private final double[] r;
  /** The power of two that each column was divided by. */
  private final int[] exponents;
  /** The first rows of the panel at hand: below the diagonal those of V, from it on those of R. */
  private final double[] top = new double[SQUARE];
  /** Minus tau v^T A of the column at hand. */
  private final double[] w = new double[WIDTH];
  /** Products of that column with those of its panel. */
  private final double[] y = new double[WIDTH];
  /** Products of the columns of two panels, and what comes of them. */
  private final double[] z = new double[SQUARE];
  private final double[] product = new double[SQUARE];

  /** For matrices of M x N. */
  Householder(int rows, int columns, PanelLoops loops) {
    this.loops = loops;
    this.rows = rows;
    this.columns = columns;
    this.reflectors = Math.min(rows, columns);
    this.a = new PanelRows(rows, columns);
    this.u = new PanelRows(reflectors, reflectors);
    this.thin = new PanelRows(reflectors, reflectors);
    this.r = new double[reflectors * columns];
    this.exponents = new int[columns];
  }

  @Override
  public void close() {
    a.close();
    u.close();
    thin.close();
  }

  /** Decomposes the contiguous matrix, F32 or F64, that begins at element {@code at}; false if it holds a number that is not finite. */
  boolean decompose(Tensor x, long at) {
    a.load(x, at, rows, loops);
    if (!scale()) {
      return false;
    }
    Arrays.fill(r, 0);
    for (int panel = 0; panel < u.panels(); panel++) {
      reduce(panel);
      keepR(panel, u.columns(panel));
      apply(panel);
      join(panel);
    }
    for (int panel = u.panels(); panel < a.panels(); panel++) {
      keepR(panel, 0);
    }
    return true;
  }

  /** R [K, N] of the last matrix. */
  double[] r() {
    return r;
  }

  /** Whether H_j of the last matrix is not 1. */
  boolean reflects(int j) {
    return u.get(j, j) != 0;
  }

  // ------------------------------------------------------------------------------------------------------------- scales

  private boolean scale() {
    double[] largest = new double[columns];
    for (int panel = 0; panel < a.panels(); panel++) {
      loops.largest(a.panel(panel, 0), rows, largest, panel * WIDTH);
    }
    Arrays.fill(exponents, 0);
    for (int c = 0; c < columns; c++) {
      if (!Double.isFinite(largest[c])) {
        return false;
      }
      if (largest[c] != 0 && Math.abs(Math.getExponent(largest[c])) > MODERATE) {
        exponents[c] = Math.getExponent(largest[c]);
        scale(c, 0, -exponents[c]);
      }
    }
    return true;
  }

  /** Column c times a power of two, from a row on. */
  private void scale(int c, int row, int exponent) {
    for (int i = row; i < rows; i++) {
      a.set(i, c, Math.scalb(a.get(i, c), exponent));
    }
  }

  // ------------------------------------------------------------------------------------------------------------ R and V

  /** The columns of a panel that hold reflectors. */
  private Block v(int panel, int row) {
    return a.panel(panel, row).first(u.columns(panel));
  }

  private void reduce(int panel) {
    int count = u.columns(panel);
    u.square(panel, panel).clear(count);
    takeOut(panel, 0);
    findProducts(panel, 0);
    for (int j = 0; j < count; j++) {
      double factor = reflect(panel, j);
      if (j + 1 == count) {
        scaleLast(panel, j, factor);
      } else if (factor == 0) {
        takeOut(panel, j + 1);
        findProducts(panel, j + 1);
      } else {
        eliminate(panel, j, factor);
      }
    }
  }

  /** Moves the row of pivot j to {@link #top}. */
  private void takeOut(int panel, int j) {
    Block row = a.panel(panel, panel * WIDTH + j);
    for (int c = 0; c < row.columns(); c++) {
      top[j * WIDTH + c] = row.get(0, c);
      row.set(0, c, 0);
    }
  }

  /** The products of column j, below its pivot, with all columns of the panel. */
  private void findProducts(int panel, int j) {
    int first = panel * WIDTH;
    Block own = a.panel(panel, first);
    Block column = new Block(own.numbers(), own.at() + j, own.width(), 1);
    loops.project(column, own, rows - first, y, 0);
  }

  /**
   * Finds H_j from its pivot's row and the products y of the rows below (LAPACK's dlarfg), applies it to that row, and sets w and
   * column j of U.
   *
   * @return what turns the column below the pivot to v; 0 if H_j is 1
   */
  private double reflect(int panel, int j) {
    Block triangle = u.square(panel, panel);
    int exponent = 0;
    if (y[j] < TINY) {
      double most = largestBelow(panel, j);
      if (most == 0) {
        return 0;
      }
      exponent = Math.getExponent(Math.max(most, Math.abs(top[j * WIDTH + j])));
      scale(panel * WIDTH + j, panel * WIDTH, -exponent);
      top[j * WIDTH + j] = Math.scalb(top[j * WIDTH + j], -exponent);
      findProducts(panel, j);
    }
    double alpha = top[j * WIDTH + j];
    double beta = -Math.copySign(Math.sqrt(Math.fma(alpha, alpha, y[j])), alpha);
    double tau = (beta - alpha) / beta;
    double factor = 1 / (alpha - beta);
    Arrays.fill(w, 0);
    for (int c = 0; c < a.columns(panel); c++) {
      // v^T a_c, where v is 1 in the row of the pivot
      double whole = Math.fma(y[c], factor, top[j * WIDTH + c]);
      if (c < j) {
        for (int i = 0; i <= c; i++) {
          triangle.set(i, j, triangle.get(i, j) - tau * triangle.get(i, c) * whole);
        }
      } else if (c > j) {
        w[c] = -tau * whole;
        top[j * WIDTH + c] += w[c];
      }
    }
    triangle.set(j, j, -tau);
    top[j * WIDTH + j] = Math.scalb(beta, exponent);
    return factor;
  }

  private double largestBelow(int panel, int j) {
    double most = 0;
    for (int i = panel * WIDTH + j + 1; i < rows; i++) {
      most = Math.max(most, Math.abs(a.get(i, panel * WIDTH + j)));
    }
    return most;
  }

  /** Applies H_j to the rows below its pivot, and takes out the next pivot's; finds the products of the column of that. */
  private void eliminate(int panel, int j, double factor) {
    int first = panel * WIDTH;
    Block row = a.panel(panel, first + j + 1);
    double v = row.get(0, j) * factor;
    row.set(0, j, v);
    for (int c = j + 1; c < row.columns(); c++) {
      row.set(0, c, Math.fma(v, w[c], row.get(0, c)));
    }
    takeOut(panel, j + 1);
    loops.eliminate(a.panel(panel, first), j, factor, w, rows - first, y);
  }

  /** Turns the last column of a panel to v: no column after it needs its reflection. */
  private void scaleLast(int panel, int j, double factor) {
    if (factor != 0) {
      Block own = a.panel(panel, panel * WIDTH);
      for (int i = 0; i < rows - panel * WIDTH; i++) {
        own.set(i, j, own.get(i, j) * factor);
      }
    }
  }

  /** Keeps the columns of R that a panel has come to, and puts the first rows of V back, with their ones and zeros. */
  private void keepR(int panel, int count) {
    int first = panel * WIDTH;
    for (int c = first; c < first + a.columns(panel); c++) {
      for (int row = 0; row < Math.min(first, reflectors); row++) {
        r[row * columns + c] = Math.scalb(a.get(row, c), exponents[c]);
      }
      for (int j = 0; j < count; j++) {
        boolean below = j > c - first;
        double value = top[j * WIDTH + c - first];
        r[(first + j) * columns + c] = below ? 0 : Math.scalb(value, exponents[c]);
        a.set(first + j, c, below ? value : j == c - first ? 1 : 0);
      }
    }
  }

  // ----------------------------------------------------------------------------------------------- products with 1 + V U V^T

  /** Multiplies the panels after {@code panel} by its {@code 1 + V U^T V^T}. */
  private void apply(int panel) {
    int first = panel * WIDTH;
    Block triangle = u.square(panel, panel);
    for (int other = panel + 1; other < a.panels(); other++) {
      loops.project(v(panel, first), a.panel(other, first), rows - first, z, 0);
      Arrays.fill(product, 0);
      for (int i = 0; i < triangle.columns(); i++) {
        for (int s = 0; s <= i; s++) {
          addRow(triangle.get(s, i), z, s * WIDTH, product, i * WIDTH);
        }
      }
      loops.add(v(panel, first), product, 0, a.panel(other, first), rows - first);
    }
  }

  /** {@code to[0 .. WIDTH] += factor from[0 .. WIDTH]}. */
  private static void addRow(double factor, double[] from, int at, double[] to, int start) {
    for (int l = 0; l < WIDTH; l++) {
      to[start + l] = Math.fma(factor, from[at + l], to[start + l]);
    }
  }

  /** The squares of U above that of a panel. */
  private void join(int panel) {
    int first = panel * WIDTH;
    Block triangle = u.square(panel, panel);
    for (int s = 0; s < panel; s++) {
      u.square(s, panel).clear(WIDTH);
    }
    for (int t = 0; t < panel; t++) {
      loops.project(v(t, first), v(panel, first), rows - first, z, 0);
      Arrays.fill(product, 0);
      for (int i = 0; i < WIDTH; i++) {
        for (int s = 0; s < triangle.columns(); s++) {
          addRow(z[i * WIDTH + s], triangle.numbers(), triangle.at() + s * WIDTH, product, i * WIDTH);
        }
      }
      for (int s = 0; s <= t; s++) {
        loops.add(u.square(s, t), product, 0, u.square(s, panel), WIDTH);
      }
    }
  }

  // ------------------------------------------------------------------------------------------------------------------ Q

  /**
   * The first rows of {@code Q [B; 0]} of the last matrix, B [K, K].
   *
   * @param upper whether B is an upper triangle, as then U V_1^T B is
   * @param count how many rows; at least K
   */
  void multiply(PanelRows b, boolean upper, PanelRows to, int count) {
    for (int panel = 0; panel < to.panels(); panel++) {
      int end = upper ? panel + 1 : u.panels();
      for (int p = 0; p < end; p++) {
        thin.panel(panel, p * WIDTH).clear(u.columns(p));
      }
      for (int s = 0; s < end; s++) {
        loops.project(v(s, s * WIDTH), b.panel(panel, s * WIDTH), reflectors - s * WIDTH, z, 0);
        for (int p = 0; p <= s; p++) {
          loops.add(u.square(p, s), z, 0, thin.panel(panel, p * WIDTH), u.columns(p));
        }
      }
      Block own = b.panel(panel, 0);
      Block target = to.panel(panel, 0);
      target.clear(count);
      System.arraycopy(own.numbers(), own.at(), target.numbers(), target.at(), reflectors * WIDTH);
      for (int s = 0; s < end; s++) {
        Block factors = thin.panel(panel, s * WIDTH);
        loops.add(v(s, s * WIDTH), factors.numbers(), factors.at(), to.panel(panel, s * WIDTH), count - s * WIDTH);
      }
    }
  }
}
