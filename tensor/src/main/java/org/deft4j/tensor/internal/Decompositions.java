package org.deft4j.tensor.internal;

import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Decompose;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.MatrixFeatures_DDRM;
import org.ejml.dense.row.NormOps_DDRM;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;

/** Matrix decompositions by EJML in float64, matrix by matrix of a batch; QR is {@link ThinQr}'s, its gradient {@link QrGradient}'s. */
final class Decompositions {
  /** Condition numbers from here on leave no digit of a float64. */
  private static final double SINGULAR = 0x1p52;

  private Decompositions() {}

  static void run(Decompose op, Tensor x, Tensor[] out) {
    int m = Math.toIntExact(x.size(-2));
    int n = Math.toIntExact(x.size(-1));
    long batch = m == 0 || n == 0 ? 0 : x.elementCount() / ((long) m * n);
    Access from = Access.of(x);
    for (long i = 0; i < batch; i++) {
      DMatrixRMaj matrix = new DMatrixRMaj(m, n);
      for (int e = 0; e < m * n; e++) {
        matrix.data[e] = from.get(i * m * n + e);
      }
      requireFinite(op.label(), x, i);
      switch (op) {
        case Decompose.Qr(), Decompose.QrGrad() -> throw new IllegalArgumentException(op.label());
        case Decompose.Svd() -> svd(matrix, i, out);
        case Decompose.Cholesky() -> cholesky(matrix, i, out[0]);
        case Decompose.Inverse() -> inverse(matrix, i, out[0]);
      }
    }
  }

  /** Refuses matrix {@code index} of a batch if it holds a number that is not finite. */
  static void requireFinite(String label, Tensor x, long index) {
    long columns = x.size(-1);
    long size = x.size(-2) * columns;
    Access elements = Access.of(x);
    for (long e = 0; e < size; e++) {
      double value = elements.get(index * size + e);
      if (!Double.isFinite(value)) {
        throw new NumericException(label + ": " + x + " holds " + value + " at row " + e / columns + ", column " + e % columns);
      }
    }
  }

  private static void store(DMatrixRMaj matrix, long i, Tensor out) {
    Access to = Access.of(out);
    long size = matrix.getNumElements();
    for (int e = 0; e < size; e++) {
      to.set(i * size + e, matrix.data[e]);
    }
  }

  private static void svd(DMatrixRMaj matrix, long i, Tensor[] out) {
    var svd = DecompositionFactory_DDRM.svd(matrix.numRows, matrix.numCols, true, true, true);
    if (!svd.decompose(matrix)) {
      throw new NumericException("svd: the decomposition of a " + matrix.numRows + " x " + matrix.numCols
          + " matrix did not converge");
    }
    DMatrixRMaj u = svd.getU(null, false);
    DMatrixRMaj v = svd.getV(null, false);
    int k = Math.min(matrix.numRows, matrix.numCols);
    double[] values = svd.getSingularValues();
    Integer[] order = new Integer[k];
    java.util.Arrays.setAll(order, j -> j);
    java.util.Arrays.sort(order, (a, b) -> Double.compare(values[b], values[a]));
    Access singular = Access.of(out[1]);
    Access left = Access.of(out[0]);
    Access right = Access.of(out[2]);
    for (int j = 0; j < k; j++) {
      singular.set(i * k + j, values[order[j]]);
      for (int r = 0; r < matrix.numRows; r++) {
        left.set((i * matrix.numRows + r) * k + j, u.get(r, order[j]));
      }
      for (int r = 0; r < matrix.numCols; r++) {
        right.set((i * matrix.numCols + r) * k + j, v.get(r, order[j]));
      }
    }
  }

  private static void cholesky(DMatrixRMaj matrix, long i, Tensor out) {
    var cholesky = DecompositionFactory_DDRM.chol(matrix.numRows, true);
    if (!cholesky.decompose(matrix)) {
      throw new NumericException("cholesky: the " + matrix.numRows + " x " + matrix.numRows
          + " matrix is not positive definite");
    }
    store(cholesky.getT(null), i, out);
  }

  /** Refused where the condition number says that no digit of the inverse would be right. */
  private static void inverse(DMatrixRMaj matrix, long i, Tensor out) {
    DMatrixRMaj inverse = new DMatrixRMaj(matrix.numRows, matrix.numRows);
    boolean found = CommonOps_DDRM.invert(matrix, inverse) && !MatrixFeatures_DDRM.hasUncountable(inverse);
    double condition = found ? NormOps_DDRM.normPInf(matrix) * NormOps_DDRM.normPInf(inverse) : Double.POSITIVE_INFINITY;
    if (!(condition < SINGULAR)) {
      throw new NumericException("inverse: the " + matrix.numRows + " x " + matrix.numRows + " matrix is singular");
    }
    store(inverse, i, out);
  }
}
