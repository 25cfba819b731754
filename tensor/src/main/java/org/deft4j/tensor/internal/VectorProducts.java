package org.deft4j.tensor.internal;

import java.util.Arrays;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.op.Contraction;

/** Matrix products in float32, by {@link Product}. */
final class VectorProducts {
  /** Below so many multiplications the plain loops are as fast, and do not wait for the compiler. */
  private static final long SMALL = 1 << 11;
  /** From here on the threads share each of a few products instead of taking one each. */
  static final long LARGE = 1 << 20;
  /** Results with fewer columns are computed transposed, if they have more rows: the vectors lie along the longer side. */
  private static final int THIN = RegisterTile.WIDTH / 2;

  private VectorProducts() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Contraction op, Tensor[] in, Tensor[] out) {
    Tensor a = in[0];
    if (a.dtype() != DType.F32 || a.rank() == 0 || out[0].elementCount() * a.size(-1) < SMALL) {
      return false;
    }
    compute(op, in, out[0]);
    return true;
  }

  /** Computes {@code op}, of any size. */
  static void compute(Contraction op, Tensor[] in, Tensor c) {
    if (op instanceof Contraction.Linear) {
      linear(in, c);
    } else {
      matMul(in[0], in[1], c);
    }
  }

  private static void linear(Tensor[] in, Tensor c) {
    Tensor x = in[0];
    Tensor w = in[1];
    long n = w.size(0);
    long k = w.size(1);
    long m = n == 0 ? 0 : c.elementCount() / n;
    Panels left = rows(x, x.rank() - 1, x.strides()[x.rank() - 1], x.offset());
    Panels right = MatrixPanels.of(w.memory(), w.dtype(), w.offset(), n, w.strides()[0], w.strides()[1]);
    multiply(left, right, m, n, k, c, 0, in.length == 3 ? in[2] : null);
  }

  private static void matMul(Tensor a, Tensor b, Tensor c) {
    long m = c.size(-2);
    long n = c.size(-1);
    long k = a.size(-1);
    long[] as = a.strides();
    long[] bs = b.strides();
    long bRow = bs[bs.length - 2];
    long bColumn = bs[bs.length - 1];
    if (n > 0 && b.elementCount() == k * n && a.elementCount() == c.elementCount() / n * k) {
      // One matrix on the right for all: the matrices on the left are one tall one.
      Panels left = rows(a, a.rank() - 1, as[as.length - 1], a.offset());
      Panels right = MatrixPanels.of(b.memory(), b.dtype(), b.offset(), n, bColumn, bRow);
      multiply(left, right, c.elementCount() / n, n, k, c, 0, null);
      return;
    }
    Shape batch = c.shape().sub(0, c.rank() - 2);
    long[] aSteps = broadcastSteps(a, batch.rank());
    long[] bSteps = broadcastSteps(b, batch.rank());
    long count = batch.elementCount();
    Parallel.Range products = (from, to) -> {
      for (long i = from; i < to; i++) {
        long[] at = offsets(i, batch, aSteps, bSteps);
        Panels left = MatrixPanels.of(a.memory(), a.dtype(), a.offset() + at[0], m, as[as.length - 2], as[as.length - 1]);
        Panels right = MatrixPanels.of(b.memory(), b.dtype(), b.offset() + at[1], n, bColumn, bRow);
        multiply(left, right, m, n, k, c, i * m * n, null);
      }
    };
    if (count >= Threads.count() * 4L || m * n * k < LARGE) {
      Parallel.forRange(count, Math.max(1, count / (Threads.count() * 8L)), products);
    } else {
      products.run(0, count);
    }
  }

  /** The last but {@code rank - dims} dimensions of x as lines. */
  private static Panels rows(Tensor x, int dims, long kStep, long offset) {
    return new MatrixPanels(x.memory(), x.dtype(), offset, Arrays.copyOf(x.shape().toArray(), dims),
        Arrays.copyOf(x.strides(), dims), kStep);
  }

  private static void multiply(Panels left, Panels right, long m, long n, long k, Tensor c, long first, Tensor bias) {
    long start = Float.BYTES * (c.offset() + first);
    boolean swap = n < THIN && m > n;
    Product.Bias added = bias == null ? null
        : new Product.Bias(bias.memory(), Float.BYTES * bias.offset(), Float.BYTES * bias.strides()[0], swap);
    if (swap) {
      Product.run(right, left, n, m, k, new Target.Matrix(c.memory(), start, Float.BYTES, Float.BYTES * n), added);
    } else {
      Product.run(left, right, m, n, k, new Target.Matrix(c.memory(), start, Float.BYTES * n, Float.BYTES), added);
    }
  }

  /** Elements from one matrix to the next along each of the {@code rank} batch dimensions; 0 where they are the same. */
  private static long[] broadcastSteps(Tensor x, int rank) {
    long[] strides = x.strides();
    long[] steps = new long[rank];
    int lead = rank - (x.rank() - 2);
    for (int i = lead; i < rank; i++) {
      steps[i] = x.size(i - lead) == 1 ? 0 : strides[i - lead];
    }
    return steps;
  }

  private static long[] offsets(long index, Shape batch, long[] aSteps, long[] bSteps) {
    long[] at = new long[2];
    long rest = index;
    for (int i = batch.rank() - 1; i >= 0; i--) {
      long coordinate = rest % batch.size(i);
      rest /= batch.size(i);
      at[0] += coordinate * aSteps[i];
      at[1] += coordinate * bSteps[i];
    }
    return at;
  }
}
