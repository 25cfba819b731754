package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.VectorSpecies;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.op.Layout;

/**
 * {@code c = a b} for single matrices in float64, which decompositions and their gradients are made of: tiles of a few rows and two vectors, each
 * element one chain of fused multiply-adds, k ascending. One side is always thin there, so nothing is packed.
 */
final class VectorDoubleProducts {
  private static final VectorSpecies<Double> S = Simd.DOUBLES;
  private static final int LANES = S.length();
  private static final int ROWS = 4;
  /** Pieces for each thread, so that one that is held up does not hold up the others for long. */
  private static final int PIECES_PER_THREAD = 4;

  private final MemorySegment a;
  private final MemorySegment b;
  private final MemorySegment c;
  private final long fromA;
  private final long fromB;
  private final long fromC;
  private final long rowA;
  private final long stepA;
  private final long stepB;
  private final int m;
  private final int n;
  private final int k;

  private VectorDoubleProducts(Tensor a, Tensor b, Tensor c) {
    this.a = a.memory();
    this.b = b.memory();
    this.c = c.memory();
    this.fromA = Double.BYTES * a.offset();
    this.fromB = Double.BYTES * b.offset();
    this.fromC = Double.BYTES * c.offset();
    this.rowA = Double.BYTES * a.strides()[0];
    this.stepA = Double.BYTES * a.strides()[1];
    this.stepB = Double.BYTES * b.strides()[0];
    this.m = Math.toIntExact(c.size(0));
    this.n = Math.toIntExact(c.size(1));
    this.k = Math.toIntExact(a.size(1));
  }

  /** Computes it, or returns false. */
  static boolean run(Tensor a, Tensor b, Tensor c) {
    if (a.dtype() != DType.F64 || b.dtype() != DType.F64 || a.rank() != 2 || b.rank() != 2 || c.size(0) == 0 || c.size(1) < LANES) {
      return false;
    }
    try (Scope _ = Scope.open()) {
      VectorDoubleProducts product = new VectorDoubleProducts(a, b.strides()[1] == 1 ? b : rows(b), c);
      long blocks = (c.size(0) + ROWS - 1) / ROWS;
      Parallel.forRange(blocks, Math.max(1, blocks / ((long) PIECES_PER_THREAD * Threads.count())), (from, to) -> {
        for (long block = from; block < to; block++) {
          product.rows((int) block * ROWS);
        }
      });
    }
    return true;
  }

  /** The same matrix, its rows side by side. */
  private static Tensor rows(Tensor b) {
    Tensor dense = Tensor.empty(Device.CPU, DType.F64, b.shape());
    CpuKernels.get().run(new Layout.Contiguous(), new Tensor[] {b}, new Tensor[] {dense});
    return dense;
  }

  /** A few rows; the last vector of a row is moved back to end with it, and rows beyond the last are the last once more. */
  private void rows(int row) {
    for (int j = 0; j < n; j += 2 * LANES) {
      tile(row, Math.min(j, n - LANES), Math.min(j + LANES, n - LANES));
    }
  }

  private long inA(int row) {
    return fromA + Math.min(row, m - 1) * rowA;
  }

  private void tile(int row, int left, int right) {
    long a0 = inA(row);
    long a1 = inA(row + 1);
    long a2 = inA(row + 2);
    long a3 = inA(row + 3);
    DoubleVector c0l = DoubleVector.zero(S);
    DoubleVector c0r = c0l;
    DoubleVector c1l = c0l;
    DoubleVector c1r = c0l;
    DoubleVector c2l = c0l;
    DoubleVector c2r = c0l;
    DoubleVector c3l = c0l;
    DoubleVector c3r = c0l;
    for (int i = 0; i < k; i++) {
      long inB = fromB + i * stepB;
      long inA = i * stepA;
      DoubleVector l = DoubleVector.fromMemorySegment(S, OffHeap.known(b), inB + (long) Double.BYTES * left, Simd.ORDER);
      DoubleVector r = DoubleVector.fromMemorySegment(S, OffHeap.known(b), inB + (long) Double.BYTES * right, Simd.ORDER);
      DoubleVector x = splat(a0 + inA);
      c0l = x.fma(l, c0l);
      c0r = x.fma(r, c0r);
      x = splat(a1 + inA);
      c1l = x.fma(l, c1l);
      c1r = x.fma(r, c1r);
      x = splat(a2 + inA);
      c2l = x.fma(l, c2l);
      c2r = x.fma(r, c2r);
      x = splat(a3 + inA);
      c3l = x.fma(l, c3l);
      c3r = x.fma(r, c3r);
    }
    store(row, left, right, c0l, c0r);
    store(row + 1, left, right, c1l, c1r);
    store(row + 2, left, right, c2l, c2r);
    store(row + 3, left, right, c3l, c3r);
  }

  private DoubleVector splat(long at) {
    return DoubleVector.broadcast(S, OffHeap.known(a).get(ValueLayout.JAVA_DOUBLE, at));
  }

  private void store(int row, int left, int right, DoubleVector l, DoubleVector r) {
    long at = fromC + (long) Double.BYTES * Math.min(row, m - 1) * n;
    l.intoMemorySegment(OffHeap.known(c), at + (long) Double.BYTES * left, Simd.ORDER);
    r.intoMemorySegment(OffHeap.known(c), at + (long) Double.BYTES * right, Simd.ORDER);
  }
}
