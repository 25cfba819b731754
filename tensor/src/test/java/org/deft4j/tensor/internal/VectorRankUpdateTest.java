package org.deft4j.tensor.internal;

import java.util.List;
import java.util.Random;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The vector form of the rank update gives the bits of the plain one, and both those of the products it stands for. */
class VectorRankUpdateTest {
  /** Rows, n, r: around 8 and 64 rows, vectors of 4, 8 and 16, and stretches of 512 columns. */
  private static final int[][] SIZES = {{1, 16, 1}, {7, 33, 4}, {8, 64, 16}, {9, 47, 17}, {63, 80, 3}, {65, 19, 5},
      {130, 511, 2}, {16, 513, 33}, {3, 1040, 8}, {1, 17, 32}, {70, 31, 40},
      {131, 300, 64}, {64, 256, 32}, {5, 16, 45}};

  private final Random random = new Random(3);

  @Test
  void plainAndVector() {
    for (int[] size : SIZES) {
      try (Scope _ = Scope.open()) {
        Tensor x = Twins.random(random, size[0], size[1]);
        Tensor s = Twins.random(random, size[1], size[2]);
        Tensor l = Twins.random(random, size[1], size[2]);
        Tensor u = Twins.random(random, size[0], size[2]);
        same(x, s, l);
        same(x, s, l, u);
      }
    }
  }

  private static void same(Tensor... in) {
    Contraction.RankUpdate op = new Contraction.RankUpdate(0.3);
    Shape thin = in[0].shape().with(-1, in[1].size(1));
    Twins.same("rank update " + in[0].shape() + in[1].shape(), op, (x, out) -> assertTrue(VectorRankUpdate.run(op.scale(), x, out)),
        List.of(in[0].shape(), thin), in);
  }

  @Test
  void theProductsItStandsFor() {
    try (Scope _ = Scope.open()) {
      Tensor x = Twins.random(random, 2, 21, 70);
      Tensor s = Twins.random(random, 70, 5);
      Tensor l = Twins.random(random, 70, 5);
      Tensor u = Twins.random(random, 2, 21, 5);
      Tensor[] made = Dispatch.run(new Contraction.RankUpdate(0.3), x, s, l, u);
      Tensor t = u.mul(0.3).sub(x.linear(s.t()));
      assertArrayEquals(t.toFloats(), made[1].toFloats());
      assertArrayEquals(x.add(t.linear(l)).toFloats(), made[0].toFloats());
    }
  }
}
