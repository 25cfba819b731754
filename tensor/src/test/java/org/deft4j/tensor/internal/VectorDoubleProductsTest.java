package org.deft4j.tensor.internal;

import java.util.List;
import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The vector form of products in float64 gives the bits of the plain one. */
class VectorDoubleProductsTest {
  private final Random random = new Random(13);

  private Tensor random(long... sizes) {
    return Twins.random(random, sizes).cast(DType.F64).mul(Math.PI);
  }

  private static void same(String what, Tensor a, Tensor b) {
    Twins.same(what + " " + a.shape() + b.shape(), new Contraction.MatMul(), (in, out) ->
        assertTrue(VectorDoubleProducts.run(in[0], in[1], out[0])), List.of(Shape.of(a.size(0), b.size(1))), a, b);
  }

  @Test
  void matricesOfAllSizesAndOrders() {
    int[][] sizes = {{1, 1, 8}, {3, 5, 9}, {4, 16, 15}, {5, 2, 16}, {64, 301, 64}, {301, 64, 64}, {7, 600, 24}, {9, 257, 12}, {5, 390, 20},
        {6, 300, 37}, {7, 0, 10}, {33, 17, 40}, {2, 9, 17}, {1, 1, 1}, {5, 3, 1}, {9, 6, 7}, {4, 700, 4}, {700, 4, 4}, {2, 0, 3}};
    for (int[] size : sizes) {
      int m = size[0];
      int k = size[1];
      int n = size[2];
      try (Scope _ = Scope.open()) {
        same("plain", random(m, k), random(k, n));
        same("a turned", random(k, m).t(), random(k, n));
        same("b turned", random(m, k), random(n, k).t());
        same("every second", random(m, 2L * k).slice(1, 0, 2L * k, 2), random(k, 2L * n).slice(1, n, 2L * n));
      }
    }
  }

  @Test
  void manyMatricesAndOtherTypesAreLeftToThePlainLoops() {
    try (Scope _ = Scope.open()) {
      assertFalse(VectorDoubleProducts.run(random(2, 5, 3), random(2, 3, 16), random(2, 5, 16)));
      assertFalse(VectorDoubleProducts.run(random(5, 3).cast(DType.F32), random(3, 16).cast(DType.F32), random(5, 16).cast(DType.F32)));
    }
  }
}
