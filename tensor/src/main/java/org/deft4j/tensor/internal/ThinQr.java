package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.ColumnMatrix.Block;

import static org.deft4j.tensor.internal.ColumnMatrix.CHUNK;
import static org.deft4j.tensor.internal.ColumnMatrix.SQUARE;
import static org.deft4j.tensor.internal.ColumnMatrix.SQUARE_BYTES;
import static org.deft4j.tensor.internal.ColumnMatrix.WIDTH;

/**
 * {@code A = Q R}, A [M, N], by Householder's reflections {@code H_j = 1 - tau_j v_j v_j^T} in float64, K = min(M, N) of them, with the
 * signs of LAPACK's dgeqrf: {@code R_jj = -sign(pivot) norm}, and H_j = 1 where all below the pivot is zero already.
 *
 * <p>A lies in panels of {@link ColumnMatrix#WIDTH} columns. A panel is reduced column by column; one pass applies H_j to it and
 * finds the products of the next column with all others, of which come the next norm, {@code tau v^T A}, and the triangle T of the
 * panel's {@code H_1 H_2 ... = 1 - V T V^T} (Schreiber and Van Loan 1989). The panels after it are then multiplied by that at once:
 * {@code C -= V (T^T (V^T C))}. Q is the same product applied to the first columns of the identity, from the last panel back.
 *
 * <p>The rows of the pivots, of which the sums below them know nothing, are taken out of the panel one by one, zeros left in their place.
 */
final class ThinQr {
  /** Columns whose largest number is 2^e with e beyond this are scaled, so that no square overflows. */
  private static final int MODERATE = 300;
  /** Squares below this may have lost digits to underflow. */
  private static final double TINY = 0x1p-800;

  private final ReflectorLoops loops;
  private final int rows;
  private final int columns;
  private final int reflectors;
  private final ColumnMatrix a;
  private final RowSums sums;
  /** T of each panel. */
  private final double[][] triangles;
  /** R [K, N]. */
  private final double[] r;
  /** The power of two that each column was divided by. */
  private final int[] exponents;
  /** The first rows of the panel at hand: below the diagonal those of V, from it on those of R. */
  private final double[] top = new double[SQUARE];
  /** Minus tau v^T A of the column at hand. */
  private final double[] w = new double[WIDTH];

  private ThinQr(int rows, int columns, ReflectorLoops loops) {
    this.loops = loops;
    this.rows = rows;
    this.columns = columns;
    this.reflectors = Math.min(rows, columns);
    this.a = new ColumnMatrix(rows, columns);
    this.sums = new RowSums(a, Math.max(SQUARE_BYTES * a.panels(), (long) Double.BYTES * CHUNK * WIDTH), loops);
    this.triangles = new double[Math.ceilDiv(reflectors, WIDTH)][SQUARE];
    this.r = new double[reflectors * columns];
    this.exponents = new int[columns];
  }

  /**
   * Decomposes each matrix of a contiguous batch, F32 or F64.
   *
   * @param out Q and R in the type of x, and where that is F32 both in F64 too
   * @throws NumericException if x holds a number that is not finite
   */
  static void run(Tensor x, Tensor[] out, ReflectorLoops loops) {
    int rows = Math.toIntExact(x.size(-2));
    int columns = Math.toIntExact(x.size(-1));
    if (x.elementCount() == 0) {
      return;
    }
    try (Scope _ = Scope.open()) {
      ColumnMatrix.forMatrices(x.elementCount() / ((long) rows * columns), () -> new ThinQr(rows, columns, loops), (qr, i) -> qr.run(x, i, out));
    }
  }

  private void run(Tensor x, long index, Tensor[] out) {
    load(x, index);
    reduce();
    form();
    Tensor[] q = new Tensor[out.length / 2];
    for (int o = 0; o < q.length; o++) {
      q[o] = out[2 * o];
      storeR(Access.of(out[2 * o + 1]), index);
    }
    a.store(index, reflectors, loops, q);
  }

  // --------------------------------------------------------------------------------------------------------- in and out

  private void load(Tensor x, long index) {
    long[] largest = a.loadWithLargest(x, index, loops);
    Arrays.fill(exponents, 0);
    Arrays.fill(r, 0);
    for (int c = 0; c < columns; c++) {
      double most = Double.longBitsToDouble(largest[c]);
      if (!Double.isFinite(most)) {
        Decompositions.requireFinite("qr", x, index);
      }
      if (most != 0 && Math.abs(Math.getExponent(most)) > MODERATE) {
        exponents[c] = Math.getExponent(most);
        scale(c, 0, -exponents[c]);
      }
    }
  }

  /** Column c times a power of two, from a row on. */
  private void scale(int c, int row, int exponent) {
    for (int i = row; i < rows; i++) {
      a.set(i, c, Math.scalb(a.get(i, c), exponent));
    }
  }

  private void storeR(Access to, long index) {
    for (int i = 0; i < r.length; i++) {
      to.set(index * r.length + i, r[i]);
    }
  }

  // ------------------------------------------------------------------------------------------------------------ R and V

  /** The reflectors of a panel. */
  private int reflectors(int panel) {
    return Math.min(WIDTH, reflectors - panel * WIDTH);
  }

  /** Columns of a panel that hold reflectors, or Q. */
  private Block reflectors(int panel, int row) {
    return a.columns(panel * WIDTH, reflectors(panel), row);
  }

  private void reduce() {
    for (int panel = 0; panel < triangles.length; panel++) {
      reduce(panel);
      keepR(panel, reflectors(panel));
      apply(panel, a.panels(), true);
    }
    for (int panel = triangles.length; panel < a.panels(); panel++) {
      keepR(panel, 0);
    }
  }

  private void reduce(int panel) {
    double[] t = triangles[panel];
    Arrays.fill(t, 0);
    int count = reflectors(panel);
    takeOut(panel, 0);
    double[] y = products(panel, 0);
    for (int j = 0; j < count; j++) {
      double factor = reflect(panel, j, y, t);
      if (j + 1 == count) {
        scaleLast(panel, j, factor);
      } else if (factor == 0) {
        takeOut(panel, j + 1);
        y = products(panel, j + 1);
      } else {
        y = eliminate(panel, j, factor);
      }
    }
  }

  /** Moves the row of pivot j to {@link #top}. */
  private void takeOut(int panel, int j) {
    int row = panel * WIDTH + j;
    for (int c = 0; c < a.panelColumns(panel); c++) {
      top[j * WIDTH + c] = a.get(row, panel * WIDTH + c);
      a.set(row, panel * WIDTH + c, 0);
    }
  }

  /** The products of column j, below its pivot, with all columns of the panel. */
  private double[] products(int panel, int j) {
    int size = a.panelColumns(panel);
    return sums.over(panel * WIDTH, size, size,
        (from, count, to, at) -> loops.project(a.columns(panel * WIDTH + j, 1, from), a.panel(panel, from), count, to, at));
  }

  /**
   * Finds H_j from its pivot's row and the products y of the rows below (LAPACK's dlarfg), applies it to that row, and sets w and
   * column j of T.
   *
   * @return what turns the column below the pivot to v; 0 if H_j is 1
   */
  private double reflect(int panel, int j, double[] y, double[] t) {
    int exponent = 0;
    double[] product = y;
    if (y[j] < TINY) {
      double most = largestBelow(panel, j);
      if (most == 0) {
        return 0;
      }
      exponent = Math.getExponent(Math.max(most, Math.abs(top[j * WIDTH + j])));
      scale(panel * WIDTH + j, panel * WIDTH, -exponent);
      top[j * WIDTH + j] = Math.scalb(top[j * WIDTH + j], -exponent);
      product = products(panel, j);
    }
    double alpha = top[j * WIDTH + j];
    double beta = -Math.copySign(Math.sqrt(Math.fma(alpha, alpha, product[j])), alpha);
    double tau = (beta - alpha) / beta;
    double factor = 1 / (alpha - beta);
    Arrays.fill(w, 0);
    for (int c = 0; c < a.panelColumns(panel); c++) {
      // v^T a_c, where v is 1 in the row of the pivot
      double whole = Math.fma(product[c], factor, top[j * WIDTH + c]);
      if (c < j) {
        for (int i = 0; i <= c; i++) {
          t[i * WIDTH + j] -= tau * t[i * WIDTH + c] * whole;
        }
      } else if (c > j) {
        w[c] = -tau * whole;
        top[j * WIDTH + c] += w[c];
      }
    }
    t[j * WIDTH + j] = tau;
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

  /** Applies H_j to the rows below its pivot, and takes out the next pivot's; the products of the column of that. */
  private double[] eliminate(int panel, int j, double factor) {
    int first = panel * WIDTH;
    int row = first + j + 1;
    double v = a.get(row, first + j) * factor;
    a.set(row, first + j, v);
    for (int c = j + 1; c < a.panelColumns(panel); c++) {
      a.set(row, first + c, Math.fma(v, w[c], a.get(row, first + c)));
    }
    takeOut(panel, j + 1);
    int size = a.panelColumns(panel);
    return sums.over(first, size, size,
        (from, count, to, at) -> loops.eliminate(a.panel(panel, from), j, factor, w, count, to, at));
  }

  /** Turns the last column of a panel to v: no column after it needs its reflection. */
  private void scaleLast(int panel, int j, double factor) {
    if (factor != 0) {
      a.forRows(panel * WIDTH, 1, (_, from, count) -> loops.scale(a.panel(panel, from), j, factor, count));
    }
  }

  /** Keeps the columns of R that a panel has come to, and puts the first rows of V back, with their ones and zeros. */
  private void keepR(int panel, int count) {
    int first = panel * WIDTH;
    for (int c = first; c < first + a.panelColumns(panel); c++) {
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

  // ----------------------------------------------------------------------------------------------- products with 1 - V T V^T

  /** Multiplies the panels after {@code panel} and before {@code end} by {@code 1 - V T V^T}, or by its transpose. */
  private void apply(int panel, int end, boolean transposed) {
    int first = panel * WIDTH;
    int others = end - panel - 1;
    if (others <= 0) {
      return;
    }
    double[] z = sums.over(first, others * SQUARE, others * SQUARE, (from, count, to, at) -> {
      for (int i = 0; i < others; i++) {
        loops.project(reflectors(panel, from), a.panel(panel + 1 + i, from), count, to, at + SQUARE_BYTES * i);
      }
    });
    double[][] factors = new double[others][];
    Arrays.setAll(factors, i -> timesMinusT(panel, transposed, Arrays.copyOfRange(z, i * SQUARE, (i + 1) * SQUARE)));
    a.forRows(first, others * SQUARE, (_, from, count) -> {
      for (int i = 0; i < others; i++) {
        loops.add(reflectors(panel, from), factors[i], a.panel(panel + 1 + i, from), count);
      }
    });
  }

  /** {@code -T z}, or {@code -T^T z}, T that of a panel. */
  private double[] timesMinusT(int panel, boolean transposed, double[] z) {
    double[] t = triangles[panel];
    double[] product = new double[SQUARE];
    int size = reflectors(panel);
    for (int i = 0; i < size; i++) {
      for (int s = transposed ? 0 : i; s < (transposed ? i + 1 : size); s++) {
        double factor = -t[transposed ? s * WIDTH + i : i * WIDTH + s];
        for (int l = 0; l < WIDTH; l++) {
          product[i * WIDTH + l] = Math.fma(factor, z[s * WIDTH + l], product[i * WIDTH + l]);
        }
      }
    }
    return product;
  }

  // ------------------------------------------------------------------------------------------------------------------ Q

  /** Q takes the place of V. */
  private void form() {
    for (int panel = triangles.length - 1; panel >= 0; panel--) {
      apply(panel, triangles.length, false);
      formOwn(panel);
    }
  }

  /** The columns of a panel: {@code (1 - V T V^T) E = E - V (T (E^T V)^T)}, E those of the identity. */
  private void formOwn(int panel) {
    int first = panel * WIDTH;
    int size = reflectors(panel);
    double[] square = new double[SQUARE];
    for (int c = 0; c < size; c++) {
      for (int s = 0; s <= c; s++) {
        square[s * WIDTH + c] = a.get(first + c, first + s);
      }
    }
    double[] factor = timesMinusT(panel, false, square);
    a.forRows(first, size * size, (chunk, from, count) -> {
      Block own = reflectors(panel, from);
      Block copy = sums.room(chunk, size);
      for (int c = 0; c < size; c++) {
        MemorySegment.copy(own.memory(), own.column(c), copy.memory(), copy.column(c), (long) Double.BYTES * count);
      }
      a.clear(first, size, from, count);
      for (int c = 0; c < size; c++) {
        if (first + c >= from && first + c < from + count) {
          a.set(first + c, first + c, 1);
        }
      }
      loops.add(copy, factor, own, count);
    });
    if (first > 0) {
      a.clear(first, size, 0, first);
    }
  }
}
