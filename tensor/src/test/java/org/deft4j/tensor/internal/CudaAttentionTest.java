package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.CudaTests;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.deft4j.tensor.op.Contraction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Attention and its gradients on a card give what they do on the CPU, in float32 and float64: sizes, strides, masks, what sees nothing. */
@ExtendWith(OnCard.class)
class CudaAttentionTest extends AttentionCases {
  CudaAttentionTest() {
    super(17);
  }

  @Override
  Tensor draw(long... sizes) {
    return CudaTests.normal(random, sizes);
  }

  @Override
  void both(boolean causal, Tensor q, Tensor k, Tensor v, Tensor mask) {
    double scale = 1 / Math.sqrt((double) Math.max(1, q.size(3)));
    Tensor[] in = mask == null ? new Tensor[] {q, k, v} : new Tensor[] {q, k, v, mask};
    Contraction.Attention op = new Contraction.Attention(scale, causal);
    Tensor[] out = Dispatch.run(op, in);
    Tensor[] given = new Tensor[3 + in.length];
    given[0] = draw(q.shape().toArray());
    System.arraycopy(in, 0, given, 1, 3);
    System.arraycopy(out, 0, given, 4, 2);
    if (mask != null) {
      given[6] = mask;
    }
    String what = (causal ? "causal " : "") + q.shape() + k.shape() + (mask == null ? "" : " mask " + mask);
    for (DType type : List.of(DType.F32, DType.F64)) {
      assertEquals(Optional.empty(), CudaTests.differences(op, type, in), what + " " + type);
      assertEquals(Optional.empty(), CudaTests.differences(new Contraction.AttentionGrad(scale, causal), type, given),
          "gradient, " + what + " " + type);
    }
  }

  @Test
  void sizes() {
    sizes(false, 1, 1, 1, 1, 1);
    sizes(false, 2, 3, 5, 7, 8);
    sizes(false, 1, 2, 33, 77, 40);
    sizes(false, 1, 1, 100, 97, 13);
    sizes(false, 1, 1, 70, 200, 64);
    sizes(false, 1, 1, 16, 96, 80);
    sizes(false, 1, 1, 64, 64, 96);
    sizes(false, 1, 1, 65, 63, 128);
    sizes(false, 1, 1, 7, 192, 129);
    sizes(false, 1, 1, 20, 66, 160);
    sizes(false, 1, 1, 12, 15, 256);
    sizes(false, 1, 1, 9, 20, 512);
  }

  @Test
  void nothing() {
    sizes(false, 1, 1, 5, 0, 8);
    sizes(false, 1, 1, 0, 5, 8);
    sizes(false, 1, 1, 5, 6, 0);
    sizes(false, 0, 2, 5, 6, 8);
  }

  /** Eight heads of queries look at two of keys, which are not copied: a head is repeated by a stride of 0. */
  @Test
  void sharedHeads() {
    try (Scope _ = Scope.open()) {
      Tensor q = draw(1, 8, 90, 24);
      Tensor k = draw(1, 2, 90, 24);
      Contraction.Attention op = new Contraction.Attention(0.2, true);
      for (long group = 0; group < 2; group++) {
        Tensor queries = q.slice(1, 4 * group, 4 * group + 4);
        Tensor keys = k.slice(1, group, group + 1);
        Tensor[] expected = Dispatch.run(op, queries, keys.expand(1, 4, 90, 24), keys.expand(1, 4, 90, 24));
        Tensor there = keys.to(Device.CUDA).expand(1, 4, 90, 24);
        Tensor[] actual = Dispatch.run(op, q.to(Device.CUDA).slice(1, 4 * group, 4 * group + 4), there, there);
        assertArrayEquals(expected[0].toFloats(), actual[0].to(Device.CPU).toFloats(), 1e-6f);
        assertArrayEquals(expected[1].toFloats(), actual[1].to(Device.CPU).toFloats(), 1e-5f);
      }
    }
  }

  /** Tiles of 64 queries by 64 keys that are wholly hidden, wholly seen, or neither, in every order. */
  @Test
  void maskedTiles() {
    try (Scope _ = Scope.open()) {
      for (int trial = 0; trial < 6; trial++) {
        int queries = 1 + random.nextInt(230);
        int keys = 1 + random.nextInt(250);
        Tensor q = draw(1, 2, queries, 10);
        Tensor k = draw(1, 2, keys, 10);
        Tensor mask = tiles(queries, keys, 64, 64);
        both(trial % 3 == 0, q, k, k, trial % 2 == 0 ? mask : mask.t().contiguous().t());
      }
    }
  }

  @Test
  void textAndNoise() {
    try (Scope _ = Scope.open()) {
      int length = 150;
      Tensor mask = textAndNoise(length, 70);
      Tensor q = draw(2, length, 3, 20).transpose(1, 2);
      Tensor v = draw(2, length, 3, 20).transpose(1, 2);
      both(false, q, v, q, mask);
      both(false, q, v, q, mask.slice(2, 30, 31));
      both(false, q.slice(2, 1, 150), v.slice(2, 7, 130), q.slice(2, 7, 130), mask.slice(2, 1, 150).slice(3, 7, 130));
    }
  }

  /** Keys and values that nobody sees are not multiplied, whatever they are. */
  @Test
  void hiddenInfinities() {
    try (Scope _ = Scope.open()) {
      float[] values = draw(1, 1, 150, 8).toFloats();
      Arrays.fill(values, 50 * 8, 100 * 8, Float.POSITIVE_INFINITY);
      values[70 * 8] = Float.NaN;
      Tensor k = Tensor.of(values, 1, 1, 150, 8).to(Device.CUDA);
      Tensor q = draw(1, 1, 70, 8).to(Device.CUDA);
      Tensor mask = allowed(70, 150, (t, s) -> s < 50 || s >= 100).to(Device.CUDA);
      Tensor[] out = Dispatch.run(new Contraction.Attention(1, false), q, k, k, mask);
      Tensor[] gradients = Dispatch.run(new Contraction.AttentionGrad(1, false), q, q, k, k, out[0], out[1], mask);
      for (Tensor result : List.of(out[0], out[1], gradients[0], gradients[1], gradients[2])) {
        for (float value : result.to(Device.CPU).toFloats()) {
          assertTrue(Float.isFinite(value));
        }
      }
    }
  }

  /** The order in which threads run between barriers changes no bit. */
  @Test
  void turnedLanes() {
    try (Scope _ = Scope.open()) {
      Tensor q = draw(1, 2, 70, 40).to(Device.CUDA);
      Tensor k = draw(1, 2, 130, 40).to(Device.CUDA);
      Tensor v = draw(1, 2, 130, 40).to(Device.CUDA);
      Tensor mask = allowed(0.5, 70, 130).to(Device.CUDA);
      Contraction.Attention op = new Contraction.Attention(0.3, false);
      CudaTests.assertOrderOfLanesIsFree(() -> Dispatch.run(op, q, k, v, mask));
      Tensor[] out = Dispatch.run(op, q, k, v, mask);
      Contraction.AttentionGrad grad = new Contraction.AttentionGrad(0.3, false);
      CudaTests.assertOrderOfLanesIsFree(() -> Dispatch.run(grad, out[0], q, k, v, out[0], out[1], mask));
    }
  }
}
