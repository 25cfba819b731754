package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.op.Decompose;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The QR decomposition: the vector loops give the plain ones' bits; Q is orthonormal and Q R is A to rounding, with LAPACK's signs. */
class ThinQrTest {
  private static final double EPSILON = Math.ulp(1.0);

  private final Random random = new Random(17);

  private double[][] gaussian(int m, int n) {
    double[][] a = new double[m][n];
    for (double[] row : a) {
      Arrays.setAll(row, c -> random.nextGaussian());
    }
    return a;
  }

  private static Tensor tensor(double[][] a) {
    double[] all = Arrays.stream(a).flatMapToDouble(Arrays::stream).toArray();
    return Tensor.of(all, a.length, a[0].length);
  }

  /** Both forms agree to the bit, on one, two and eight threads; returns Q and R. */
  private static double[][][] decompose(double[][] a) {
    try (Scope _ = Scope.open()) {
      int m = a.length;
      int n = a[0].length;
      int k = Math.min(m, n);
      Tensor x = tensor(a);
      List<Shape> shapes = List.of(Shape.of(m, k), Shape.of(k, n));
      Twins.same("qr " + x.shape(), new Decompose.Qr(), (in, out) -> ThinQr.run(in[0], out, new VectorPanels()), shapes, x);
      int threads = Threads.count();
      try {
        Threads.set(8);
        Twins.same("qr, eight threads before " + x.shape(), new Decompose.Qr(),
            (in, out) -> ThinQr.run(in[0], out, new VectorPanels()), shapes, x);
        Tensor[] out = {Tensor.empty(Device.CPU, DType.F64, shapes.get(0)), Tensor.empty(Device.CPU, DType.F64, shapes.get(1))};
        ThinQr.run(x, out, new VectorPanels());
        return new double[][][] {rows(out[0], k), rows(out[1], n)};
      } finally {
        Threads.set(threads);
      }
    }
  }

  private static double[][] rows(Tensor x, int columns) {
    double[] all = x.toDoubles();
    double[][] rows = new double[all.length / columns][];
    Arrays.setAll(rows, i -> Arrays.copyOfRange(all, i * columns, (i + 1) * columns));
    return rows;
  }

  private static double norm(double[][] a, int column) {
    double largest = 0;
    for (double[] row : a) {
      largest = Math.max(largest, Math.abs(row[column]));
    }
    double sum = 0;
    for (double[] row : a) {
      sum += largest == 0 ? 0 : row[column] / largest * (row[column] / largest);
    }
    return largest * Math.sqrt(sum);
  }

  /** Orthonormality, and the residual of each column over its norm, in units of rounding. */
  private static double[][][] check(double[][] a, double units) {
    double[][][] qr = decompose(a);
    double[][] q = qr[0];
    double[][] r = qr[1];
    int k = r.length;
    for (int i = 0; i < k; i++) {
      for (int j = 0; j <= i; j++) {
        double dot = 0;
        for (double[] row : q) {
          dot += row[i] * row[j];
        }
        assertEquals(i == j ? 1 : 0, dot, units * EPSILON, "columns " + i + " and " + j + " of Q");
        assertTrue(j == i || r[i][j] == 0);
      }
    }
    for (int c = 0; c < a[0].length; c++) {
      double limit = units * EPSILON * norm(a, c);
      for (int i = 0; i < a.length; i++) {
        double value = 0;
        for (int j = 0; j < k; j++) {
          value = Math.fma(q[i][j], r[j][c], value);
        }
        assertEquals(a[i][c], value, Math.max(limit, Double.MIN_VALUE * k), "row " + i + ", column " + c + " of Q R");
      }
    }
    return qr;
  }

  @Test
  void shapes() {
    int[][] sizes = {{1, 1}, {2, 1}, {1, 5}, {5, 5}, {16, 16}, {17, 17}, {40, 40}, {130, 1}, {129, 4}, {127, 16}, {300, 17}, {513, 33},
        {20, 50}, {16, 40}, {3, 18}, {400, 64}};
    for (int[] size : sizes) {
      check(gaussian(size[0], size[1]), 60);
    }
  }

  /** Matrices of a batch, which threads take for themselves, have the bits of each alone. */
  @Test
  void batches() {
    for (int[] size : new int[][] {{1, 300, 4}, {2, 300, 4}, {7, 600, 20}, {5, 3, 9}}) {
      int k = Math.min(size[1], size[2]);
      try (Scope _ = Scope.open()) {
        List<Shape> shapes = List.of(Shape.of(size[0], size[1], k), Shape.of(size[0], k, size[2]));
        Tensor x = Tensor.concat(0, IntStream.range(0, size[0]).mapToObj(_ -> tensor(gaussian(size[1], size[2]))).toList())
            .reshape(size[0], size[1], size[2]);
        Twins.same("qr " + x.shape(), new Decompose.Qr(), (in, out) -> ThinQr.run(in[0], out, new VectorPanels()), shapes, x);
        Tensor[] all = Dispatch.run(new Decompose.Qr(), x);
        for (int i = 0; i < size[0]; i++) {
          Tensor[] alone = Dispatch.run(new Decompose.Qr(), x.slice(0, i, i + 1));
          for (int o = 0; o < all.length; o++) {
            assertArrayEquals(alone[o].toDoubles(), all[o].slice(0, i, i + 1).toDoubles());
          }
        }
      }
    }
  }

  /** In chunks of rows, and where those have so many R that these are decomposed in chunks too. */
  @Test
  void tall() {
    check(gaussian(4000, 64), 100);
    double[][] a = gaussian(4500, 20);
    for (double[] row : a) {
      row[5] = row[2];
      row[9] = 0;
    }
    check(a, 100);
    check(gaussian(20000, 4), 100);
    check(gaussian(4100, 128), 100);
  }

  /** Chunks of rows come to the numbers and signs of reflections of the whole. */
  @Test
  void chunksHaveTheSignsOfTheWhole() {
    for (int[] size : new int[][] {{17000, 4}, {4200, 16}, {2500, 40}, {4100, 128}}) {
      same(gaussian(size[0], size[1]));
    }
    double[][] special = gaussian(4500, 20);
    Arrays.fill(special[0], 0);
    Arrays.fill(special[7], -0.0);
    for (double[] row : special) {
      row[5] *= 1e150;
      row[6] *= 1e-150;
    }
    same(special);
    for (int i = 0; i < special.length; i++) {
      for (int c = 0; c < 20; c++) {
        special[i][c] = i == c ? c % 3 - 1 : i < c && c > 10 ? random.nextGaussian() : 0;
      }
    }
    same(special);
    special[4400][2] = 1e-9;
    special[30][12] = 1e-9;
    same(special);
    same(new double[9000][9]);
  }

  private void same(double[][] a) {
    double[][] r = check(a, 100)[1];
    double[][] expected = reflectOneByOne(a);
    for (int i = 0; i < r.length; i++) {
      for (int c = 0; c < r[0].length; c++) {
        assertEquals(expected[i][c], r[i][c], 1e-12 * norm(a, c), "row " + i + ", column " + c);
      }
    }
  }

  /** Signs and numbers of the plain algorithm, one reflection at a time. */
  @Test
  void sameReflectionsOneByOne() {
    for (int[] size : new int[][] {{50, 20}, {20, 50}, {33, 33}, {200, 40}}) {
      same(gaussian(size[0], size[1]));
    }
  }

  /** dgeqr2: what is left in place of A. */
  private static double[][] reflectOneByOne(double[][] matrix) {
    double[][] a = Arrays.stream(matrix).map(double[]::clone).toArray(double[][]::new);
    int m = a.length;
    for (int j = 0; j < Math.min(m - 1, a[0].length); j++) {
      double below = 0;
      for (int i = j + 1; i < m; i++) {
        below += a[i][j] * a[i][j];
      }
      if (below == 0) {
        continue;
      }
      double alpha = a[j][j];
      double beta = -Math.copySign(Math.sqrt(alpha * alpha + below), alpha);
      double[] v = new double[m];
      for (int i = j + 1; i < m; i++) {
        v[i] = a[i][j] / (alpha - beta);
        a[i][j] = 0;
      }
      v[j] = 1;
      a[j][j] = beta;
      for (int c = j + 1; c < a[0].length; c++) {
        double dot = 0;
        for (int i = j; i < m; i++) {
          dot += v[i] * a[i][c];
        }
        for (int i = j; i < m; i++) {
          a[i][c] -= (beta - alpha) / beta * dot * v[i];
        }
      }
    }
    return a;
  }

  @Test
  void gradedColumns() {
    double[][] a = gaussian(200, 24);
    for (double[] row : a) {
      for (int c = 0; c < row.length; c++) {
        row[c] *= Math.pow(10, 26 * (c % 12) - 150);
      }
    }
    check(a, 60);
    for (double[] row : a) {
      row[0] = random.nextGaussian() * 1e300;
      row[3] = random.nextGaussian() * 1e-320;
    }
    check(a, 60);
  }

  /** Rows of very different size: what is left of a column is tiny, beside nothing and beside what is above. */
  @Test
  void gradedRows() {
    double[][] a = gaussian(60, 8);
    for (int i = 0; i < 60; i++) {
      for (int c = 0; c < 8; c++) {
        a[i][c] *= i <= c ? Math.pow(10, -60.0 * i) : 0;
      }
    }
    check(a, 60);
    a[9][7] = 1e-310;
    check(a, 60);
    a[7][7] = 0;
    double[][] r = check(a, 60)[1];
    assertTrue(r[7][7] != 0);
  }

  @Test
  void dependentColumns() {
    double[][] a = gaussian(300, 20);
    for (double[] row : a) {
      row[5] = row[2];
      row[9] = 0;
      row[17] = row[0] - 3 * row[16];
      row[18] = row[1] * (1 + 1e-14);
    }
    check(a, 60);
    check(new double[40][7], 0);
  }

  /** LAPACK takes the sign bit of a pivot, also that of a zero; and leaves a column alone that is zero below its pivot. */
  @Test
  void signsOfZeros() {
    assertArrayEquals(new double[] {-5}, decompose(new double[][] {{0.0}, {3}, {4}})[1][0]);
    assertArrayEquals(new double[] {5}, decompose(new double[][] {{-0.0}, {3}, {4}})[1][0]);
    double[][][] left = decompose(new double[][] {{-7, 1}, {0, -0.0}, {0, 2}});
    assertArrayEquals(new double[] {-7, 1}, left[1][0]);
    assertArrayEquals(new double[] {0, 2}, left[1][1]);
    assertEquals(1.0, left[0][0][0]);
    double[][] identity = new double[40][40];
    for (int i = 0; i < 40; i++) {
      identity[i][i] = i % 3 == 0 ? -1 : 1;
    }
    double[][] r = check(identity, 0)[1];
    for (int i = 0; i < 40; i++) {
      assertEquals(identity[i][i], r[i][i]);
    }
  }

  @Test
  void whatIsNotFiniteIsNamed() {
    for (double value : new double[] {Double.NaN, Double.NEGATIVE_INFINITY}) {
      for (int[] size : new int[][] {{200, 3}, {200, 32}, {9000, 16}}) {
        int n = size[1];
        double[][] a = gaussian(size[0], n);
        a[150][n - 1] = value;
        for (PanelLoops loops : List.of(new ScalarPanels(), new VectorPanels())) {
          try (Scope _ = Scope.open()) {
            Tensor[] out = {Tensor.zeros(DType.F64, size[0], n), Tensor.zeros(DType.F64, n, n)};
            assertEquals("qr: tensor F64[" + size[0] + ", " + n + "] holds " + value + " at row 150, column " + (n - 1),
                assertThrows(NumericException.class, () -> ThinQr.run(tensor(a), out, loops)).getMessage());
          }
        }
      }
    }
  }
}
