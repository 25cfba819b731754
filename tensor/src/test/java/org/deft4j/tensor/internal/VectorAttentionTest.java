package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertTrue;

/** The vector form of attention and its gradients gives the bits of the plain one. */
class VectorAttentionTest extends AttentionCases {
  VectorAttentionTest() {
    super(13);
  }

  @Override
  Tensor draw(long... sizes) {
    return Twins.random(random, sizes);
  }

  @Override
  void both(boolean causal, Tensor q, Tensor k, Tensor v, Tensor mask) {
    double scale = 1 / Math.sqrt((double) Math.max(1, q.size(3)));
    Shape lse = Shape.of(q.size(0), q.size(1), q.size(2));
    Contraction.Attention op = new Contraction.Attention(scale, causal);
    Tensor[] in = mask == null ? new Tensor[] {q, k, v} : new Tensor[] {q, k, v, mask};
    String what = (causal ? "causal " : "") + q.shape() + k.shape() + (mask == null ? "" : " mask " + mask);
    Twins.same(what, op, (x, out) -> VectorAttention.run(op, x, out), List.of(q.shape(), lse), in);

    Tensor[] out = {Tensor.empty(Device.CPU, DType.F32, q.shape()), Tensor.empty(Device.CPU, DType.F32, lse)};
    VectorAttention.run(op, in, out);
    Contraction.AttentionGrad grad = new Contraction.AttentionGrad(scale, causal);
    Tensor dO = draw(q.shape().toArray());
    Tensor[] gradIn = mask == null ? new Tensor[] {dO, q, k, v, out[0], out[1]}
        : new Tensor[] {dO, q, k, v, out[0], out[1], mask};
    Twins.same("gradient, " + what, grad, (x, to) -> VectorAttention.run(grad, x, to),
        List.of(q.shape(), k.shape(), v.shape()), gradIn);
  }

  @Test
  void sizes() {
    sizes(false, 1, 1, 1, 1, 1);
    sizes(false, 2, 3, 5, 7, 8);
    sizes(false, 1, 2, 33, 77, 40);
    sizes(false, 1, 1, 100, 97, 13);
    sizes(false, 1, 1, 31, 200, 64);
    sizes(false, 1, 1, 16, 96, 80);
    sizes(false, 1, 1, 7, 192, 129);
    sizes(false, 1, 1, 12, 15, 256);
    sizes(false, 1, 1, 4, 20, 400);
    sizes(false, 1, 1, 40, 96, 2500);
    sizes(false, 1, 2, 300, 9, 3);
    sizes(false, 1, 1, 5, 0, 8);
    sizes(false, 1, 1, 0, 5, 8);
    sizes(false, 1, 1, 5, 6, 0);
    sizes(false, 0, 2, 5, 6, 8);
  }

  @Test
  void sharedQueries() {
    try (Scope _ = Scope.open()) {
      Tensor k = draw(2, 101, 3, 20).permute(0, 2, 1, 3);
      both(false, draw(1, 3, 35, 20).expand(2, 3, 35, 20), k, draw(2, 101, 3, 20).permute(0, 2, 1, 3), null);
    }
  }

  /** Tiles of 32 queries by 96 keys that are wholly hidden, wholly seen, or neither, in every order. */
  @Test
  void maskedTiles() {
    try (Scope _ = Scope.open()) {
      for (int trial = 0; trial < 24; trial++) {
        int queries = 1 + random.nextInt(230);
        int keys = 1 + random.nextInt(330);
        Tensor q = draw(1, 2, queries, 10);
        Tensor k = draw(1, 2, keys, 10);
        Tensor mask = tiles(queries, keys, 32, 96);
        both(trial % 3 == 0, q, k, k, mask);
        both(trial % 3 == 0, q, k, k, mask.t().contiguous().t());
      }
    }
  }

  @Test
  void textAndNoise() {
    try (Scope _ = Scope.open()) {
      int length = 230;
      Tensor mask = textAndNoise(length, 70);
      Tensor q = draw(2, length, 3, 20).transpose(1, 2);
      Tensor v = draw(2, length, 3, 20).transpose(1, 2);
      both(false, q, v, q, mask);
      both(false, q, v, q, mask.transpose(2, 3).contiguous().transpose(2, 3));
      both(false, q, v, q, mask.slice(2, 30, 31));
      both(false, q, v, q, mask.slice(3, 80, 81));
      both(false, q.slice(2, 1, 150), v.slice(2, 7, 130), q.slice(2, 7, 130), mask.slice(2, 1, 150).slice(3, 7, 130));
    }
  }

  /** What a group of queries does not visit it knows nothing of; within a tile it visits, 0 times infinity is NaN for plain and vector form. */
  @Test
  void hiddenInfinities() {
    try (Scope _ = Scope.open()) {
      Tensor q = draw(1, 1, 64, 8);
      float[] values = draw(1, 1, 300, 8).toFloats();
      Arrays.fill(values, 96 * 8, 192 * 8, Float.POSITIVE_INFINITY);
      Tensor v = Tensor.of(values, 1, 1, 300, 8);
      Tensor mask = allowed(64, 300, (t, s) -> s < 96 || s >= 192);
      Tensor o = q.attention(draw(1, 1, 300, 8), v, mask, 1);
      for (float value : o.toFloats()) {
        assertTrue(Float.isFinite(value));
      }
      both(false, q, draw(1, 1, 300, 8), v, mask);
    }
  }
}
