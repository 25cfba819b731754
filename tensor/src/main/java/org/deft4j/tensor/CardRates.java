package org.deft4j.tensor;

import java.util.Locale;
import org.deft4j.tensor.internal.cuda.Card;
import org.deft4j.tensor.internal.cuda.Cuda;
import org.deft4j.tensor.internal.cuda.Gemm;

/** What {@link Machine} measures of a card. */
final class CardRates {
  /** The side of the largest product, and how much of it a small card has for each multiprocessor. */
  private static final long SIDE = 8192;
  private static final long SIDE_PER_MULTIPROCESSOR = 64;
  private static final int RUNS = 3;

  private CardRates() {}

  /** The product that counts as the limit: the larger, the nearer to what the multiplying units can do. */
  private static long side() {
    return Math.clamp(SIDE_PER_MULTIPROCESSOR * Cuda.card().multiprocessors(), SIDE_PER_MULTIPROCESSOR, SIDE);
  }

  /** Which arithmetic that is. */
  static String arithmetic() {
    return "products of " + side() + " x " + side() + ", " + Precision.current().name().toLowerCase(Locale.ROOT);
  }

  /** Operations a second of a product of square matrices whose elements have the type that they are multiplied in. */
  static double multiplyAdds() {
    long n = side();
    Card card = Cuda.card();
    try (Scope _ = Scope.open()) {
      Tensor a = Tensor.full(Precision.current().factors(), 1 / 3.0, n, n);
      Tensor c = Tensor.empty(Device.CUDA, DType.F32, Shape.of(n, n));
      Gemm product = Gemm.of(matrix(a), matrix(a), matrix(c), n, n, n, Precision.current());
      return 2.0 * n * n * n * rate(() -> card.multiply(product));
    }
  }

  private static Gemm.Matrix matrix(Tensor tensor) {
    return new Gemm.Matrix(tensor.address(), tensor.dtype(), false, tensor.size(1), 0);
  }

  /** Bytes a second of adding {@code x} up. */
  static double read(Tensor x) {
    return bytes(x) * rate(() -> {
      try (Scope _ = Scope.open()) {
        x.sum();
      }
    });
  }

  /** Bytes a second, read and written, of copying. */
  static double copy(Tensor from, Tensor to) {
    return 2.0 * bytes(from) * rate(() -> Cuda.card().copy(from.address(), to.address(), bytes(from)));
  }

  private static long bytes(Tensor x) {
    return x.elementCount() * x.dtype().bytes();
  }

  /** Runs a second, after one that nobody times. */
  private static double rate(Runnable body) {
    body.run();
    Cuda.card().synchronize();
    long start = System.nanoTime();
    for (int i = 0; i < RUNS; i++) {
      body.run();
    }
    Cuda.card().synchronize();
    return RUNS * 1e9 / (System.nanoTime() - start);
  }
}
