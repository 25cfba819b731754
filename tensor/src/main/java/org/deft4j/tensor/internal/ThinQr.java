package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

/**
 * {@code A = Q R}, A [M, N], by Householder's reflections {@code H_j = 1 - tau_j v_j v_j^T} in float64, K = min(M, N) of them, with the
 * signs of LAPACK's dgeqrf: {@code R_jj = -sign(pivot) norm}, and H_j = 1 where all below the pivot is zero already.
 *
 * <p>A lies in panels of {@link #WIDTH} columns, each panel row by row. A panel is reduced column by column; one pass applies H_j to it and
 * finds the products of the next column with all others, of which come the next norm, {@code tau v^T A}, and the triangle T of the
 * panel's {@code H_1 H_2 ... = 1 - V T V^T} (Schreiber and Van Loan 1989). The panels after it are then multiplied by that at once:
 * {@code C -= V (T^T (V^T C))}. Q is the same product applied to the first columns of the identity, from the last panel back.
 *
 * <p>Sums over rows are chains over {@link #CHUNK} rows, the chunks added in order; so nothing depends on who computes what.
 */
final class ThinQr {
  /** Columns of a panel; part of the definition of the result's bits. */
  static final int WIDTH = 16;
  /** Bytes of a row of a panel. */
  static final long ROW = (long) Double.BYTES * WIDTH;
  private static final int CHUNK = Sums.ROWS;
  private static final int SQUARE = WIDTH * WIDTH;
  /** Numbers below which one thread is faster alone: the other would have to get them from its cache, and it them back. */
  private static final long FEW = 1 << 15;
  /** Columns whose largest number is 2^e with e beyond this are scaled, so that no square overflows. */
  private static final int MODERATE = 300;
  /** Squares below this may have lost digits to underflow. */
  private static final double TINY = 0x1p-800;

  private final ReflectorLoops loops;
  private final int rows;
  private final int columns;
  private final int reflectors;
  private final int panels;
  private final int chunks;
  private final MemorySegment a;
  /** For each chunk of rows its sums, or a copy of its rows of a panel. */
  private final MemorySegment sums;
  private final long sumBytes;
  /** T of each panel. */
  private final double[][] triangles;
  /** The power of two that each column was divided by. */
  private final int[] exponents;
  /** Minus tau v^T A of the column at hand. */
  private final double[] w = new double[WIDTH];

  private ThinQr(int rows, int columns, ReflectorLoops loops) {
    this.loops = loops;
    this.rows = rows;
    this.columns = columns;
    this.reflectors = Math.min(rows, columns);
    this.panels = Math.ceilDiv(columns, WIDTH);
    this.chunks = Math.ceilDiv(rows, CHUNK);
    this.sumBytes = (long) Double.BYTES * SQUARE * Math.max(panels, CHUNK * WIDTH / SQUARE);
    this.a = Tensor.empty(Device.CPU, DType.F64, Shape.of(panels, rows, WIDTH)).memory();
    this.sums = Tensor.empty(Device.CPU, DType.F64, Shape.of(chunks, sumBytes / Double.BYTES)).memory();
    this.triangles = new double[Math.ceilDiv(reflectors, WIDTH)][SQUARE];
    this.exponents = new int[columns];
  }

  /**
   * Decomposes each matrix of a contiguous batch.
   *
   * @throws NumericException if it holds a number that is not finite
   */
  static void run(Tensor x, Tensor[] out, ReflectorLoops loops) {
    int rows = Math.toIntExact(x.size(-2));
    int columns = Math.toIntExact(x.size(-1));
    if (x.elementCount() == 0) {
      return;
    }
    try (Scope _ = Scope.open()) {
      ThinQr qr = new ThinQr(rows, columns, loops);
      boolean isDouble = x.dtype() == DType.F64;
      Tensor matrix = isDouble ? x : Tensor.empty(Device.CPU, DType.F64, x.shape());
      Tensor q = isDouble ? out[0] : Tensor.empty(Device.CPU, DType.F64, out[0].shape());
      if (!isDouble) {
        StridedCopy.convert(x, matrix);
      }
      for (long i = 0; i < x.elementCount() / ((long) rows * columns); i++) {
        qr.load(x, matrix, i);
        qr.reduce(Access.of(out[1]), i);
        qr.form();
        qr.store(q, i);
      }
      if (!isDouble) {
        StridedCopy.convert(q, out[0]);
      }
    }
  }

  // ------------------------------------------------------------------------------------------------------- rows, in parallel

  private long at(int panel, int row) {
    return ((long) panel * rows + row) * ROW;
  }

  private double get(long at, int column) {
    return a.get(ValueLayout.JAVA_DOUBLE, at + (long) Double.BYTES * column);
  }

  private void set(long at, int column, double value) {
    a.set(ValueLayout.JAVA_DOUBLE, at + (long) Double.BYTES * column, value);
  }

  private long sumsAt(int chunk) {
    return chunk * sumBytes;
  }

  private int panelColumns(int panel) {
    return Math.min(WIDTH, columns - panel * WIDTH);
  }

  /** Works on rows {@code from .. to} of one chunk. */
  @FunctionalInterface
  private interface Rows {
    /** Does it. */
    void run(int chunk, int from, int to);
  }

  /** The chunks of the rows from {@code first} on; each row is {@code width} numbers of work. */
  private void forRows(int first, int width, Rows body) {
    int start = first / CHUNK;
    boolean few = (long) (chunks - start) * CHUNK * width < FEW;
    Parallel.forRange(chunks - start, Math.max(1, few ? chunks : Math.ceilDiv(chunks - start, Threads.count())), (from, to) -> {
      for (int chunk = start + (int) from; chunk < start + (int) to; chunk++) {
        body.run(chunk, Math.max(first, chunk * CHUNK), Math.min(rows, (chunk + 1) * CHUNK));
      }
    });
  }

  /** What {@code body} leaves in the sums of its chunk, {@code size} numbers, added over the rows from {@code first} on. */
  private double[] sum(int first, int size, Rows body) {
    double[] total = new double[size];
    if (first < rows) {
      forRows(first, size, body);
      for (int chunk = first / CHUNK; chunk < chunks; chunk++) {
        for (int i = 0; i < size; i++) {
          total[i] += sums.get(ValueLayout.JAVA_DOUBLE, sumsAt(chunk) + (long) Double.BYTES * i);
        }
      }
    }
    return total;
  }

  // --------------------------------------------------------------------------------------------------------- in and out

  private void load(Tensor x, Tensor matrix, long index) {
    long pitch = (long) Double.BYTES * columns;
    long start = Double.BYTES * matrix.offset() + index * rows * pitch;
    long[] largest = new long[panels * WIDTH];
    forRows(0, columns, (_, from, to) -> {
      long[] mine = new long[panels * WIDTH];
      for (int panel = 0; panel < panels; panel++) {
        loops.load(matrix.memory(), start + from * pitch + panel * ROW, pitch, panelColumns(panel), a, at(panel, from), to - from, mine,
            panel * WIDTH);
      }
      synchronized (largest) {
        Arrays.setAll(largest, c -> Math.max(largest[c], mine[c]));
      }
    });
    Arrays.fill(exponents, 0);
    for (int c = 0; c < columns; c++) {
      double most = Double.longBitsToDouble(largest[c]);
      if (!Double.isFinite(most)) {
        Decompositions.requireFinite("qr", x, index);
      }
      if (most != 0 && Math.abs(Math.getExponent(most)) > MODERATE) {
        exponents[c] = Math.getExponent(most);
        scale(c / WIDTH, c % WIDTH, 0, -exponents[c]);
      }
    }
  }

  /** Column c of a panel times a power of two, from a row on. */
  private void scale(int panel, int c, int row, int exponent) {
    for (int i = row; i < rows; i++) {
      set(at(panel, i), c, Math.scalb(get(at(panel, i), c), exponent));
    }
  }

  private void store(Tensor q, long index) {
    long pitch = (long) Double.BYTES * reflectors;
    long start = Double.BYTES * q.offset() + index * rows * pitch;
    forRows(0, reflectors, (_, from, to) -> {
      for (int panel = 0; panel < triangles.length; panel++) {
        loops.store(a, at(panel, from), Math.min(WIDTH, reflectors - panel * WIDTH), q.memory(), start + from * pitch + panel * ROW, pitch,
            to - from);
      }
    });
  }

  // ------------------------------------------------------------------------------------------------------------ R and V

  private void reduce(Access r, long index) {
    long start = index * reflectors * columns;
    for (int panel = 0; panel < triangles.length; panel++) {
      reduce(panel);
      storeR(panel, Math.min(WIDTH, reflectors - panel * WIDTH), r, start);
      apply(panel, panels, true);
    }
    for (int panel = triangles.length; panel < panels; panel++) {
      storeR(panel, 0, r, start);
    }
  }

  private void reduce(int panel) {
    double[] t = triangles[panel];
    Arrays.fill(t, 0);
    int first = panel * WIDTH;
    int count = Math.min(WIDTH, reflectors - first);
    double[] y = dots(panel, 0, first + 1);
    for (int j = 0; j < count; j++) {
      int row = first + j;
      double factor = reflect(panel, j, row, y, t);
      int next = Math.min(j + 1, count - 1);
      y = factor == 0 ? dots(panel, next, row + 2) : eliminate(panel, j, row, factor, next);
    }
  }

  /** The products of column j with all columns of the panel, from a row on. */
  private double[] dots(int panel, int j, int row) {
    return sum(row, WIDTH, (chunk, from, to) -> loops.dots(a, at(panel, from), to - from, j, sums, sumsAt(chunk)));
  }

  /**
   * Finds H_j, whose pivot is in {@code row}, from the products y of the rows below (LAPACK's dlarfg), applies it to that row, and sets w
   * and column j of T.
   *
   * @return what turns the column below the pivot to v; 0 if H_j is 1
   */
  private double reflect(int panel, int j, int row, double[] y, double[] t) {
    int exponent = 0;
    double below = y[j];
    if (below < TINY) {
      double most = largestBelow(panel, j, row);
      if (most == 0) {
        return 0;
      }
      exponent = Math.getExponent(Math.max(most, Math.abs(get(at(panel, row), j))));
      scale(panel, j, row, -exponent);
      System.arraycopy(dots(panel, j, row + 1), 0, y, 0, WIDTH);
      below = y[j];
    }
    long at = at(panel, row);
    double alpha = get(at, j);
    double beta = -Math.copySign(Math.sqrt(Math.fma(alpha, alpha, below)), alpha);
    double tau = (beta - alpha) / beta;
    double factor = 1 / (alpha - beta);
    Arrays.fill(w, 0);
    for (int c = 0; c < WIDTH; c++) {
      // v^T a_c, where v is 1 in this row
      double product = Math.fma(y[c], factor, get(at, c));
      if (c < j) {
        for (int i = 0; i <= c; i++) {
          t[i * WIDTH + j] -= tau * t[i * WIDTH + c] * product;
        }
      } else if (c > j) {
        w[c] = -tau * product;
        set(at, c, get(at, c) + w[c]);
      }
    }
    t[j * WIDTH + j] = tau;
    set(at, j, Math.scalb(beta, exponent));
    return factor;
  }

  private double largestBelow(int panel, int j, int row) {
    double most = 0;
    for (int i = row + 1; i < rows; i++) {
      most = Math.max(most, Math.abs(get(at(panel, i), j)));
    }
    return most;
  }

  /** Applies H_j to the rows below its pivot; the products of column {@code next} from the row after the next pivot on. */
  private double[] eliminate(int panel, int j, int row, double factor, int next) {
    if (row + 1 < rows) {
      long at = at(panel, row + 1);
      double v = get(at, j) * factor;
      set(at, j, v);
      for (int c = j + 1; c < WIDTH; c++) {
        set(at, c, Math.fma(v, w[c], get(at, c)));
      }
    }
    return sum(row + 2, WIDTH, (chunk, from, to) -> loops.eliminate(a, at(panel, from), to - from, j, factor, w, next, sums, sumsAt(chunk)));
  }

  /** Stores the columns of R that a panel has come to, and leaves V in their place, with its ones and zeros. */
  private void storeR(int panel, int count, Access r, long start) {
    int first = panel * WIDTH;
    for (int row = 0; row < reflectors; row++) {
      for (int c = 0; c < panelColumns(panel); c++) {
        r.set(start + (long) row * columns + first + c, row > first + c ? 0 : Math.scalb(get(at(panel, row), c), exponents[first + c]));
      }
    }
    for (int row = first; row < Math.min(rows, first + WIDTH); row++) {
      for (int c = row - first; c < WIDTH; c++) {
        set(at(panel, row), c, row == first + c && c < count ? 1 : 0);
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
    double[] z = sum(first, others * SQUARE, (chunk, from, to) -> {
      for (int i = 0; i < others; i++) {
        loops.project(a, at(panel, from), at(panel + 1 + i, from), to - from, sums, sumsAt(chunk) + (long) Double.BYTES * SQUARE * i);
      }
    });
    double[][] factors = new double[others][];
    Arrays.setAll(factors, i -> timesMinusT(triangles[panel], transposed, Arrays.copyOfRange(z, i * SQUARE, (i + 1) * SQUARE)));
    forRows(first, others * SQUARE, (_, from, to) -> {
      for (int i = 0; i < others; i++) {
        loops.add(a, at(panel, from), factors[i], a, at(panel + 1 + i, from), to - from);
      }
    });
  }

  /** {@code -T z}, or {@code -T^T z}. */
  private static double[] timesMinusT(double[] t, boolean transposed, double[] z) {
    double[] product = new double[SQUARE];
    for (int r = 0; r < WIDTH; r++) {
      for (int s = transposed ? 0 : r; s < (transposed ? r + 1 : WIDTH); s++) {
        double factor = -t[transposed ? s * WIDTH + r : r * WIDTH + s];
        for (int l = 0; l < WIDTH; l++) {
          product[r * WIDTH + l] = Math.fma(factor, z[s * WIDTH + l], product[r * WIDTH + l]);
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
    double[] top = new double[SQUARE];
    for (int c = 0; c < Math.min(WIDTH, rows - first); c++) {
      for (int s = 0; s <= c; s++) {
        top[s * WIDTH + c] = get(at(panel, first + c), s);
      }
    }
    double[] factor = timesMinusT(triangles[panel], false, top);
    forRows(first, SQUARE, (chunk, from, to) -> {
      MemorySegment.copy(a, at(panel, from), sums, sumsAt(chunk), (to - from) * ROW);
      a.asSlice(at(panel, from), (to - from) * ROW).fill((byte) 0);
      for (int row = from; row < Math.min(to, first + WIDTH); row++) {
        set(at(panel, row), row - first, 1);
      }
      loops.add(sums, sumsAt(chunk), factor, a, at(panel, from), to - from);
    });
    a.asSlice(at(panel, 0), first * ROW).fill((byte) 0);
  }
}
