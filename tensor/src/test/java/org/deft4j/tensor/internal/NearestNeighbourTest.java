package org.deft4j.tensor.internal;

import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Spatial;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** Nearest neighbour and its adjoint are what their formulas say, to the bit, in both types. */
class NearestNeighbourTest {
  /** H, W, H', W'. */
  private static final int[][] SIZES = {{4, 33, 8, 66}, {5, 4, 11, 7}, {7, 9, 3, 18}, {6, 8, 6, 8}, {9, 5, 4, 2}, {1, 1, 3, 2}};

  private static int source(int target, int in, int out) {
    return Math.min((int) Math.floor(target * ((float) in / out)), in - 1);
  }

  @Test
  void everyPixelIsItsSource() {
    for (int[] s : SIZES) {
      try (Scope _ = Scope.open()) {
        Tensor x = Twins.random(new Random(1), 2, 3, s[0], s[1]);
        double[] from = x.toDoubles();
        for (DType type : new DType[] {DType.F32, DType.F64}) {
          double[] y = x.cast(type).upsampleNearest(s[2], s[3]).toDoubles();
          for (int i = 0; i < y.length; i++) {
            int w = source(i % s[3], s[1], s[3]);
            int h = source(i / s[3] % s[2], s[0], s[2]);
            assertEquals(from[(i / (s[2] * s[3]) * s[0] + h) * s[1] + w], y[i]);
          }
        }
      }
    }
  }

  @Test
  void everyGradientIsTheSumOverItsCopiesRowByRow() {
    for (int[] s : SIZES) {
      try (Scope _ = Scope.open()) {
        Tensor dy = Twins.random(new Random(2), 2, 3, s[2], s[3]);
        float[] from = dy.toFloats();
        float[] sums = new float[6 * s[0] * s[1]];
        double[] wide = new double[sums.length];
        for (int i = 0; i < from.length; i++) {
          int w = source(i % s[3], s[1], s[3]);
          int h = source(i / s[3] % s[2], s[0], s[2]);
          sums[(i / (s[2] * s[3]) * s[0] + h) * s[1] + w] += from[i];
          wide[(i / (s[2] * s[3]) * s[0] + h) * s[1] + w] += from[i];
        }
        Spatial op = new Spatial.UpsampleNearestGrad(s[0], s[1]);
        float[] dx = Dispatch.run(op, dy)[0].toFloats();
        double[] dx64 = Dispatch.run(op, dy.cast(DType.F64))[0].toDoubles();
        for (int i = 0; i < dx.length; i++) {
          assertEquals(sums[i], dx[i]);
          assertEquals(wide[i], dx64[i]);
        }
      }
    }
  }
}
