package org.deft4j.weights.testing;

import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.TensorSpec;

/**
 * OmniGen's table of positions, [1, M M, D]: the entry of row r and column c, at r M + c, is {@code [sin(x w), cos(x w), sin(y w),
 * cos(y w)]}, four blocks of D/4, with {@code w_k = 10000^(-k / (D/4))}, x = 64 c / M and y = 64 r / M.
 */
final class SinCosTable {
  private static final double GRID = 64;
  private static final double BASE = 10_000;

  private final int side;
  private final int width;
  /** For each coordinate its half of an entry: D/4 sines, D/4 cosines. */
  private final float[] halves;

  private SinCosTable(Shape shape) {
    side = (int) Math.round(Math.sqrt((double) shape.size(1)));
    width = (int) shape.size(2);
    int quarter = width / 4;
    halves = new float[side * width / 2];
    for (int i = 0; i < side; i++) {
      for (int k = 0; k < quarter; k++) {
        double angle = (float) (i * GRID / side) * Math.pow(BASE, -(double) k / quarter);
        halves[i * 2 * quarter + k] = (float) Math.sin(angle);
        halves[(i * 2 + 1) * quarter + k] = (float) Math.cos(angle);
      }
    }
  }

  /** The table of that shape. Belongs to the innermost scope. */
  static Tensor of(TensorSpec spec) {
    return MadeUpTensor.filled(spec, new SinCosTable(spec.shape())::fill);
  }

  private void fill(float[] target, long start) {
    int half = width / 2;
    for (int i = 0; i < target.length; i++) {
      int entry = (int) ((start + i) / width);
      int at = (int) ((start + i) % width);
      target[i] = at < half ? halves[entry % side * half + at] : halves[entry / side * half + at - half];
    }
  }
}
