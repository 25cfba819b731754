package org.deft4j.deft.bench;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** The counted operations are those of the definitions, for each kind of product; shapes suffice. */
class FlopCountTest {
  private static Tensor meta(long... sizes) {
    return Tensor.empty(Device.META, DType.F32, Shape.of(sizes));
  }

  private static double count(Runnable work) {
    try (Scope _ = Scope.open(); FlopCount count = FlopCount.open()) {
      work.run();
      return count.flop();
    }
  }

  @Test
  void products() {
    assertEquals(2.0 * 3 * 5 * 7, count(() -> meta(3, 5).matmul(meta(5, 7))));
    assertEquals(2.0 * 4 * 3 * 5 * 7, count(() -> meta(4, 3, 5).matmul(meta(5, 7))));
    assertEquals(2.0 * 4 * 3 * 5 * 7, count(() -> meta(4, 3, 5).linear(meta(7, 5), meta(7))));
    assertEquals(0, count(() -> meta(4, 3, 5).silu().add(meta(5)).softmax(-1)));
    assertEquals(4.0 * 3 * 5 * 7, count(() -> meta(3, 5).matmul(meta(5, 7)).t().matmul(meta(3, 5))));
  }

  @Test
  void convolutionsAndTheirGradients() {
    ConvSpec spec = new ConvSpec(2, 2, 1, 1, 1, 1, 1, 1, 2);
    double expected = 2.0 * 3 * 8 * (5 * 6) * (4 / 2 * 9);
    assertEquals(expected, count(() -> meta(3, 4, 10, 12).conv2d(spec, meta(8, 2, 3, 3))));
    assertEquals(expected, count(() -> Dispatch.run(new Contraction.Conv2dInputGrad(spec, Shape.of(3, 4, 10, 12)),
        meta(3, 8, 5, 6), meta(8, 2, 3, 3))));
    assertEquals(expected, count(() -> Dispatch.run(new Contraction.Conv2dWeightGrad(spec, Shape.of(8, 2, 3, 3)),
        meta(3, 8, 5, 6), meta(3, 4, 10, 12))));
  }

  @Test
  void attentionCountsThePairsThatItLooksAt() {
    assertEquals(2.0 * 2 * 2 * 3 * (5 * 7) * 4, attention(5, 7, false));
    assertEquals(2.0 * 2 * 2 * 3 * (1 + 2 + 3 + 4 + 5) * 4, attention(5, 7, true));
    assertEquals(2.0 * 2 * 2 * 3 * (1 + 2 + 3 + 3 + 3) * 4, attention(5, 3, true));
    Tensor q = meta(2, 3, 5, 4);
    Tensor k = meta(2, 3, 7, 4);
    assertEquals(2.0 * 5 * 2 * 3 * (5 * 7) * 4, count(() -> Dispatch.run(new Contraction.AttentionGrad(1, false), q, q, k, k, q,
        meta(2, 3, 5))));
  }

  private static double attention(long queries, long keys, boolean causal) {
    return count(() -> meta(2, 3, queries, 4).attention(meta(2, 3, keys, 4), meta(2, 3, keys, 4), 1, causal));
  }
}
