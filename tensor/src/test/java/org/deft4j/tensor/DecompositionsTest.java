package org.deft4j.tensor;

import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Factors multiply back to what they factor, with LAPACK's signs; what has no factors is refused. */
@ExtendWith(LeakCheck.class)
class DecompositionsTest {
  private static final double EXACT = 1e-13;

  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static void assertClose(Tensor expected, Tensor actual, double limit) {
    assertEquals(expected.shape(), actual.shape());
    assertArrayEquals(expected.toDoubles(), actual.toDoubles(), limit);
  }

  private static Tensor identity(long n) {
    return Tensor.full(DType.F64, 1, n, n).triu(0).tril(0);
  }

  @Test
  void qrOfEveryShapeAndBatch() {
    TorchRandom random = new TorchRandom(0);
    for (long[] sizes : new long[][] {{5, 3}, {3, 5}, {4, 4}, {1, 1}, {6, 1}, {1, 6}, {2, 3, 4, 2}}) {
      Tensor x = random.normal(DType.F64, sizes);
      Tensor[] qr = Dispatch.run(new Decompose.Qr(), x);
      long k = Math.min(x.size(-1), x.size(-2));
      assertClose(x, qr[0].matmul(qr[1]), EXACT);
      assertClose(qr[1].triu(0), qr[1], 0);
      assertClose(identity(k).add(Tensor.zeros(DType.F64, qr[0].shape().with(-2, k).toArray())), qr[0].t().matmul(qr[0]),
          EXACT);
    }
  }

  /** Golden signs from LAPACK's dgeqrf: the last row, and a pivot with zeros below it, are not reflected. */
  @Test
  void qrHasLapacksSigns() {
    double root = Math.sqrt(5);
    checkR(new double[] {1, 2, 3, 4}, 2, 2, -Math.sqrt(10), -14 / Math.sqrt(10), 0, -2 / Math.sqrt(10));
    checkR(new double[] {1, 0, 0, 1}, 2, 2, 1, 0, 0, 1);
    checkR(new double[] {-1, 0, 0, -1}, 2, 2, -1, 0, 0, -1);
    checkR(new double[] {0, 0, 0, 0}, 2, 2, 0, 0, 0, 0);
    checkR(new double[] {1, 2, 0, 0}, 2, 2, 1, 2, 0, 0);
    checkR(new double[] {-1, 2}, 2, 1, root);
    checkR(new double[] {1, 2}, 2, 1, -root);
    checkR(new double[] {0, 2}, 2, 1, -2);
    checkR(new double[] {0, -2}, 2, 1, -2);
    checkR(new double[] {3, 4}, 1, 2, 3, 4);
    checkR(new double[] {-3, 4}, 1, 2, -3, 4);
    checkR(new double[] {0, 1, 0, 2, 0, 3}, 3, 2, 0, 1, 0, -Math.sqrt(13));
  }

  private static void checkR(double[] x, long rows, long columns, double... r) {
    Tensor matrix = Tensor.of(x, rows, columns);
    Tensor[] qr = Dispatch.run(new Decompose.Qr(), matrix);
    assertArrayEquals(r, qr[1].toDoubles(), EXACT);
    assertClose(matrix, qr[0].matmul(qr[1]), EXACT);
  }

  @Test
  void svdIsSortedAndMultipliesBack() {
    TorchRandom random = new TorchRandom(1);
    for (long[] sizes : new long[][] {{5, 3}, {3, 5}, {4, 4}, {1, 3}, {2, 4, 3}}) {
      Tensor x = random.normal(DType.F64, sizes);
      Tensor[] svd = Dispatch.run(new Decompose.Svd(), x);
      assertClose(x, svd[0].mul(svd[1].unsqueeze(-2)).matmul(svd[2].t()), EXACT);
      assertClose(svd[1].sort(-1, true)[0], svd[1], 0);
      assertTrue(svd[1].min(false).item() >= 0);
    }
    Tensor rankOne = Tensor.of(new double[] {2, 4, 1, 2}, 2, 2);
    assertArrayEquals(new double[] {5, 0}, Dispatch.run(new Decompose.Svd(), rankOne)[1].toDoubles(), EXACT);
  }

  @Test
  void choleskyAndInverse() {
    Tensor x = new TorchRandom(2).normal(DType.F64, 2, 5, 5);
    Tensor spd = x.matmul(x.t()).add(identity(5));
    Tensor lower = Dispatch.run(new Decompose.Cholesky(), spd)[0];
    assertClose(spd, lower.matmul(lower.t()), EXACT);
    assertClose(lower.tril(0), lower, 0);
    Tensor inverse = Dispatch.run(new Decompose.Inverse(), spd)[0];
    assertClose(identity(5).expand(2, 5, 5), spd.matmul(inverse), 1e-12);
    assertArrayEquals(new double[] {0, 0.5, 1, 0},
        Dispatch.run(new Decompose.Inverse(), Tensor.of(new double[] {0, 1, 2, 0}, 2, 2))[0].toDoubles(), EXACT);
  }

  @Test
  void float32IsDecomposedInFloat64AndRounded() {
    Tensor x = new TorchRandom(3).normal(DType.F32, 40, 6);
    Tensor[] single = Dispatch.run(new Decompose.Qr(), x);
    Tensor[] twice = Dispatch.run(new Decompose.Qr(), x.cast(DType.F64));
    assertEquals(4, single.length);
    assertEquals(2, twice.length);
    for (int i = 0; i < 2; i++) {
      assertEquals(DType.F32, single[i].dtype());
      assertClose(twice[i].cast(DType.F32), single[i], 0);
      assertClose(twice[i], single[2 + i], 0);
    }
  }

  @Test
  void whatHasNoFactorsIsRefused() {
    assertRefused("cholesky: the 2 x 2 matrix is not positive definite", new Decompose.Cholesky(), 1, 2, 2, 1);
    assertRefused("inverse: the 2 x 2 matrix is singular", new Decompose.Inverse(), 1, 2, 2, 4);
    assertRefused("inverse: the 3 x 3 matrix is singular", new Decompose.Inverse(), 1, 2, 3, 4, 5, 6, 7, 8, 9);
    assertRefused("svd: tensor F64[2, 2] holds NaN at row 1, column 0", new Decompose.Svd(), 1, 2, Double.NaN, 4);
    assertRefused("qr: tensor F64[1, 1] holds Infinity at row 0, column 0", new Decompose.Qr(), Double.POSITIVE_INFINITY);
  }

  private static void assertRefused(String message, Decompose op, double... values) {
    long n = Math.round(Math.sqrt(values.length));
    Tensor x = Tensor.of(values, n, n);
    assertEquals(message, assertThrows(NumericException.class, () -> Dispatch.run(op, x)).getMessage());
  }
}
