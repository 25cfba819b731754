package org.deft4j.tensor.internal;

import java.util.List;
import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.junit.jupiter.api.Test;

/** The vector form of the matrix products gives the bits of the plain one. */
class VectorProductsTest {
  /** Around the edges of tiles (6, 13 rows; 8, 16, 32 columns), of vectors and of blocks of k (512), and primes. */
  private static final int[][] SIZES = {
      {1, 1, 1}, {1, 64, 64}, {2, 33, 17}, {3, 7, 65}, {5, 16, 31}, {6, 15, 32}, {7, 17, 33}, {12, 3, 64}, {13, 40, 37},
      {14, 64, 32}, {15, 5, 63}, {19, 21, 34}, {20, 22, 35}, {26, 512, 33}, {32, 513, 31}, {39, 1025, 64}, {28, 31, 96}, {29, 97, 101}, {42, 383, 8}, {43, 384, 9}, {61, 385, 5}, {20, 769, 47},
      {200, 12, 3}, {97, 4, 130}, {4, 300, 200}, {84, 1, 70}, {70, 2, 1}, {33, 0, 40}, {0, 8, 40}, {40, 8, 0}};

  private final Random random = new Random(7);

  private long matMul(String what, Tensor a, Tensor b) {
    Contraction op = new Contraction.MatMul();
    Shape batch = Shape.broadcast("test", a.shape().sub(0, a.rank() - 2), b.shape().sub(0, b.rank() - 2));
    return Twins.same(what + " " + a.shape() + b.shape(), op, (in, out) -> VectorProducts.compute(op, in, out[0]),
        List.of(batch.append(a.size(-2), b.size(-1))), a, b);
  }

  private long linear(String what, Tensor... in) {
    Contraction op = new Contraction.Linear();
    return Twins.same(what + " " + in[0].shape() + in[1].shape(), op, (x, out) -> VectorProducts.compute(op, x, out[0]),
        List.of(in[0].shape().with(-1, in[1].size(0))), in);
  }

  @Test
  void matricesOfAllSizesAndOrders() {
    for (int[] size : SIZES) {
      int m = size[0];
      int k = size[1];
      int n = size[2];
      try (Scope _ = Scope.open()) {
        matMul("plain", Twins.random(random, m, k), Twins.random(random, k, n));
        matMul("a turned", Twins.random(random, k, m).t(), Twins.random(random, k, n));
        matMul("b turned", Twins.random(random, m, k), Twins.random(random, n, k).t());
        matMul("both turned", Twins.random(random, k, m).t(), Twins.random(random, n, k).t());
        matMul("every second", Twins.random(random, m, 2L * k).slice(1, 0, 2L * k, 2),
            Twins.random(random, k, 3L * n + 1).slice(1, 1, 3L * n + 1, 3));
      }
    }
  }

  @Test
  void largeEnoughForAllBlocks() {
    try (Scope _ = Scope.open()) {
      matMul("tall", Twins.random(random, 400, 400), Twins.random(random, 400, 50));
      matMul("wide", Twins.random(random, 30, 390), Twins.random(random, 390, 500));
      // Too few rows for two threads to pack the shared side each for itself.
      matMul("packed together", Twins.random(random, 300, 700), Twins.random(random, 700, 60));
      matMul("packed together, the left side", Twins.random(random, 60, 700), Twins.random(random, 700, 300));
    }
  }

  @Test
  void batchesBroadcast() {
    try (Scope _ = Scope.open()) {
      matMul("same", Twins.random(random, 5, 18, 20), Twins.random(random, 5, 20, 22));
      matMul("one on the right", Twins.random(random, 3, 4, 7, 20), Twins.random(random, 20, 35));
      matMul("one on the left", Twins.random(random, 17, 20), Twins.random(random, 3, 20, 35));
      matMul("both stretched", Twins.random(random, 3, 1, 9, 20), Twins.random(random, 1, 4, 20, 11));
      matMul("heads", Twins.random(random, 2, 30, 3, 8).permute(0, 2, 1, 3), Twins.random(random, 2, 33, 3, 8).permute(0, 2, 3, 1));
      matMul("expanded", Twins.random(random, 1, 9, 20).expand(6, 9, 20), Twins.random(random, 20, 11));
      matMul("left in pieces", Twins.random(random, 3, 20, 9).permute(2, 0, 1), Twins.random(random, 20, 40));
      matMul("none", Twins.random(random, 0, 9, 20), Twins.random(random, 0, 20, 11));
    }
  }

  @Test
  void linearFoldsLeadingDimensionsAndAddsTheBiasLast() {
    for (int[] size : SIZES) {
      int m = size[0];
      int k = size[1];
      int n = size[2];
      try (Scope _ = Scope.open()) {
        linear("no bias", Twins.random(random, 2, m, k), Twins.random(random, n, k));
        linear("bias", Twins.random(random, m, k), Twins.random(random, n, k), Twins.random(random, n));
        linear("weight turned", Twins.random(random, m, k), Twins.random(random, k, n).t(), Twins.random(random, n));
        linear("rows apart, bias in steps", Twins.random(random, k, 2, m + 1).permute(1, 2, 0).slice(1, 1, m + 1),
            Twins.random(random, n, k), Twins.random(random, n, 2).select(1, 1));
      }
    }
  }

  @Test
  void weightsOf16Bits() {
    for (DType type : new DType[] {DType.F16, DType.BF16}) {
      for (int[] size : SIZES) {
        int m = size[0];
        int k = size[1];
        int n = size[2];
        try (Scope _ = Scope.open()) {
          linear(type.name(), Twins.random(random, m, k), Twins.half(random, type, n, k), Twins.random(random, n));
          matMul(type.name(), Twins.random(random, m, k), Twins.half(random, type, k, n));
          matMul(type + " in steps", Twins.random(random, m, k), Twins.half(random, type, 2L * k, n, 2).select(2, 1).slice(0, 0, k));
        }
      }
    }
  }
}
