package org.deft4j.tensor.internal;

import java.util.Random;
import java.util.function.BiPredicate;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** What every form of attention is asked: sizes, strides, masks. */
abstract class AttentionCases {
  final Random random;

  AttentionCases(long seed) {
    this.random = new Random(seed);
  }

  /** Numbers of a test's own kind. */
  abstract Tensor draw(long... sizes);

  /** Compares forward and backward; {@code mask} may be null. */
  abstract void both(boolean causal, Tensor q, Tensor k, Tensor v, Tensor mask);

  final void sizes(boolean causal, long b, long h, long t, long s, long d) {
    try (Scope _ = Scope.open()) {
      both(causal, draw(b, h, t, d), draw(b, h, s, d), draw(b, h, s, d), null);
    }
  }

  /** BOOL of this shape: true with the given probability. */
  final Tensor allowed(double probability, long... sizes) {
    try (Scope scope = Scope.open()) {
      float[] values = new float[(int) Shape.of(sizes).elementCount()];
      for (int i = 0; i < values.length; i++) {
        values[i] = random.nextDouble() < probability ? 1 : 0;
      }
      return scope.keep(Tensor.of(values, sizes).cast(DType.BOOL));
    }
  }

  /** A mask of this shape as a picture of {@code rule}. */
  static Tensor allowed(int queries, int keys, BiPredicate<Integer, Integer> rule) {
    float[] values = new float[queries * keys];
    for (int i = 0; i < values.length; i++) {
      values[i] = rule.test(i / keys, i % keys) ? 1 : 0;
    }
    return Tensor.of(values, queries, keys).cast(DType.BOOL);
  }

  /** A mask whose tiles are wholly hidden, wholly seen, or neither, in every order. */
  final Tensor tiles(int queries, int keys, int height, int width) {
    int across = (keys + width - 1) / width;
    int[] kinds = random.ints((long) across * ((queries + height - 1) / height), 0, 3).toArray();
    return allowed(queries, keys, (t, s) -> {
      int kind = kinds[t / height * across + s / width];
      return kind == 2 ? random.nextBoolean() : kind == 1;
    });
  }

  /** Text that sees itself, causally, after padding; and noise that sees all but padding: the mask of OmniGen, of two examples. */
  static Tensor textAndNoise(int length, int text) {
    Tensor[] masks = new Tensor[2];
    for (int i = 0; i < 2; i++) {
      int padding = 33 * i;
      masks[i] = allowed(length, length, (t, s) -> s >= padding && (t >= text || (s <= t && t >= padding))).unsqueeze(0).unsqueeze(0);
    }
    return Tensor.concat(0, masks);
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
      Tensor q = draw(2, 35, 3, 20).permute(0, 2, 1, 3);
      Tensor k = draw(2, 101, 3, 20).permute(0, 2, 1, 3);
      Tensor v = draw(2, 101, 3, 20).permute(0, 2, 1, 3);
      both(false, q, k, v, null);
      both(false, draw(2, 3, 20, 35).transpose(2, 3), k, draw(2, 3, 20, 101).transpose(2, 3), null);
    }
  }

  @Test
  void masks() {
    try (Scope _ = Scope.open()) {
      Tensor q = draw(2, 2, 40, 12);
      Tensor k = draw(2, 2, 110, 12);
      Tensor v = draw(2, 2, 110, 12);
      both(false, q, k, v, allowed(0.5, 2, 2, 40, 110));
      both(false, q, k, v, allowed(0.02, 1, 1, 40, 110));
      both(false, q, k, v, allowed(0.7, 2, 1, 1, 110));
      both(false, q, k, v, allowed(0.5, 40, 1));
      both(false, q, k, v, allowed(0, 1));
      both(true, q, k, v, allowed(0.5, 40, 110));
      both(false, q, k, v, draw(2, 2, 40, 110));
      both(false, q, k, v, draw(110, 40).t());
      both(true, q, k, v, draw(2, 1, 1, 110));
    }
  }

  /** Padding as diffusers and transformers pass it: an added minus infinity, or the most negative number. */
  @Test
  void addedInfinities() {
    try (Scope _ = Scope.open()) {
      Tensor q = draw(1, 2, 34, 12);
      Tensor k = draw(1, 2, 110, 12);
      float[] hidden = new float[34 * 110];
      for (int i = 0; i < hidden.length; i++) {
        hidden[i] = i / 110 == 3 || i % 110 > 60 ? Float.NEGATIVE_INFINITY : i % 7 == 0 ? -Float.MAX_VALUE : 0f;
      }
      both(false, q, k, k, Tensor.of(hidden, 34, 110));
    }
  }
}
