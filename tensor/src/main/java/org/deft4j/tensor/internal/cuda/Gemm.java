package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Precision;

/**
 * {@code C = alpha A B + beta C} for row-major matrices, A of m x k, B of k x n, C of m x n, repeated over a batch.
 *
 * @param a element (i, j) at {@code address + i lead + j}, or {@code address + j lead + i} if transposed
 * @param batch how many; matrix b of each lies {@code b * batchStride} elements after the first, which may be 0 to use it again
 */
public record Gemm(Matrix a, Matrix b, Matrix c, long m, long n, long k, long batch, double alpha, double beta, Precision precision) {
  /** One side, or the first of a batch of them; strides count elements. */
  public record Matrix(long address, DType dtype, boolean transposed, long lead, long batchStride) {
    /** Without the rows before {@code row}. */
    Matrix from(long row) {
      return new Matrix(address + row * (transposed ? 1 : lead) * dtype.bytes(), dtype, transposed, lead, batchStride);
    }

    /** Matrix {@code index} of a batch, alone. */
    Matrix at(long index) {
      return new Matrix(address + index * batchStride * dtype.bytes(), dtype, transposed, lead, 0);
    }

    /** The transpose. */
    Matrix t() {
      return new Matrix(address, dtype, !transposed, lead, batchStride);
    }
  }

  /** One product, written over what C held. */
  public static Gemm of(Matrix a, Matrix b, Matrix c, long m, long n, long k, Precision precision) {
    return new Gemm(a, b, c, m, n, k, 1, 1, 0, precision);
  }
}
