package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorSpecies;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.op.Layout;

/**
 * {@code c = a b} for single matrices in float64, which decompositions and their gradients are made of: tiles of a few rows and two vectors, or one
 * that is not full, each element one chain of fused multiply-adds, k ascending. One side is always thin there, so nothing is packed.
 */
final class VectorDoubleProducts {
  private static final VectorSpecies<Double> S = Simd.DOUBLES;
  private static final int LANES = S.length();
  private static final int ROWS = 4;
  /** Pieces for each thread, so that one that is held up does not hold up the others for long. */
  private static final int PIECES_PER_THREAD = 4;
  /** Multiplications below which one thread is faster alone. */
  private static final long ALONE = 1 << 17;
  /** k that all tiles of a piece go through before the next: then both sides come from a cache near by, but for the first time. */
  private static final int DEPTH = 128;

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
    if (a.dtype() != DType.F64 || b.dtype() != DType.F64 || a.rank() != 2 || b.rank() != 2 || c.elementCount() == 0) {
      return false;
    }
    try (Scope _ = Scope.open()) {
      VectorDoubleProducts product = new VectorDoubleProducts(a, b.strides()[1] == 1 ? b : rows(b), c);
      int blocks = (product.m + ROWS - 1) / ROWS;
      // Each piece reads all of b: where that is long, there are as few as can be.
      boolean alone = (long) product.m * product.n * product.k < ALONE;
      int pieces = alone ? 1 : Math.min(blocks, Threads.count() * (product.k > product.m ? 1 : PIECES_PER_THREAD));
      Parallel.forRange(blocks, Math.ceilDiv(blocks, pieces), (from, to) -> product.rows((int) from * ROWS, (int) to * ROWS));
    }
    return true;
  }

  /** The same matrix, its rows side by side. */
  private static Tensor rows(Tensor b) {
    Tensor dense = Tensor.empty(Device.CPU, DType.F64, b.shape());
    CpuKernels.get().run(new Layout.Contiguous(), new Tensor[] {b}, new Tensor[] {dense});
    return dense;
  }

  /** A tile whose rows are less than a vector. */
  private void narrowTile(int row, VectorMask<Double> some) {
    long a0 = inA(row);
    long a1 = inA(row + 1);
    long a2 = inA(row + 2);
    long a3 = inA(row + 3);
    DoubleVector c0 = DoubleVector.zero(S);
    DoubleVector c1 = c0;
    DoubleVector c2 = c0;
    DoubleVector c3 = c0;
    for (int i = 0; i < k; i++) {
      DoubleVector x = DoubleVector.fromMemorySegment(S, OffHeap.known(b), fromB + i * stepB, Simd.ORDER, some);
      long inA = i * stepA;
      c0 = splat(a0 + inA).fma(x, c0);
      c1 = splat(a1 + inA).fma(x, c1);
      c2 = splat(a2 + inA).fma(x, c2);
      c3 = splat(a3 + inA).fma(x, c3);
    }
    c0.intoMemorySegment(OffHeap.known(c), inC(row, 0), Simd.ORDER, some);
    c1.intoMemorySegment(OffHeap.known(c), inC(row + 1, 0), Simd.ORDER, some);
    c2.intoMemorySegment(OffHeap.known(c), inC(row + 2, 0), Simd.ORDER, some);
    c3.intoMemorySegment(OffHeap.known(c), inC(row + 3, 0), Simd.ORDER, some);
  }

  /** Tiles of a few rows; the last vector of a row is moved back to end with it, and rows beyond the last are the last once more. */
  private void rows(int from, int to) {
    if (n < LANES) {
      VectorMask<Double> some = S.indexInRange(0, n);
      for (int row = from; row < to; row += ROWS) {
        narrowTile(row, some);
      }
      return;
    }
    // Chains go on from what c holds, so a vector that lies across two tiles would go through some k twice.
    int depth = n % LANES == 0 || n <= 2 * LANES ? DEPTH : Math.max(1, k);
    for (int start = 0; start == 0 || start < k; start += depth) {
      for (int row = from; row < to; row += ROWS) {
        for (int j = 0; j < n; j += 2 * LANES) {
          tile(row, Math.min(j, n - LANES), Math.min(j + LANES, n - LANES), start, Math.min(k, start + depth));
        }
      }
    }
  }

  private long inA(int row) {
    return fromA + Math.min(row, m - 1) * rowA;
  }

  private void tile(int row, int left, int right, int from, int to) {
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
    if (from > 0) {
      c0l = load(row, left);
      c0r = load(row, right);
      c1l = load(row + 1, left);
      c1r = load(row + 1, right);
      c2l = load(row + 2, left);
      c2r = load(row + 2, right);
      c3l = load(row + 3, left);
      c3r = load(row + 3, right);
    }
    for (int i = from; i < to; i++) {
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

  private long inC(int row, int column) {
    return fromC + Double.BYTES * ((long) Math.min(row, m - 1) * n + column);
  }

  private DoubleVector load(int row, int column) {
    return DoubleVector.fromMemorySegment(S, OffHeap.known(c), inC(row, column), Simd.ORDER);
  }

  private void store(int row, int left, int right, DoubleVector l, DoubleVector r) {
    l.intoMemorySegment(OffHeap.known(c), inC(row, left), Simd.ORDER);
    r.intoMemorySegment(OffHeap.known(c), inC(row, right), Simd.ORDER);
  }
}
