package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.BiPredicate;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertTrue;

/** The vector form of attention and its gradients gives the bits of the plain one. */
class VectorAttentionTest {
  private final Random random = new Random(13);

  /** Forward and backward; {@code mask} may be null. */
  private void both(boolean causal, Tensor q, Tensor k, Tensor v, Tensor mask) {
    double scale = 1 / Math.sqrt((double) Math.max(1, q.size(3)));
    Shape lse = Shape.of(q.size(0), q.size(1), q.size(2));
    Contraction.Attention op = new Contraction.Attention(scale, causal);
    Tensor[] in = mask == null ? new Tensor[] {q, k, v} : new Tensor[] {q, k, v, mask};
    String what = (causal ? "causal " : "") + q.shape() + k.shape() + (mask == null ? "" : " mask " + mask);
    Twins.same(what, op, (x, out) -> VectorAttention.run(op, x, out), List.of(q.shape(), lse), in);

    Tensor[] out = {Tensor.empty(Device.CPU, DType.F32, q.shape()), Tensor.empty(Device.CPU, DType.F32, lse)};
    VectorAttention.run(op, in, out);
    Contraction.AttentionGrad grad = new Contraction.AttentionGrad(scale, causal);
    Tensor dO = Twins.random(random, q.shape().toArray());
    Tensor[] gradIn = mask == null ? new Tensor[] {dO, q, k, v, out[0], out[1]}
        : new Tensor[] {dO, q, k, v, out[0], out[1], mask};
    Twins.same("gradient, " + what, grad, (x, to) -> VectorAttention.run(grad, x, to),
        List.of(q.shape(), k.shape(), v.shape()), gradIn);
  }

  private void sizes(boolean causal, long b, long h, long t, long s, long d) {
    try (Scope _ = Scope.open()) {
      both(causal, Twins.random(random, b, h, t, d), Twins.random(random, b, h, s, d), Twins.random(random, b, h, s, d), null);
    }
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
  void causal() {
    sizes(true, 1, 2, 77, 77, 16);
    sizes(true, 1, 1, 130, 130, 8);
    sizes(true, 1, 1, 220, 100, 5);
    sizes(true, 1, 1, 60, 250, 7);
    sizes(true, 1, 1, 1, 1, 4);
  }

  @Test
  void permutedHeads() {
    try (Scope _ = Scope.open()) {
      Tensor q = Twins.random(random, 2, 35, 3, 20).permute(0, 2, 1, 3);
      Tensor k = Twins.random(random, 2, 101, 3, 20).permute(0, 2, 1, 3);
      Tensor v = Twins.random(random, 2, 101, 3, 20).permute(0, 2, 1, 3);
      both(false, q, k, v, null);
      both(false, Twins.random(random, 2, 3, 20, 35).transpose(2, 3), k, Twins.random(random, 2, 3, 20, 101).transpose(2, 3), null);
      both(false, Twins.random(random, 1, 3, 35, 20).expand(2, 3, 35, 20), k, v, null);
    }
  }

  /** BOOL of this shape: true with the given probability. */
  private Tensor allowed(double probability, long... sizes) {
    try (Scope scope = Scope.open()) {
      float[] values = new float[(int) Shape.of(sizes).elementCount()];
      for (int i = 0; i < values.length; i++) {
        values[i] = random.nextDouble() < probability ? 1 : 0;
      }
      return scope.keep(Tensor.of(values, sizes).cast(DType.BOOL));
    }
  }

  @Test
  void masks() {
    try (Scope _ = Scope.open()) {
      Tensor q = Twins.random(random, 2, 2, 40, 12);
      Tensor k = Twins.random(random, 2, 2, 110, 12);
      Tensor v = Twins.random(random, 2, 2, 110, 12);
      both(false, q, k, v, allowed(0.5, 2, 2, 40, 110));
      both(false, q, k, v, allowed(0.02, 1, 1, 40, 110));
      both(false, q, k, v, allowed(0.7, 2, 1, 1, 110));
      both(false, q, k, v, allowed(0.5, 40, 1));
      both(false, q, k, v, allowed(0, 1));
      both(true, q, k, v, allowed(0.5, 40, 110));
      both(false, q, k, v, Twins.random(random, 2, 2, 40, 110));
      both(false, q, k, v, Twins.random(random, 110, 40).t());
      both(true, q, k, v, Twins.random(random, 2, 1, 1, 110));
    }
  }

  /** A mask of this shape as a picture of {@code rule}. */
  private static Tensor allowed(int queries, int keys, BiPredicate<Integer, Integer> rule) {
    float[] values = new float[queries * keys];
    for (int i = 0; i < values.length; i++) {
      values[i] = rule.test(i / keys, i % keys) ? 1 : 0;
    }
    return Tensor.of(values, queries, keys).cast(DType.BOOL);
  }

  /** Tiles of 32 queries by 96 keys that are wholly hidden, wholly seen, or neither, in every order. */
  @Test
  void maskedTiles() {
    try (Scope _ = Scope.open()) {
      for (int trial = 0; trial < 24; trial++) {
        int queries = 1 + random.nextInt(230);
        int keys = 1 + random.nextInt(330);
        Tensor q = Twins.random(random, 1, 2, queries, 10);
        Tensor k = Twins.random(random, 1, 2, keys, 10);
        int[] kinds = random.ints(8 * 4, 0, 3).toArray();
        Tensor mask = allowed(queries, keys, (t, s) -> {
          int kind = kinds[t / 32 * 4 + s / 96];
          return kind == 2 ? random.nextBoolean() : kind == 1;
        });
        both(trial % 3 == 0, q, k, k, mask);
        both(trial % 3 == 0, q, k, k, mask.t().contiguous().t());
      }
    }
  }

  /** Text that sees itself, causally, after padding; and noise that sees all but padding: the mask of OmniGen, of two examples. */
  @Test
  void textAndNoise() {
    try (Scope _ = Scope.open()) {
      int length = 230;
      int text = 70;
      Tensor[] masks = new Tensor[2];
      for (int i = 0; i < 2; i++) {
        int padding = 33 * i;
        masks[i] = allowed(length, length, (t, s) -> s >= padding && (t >= text || (s <= t && t >= padding))).unsqueeze(0).unsqueeze(0);
      }
      Tensor mask = Tensor.concat(0, masks);
      Tensor q = Twins.random(random, 2, length, 3, 20).transpose(1, 2);
      Tensor v = Twins.random(random, 2, length, 3, 20).transpose(1, 2);
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
      Tensor q = Twins.random(random, 1, 1, 64, 8);
      float[] values = Twins.random(random, 1, 1, 300, 8).toFloats();
      Arrays.fill(values, 96 * 8, 192 * 8, Float.POSITIVE_INFINITY);
      Tensor v = Tensor.of(values, 1, 1, 300, 8);
      Tensor mask = allowed(64, 300, (t, s) -> s < 96 || s >= 192);
      Tensor o = q.attention(Twins.random(random, 1, 1, 300, 8), v, mask, 1);
      for (float value : o.toFloats()) {
        assertTrue(Float.isFinite(value));
      }
      both(false, q, Twins.random(random, 1, 1, 300, 8), v, mask);
    }
  }

  /** Padding as diffusers and transformers pass it: an added minus infinity, or the most negative number. */
  @Test
  void addedInfinities() {
    try (Scope _ = Scope.open()) {
      Tensor q = Twins.random(random, 1, 2, 34, 12);
      Tensor k = Twins.random(random, 1, 2, 110, 12);
      float[] hidden = new float[34 * 110];
      for (int i = 0; i < hidden.length; i++) {
        hidden[i] = i / 110 == 3 || i % 110 > 60 ? Float.NEGATIVE_INFINITY : i % 7 == 0 ? -Float.MAX_VALUE : 0f;
      }
      both(false, q, k, k, Tensor.of(hidden, 34, 110));
    }
  }
}
