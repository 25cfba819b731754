package org.deft4j.tensor.internal.cuda;

import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;

/** What tests of attention on tensor cores are given: numbers, masks, and a precision. */
final class AttentionInputs {
  final Random random;

  AttentionInputs(long seed) {
    this.random = new Random(seed);
  }

  Tensor normal(long... sizes) {
    return CudaTests.normal(random, sizes);
  }

  /** True with the given probability. */
  Tensor allowed(double probability, long... sizes) {
    float[] values = new float[(int) Shape.of(sizes).elementCount()];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextDouble() < probability ? 1 : 0;
    }
    return Tensor.of(values, sizes).cast(DType.BOOL);
  }

  /** True where {@code rule} has it for example, head, query and key. */
  static Tensor picture(int b, int h, int t, int s, Rule rule) {
    float[] values = new float[b * h * t * s];
    for (int i = 0; i < values.length; i++) {
      values[i] = rule.sees(i / s / t / h, i / s / t % h, i / s % t, i % s) ? 1 : 0;
    }
    return Tensor.of(values, b, h, t, s).cast(DType.BOOL);
  }

  interface Rule {
    boolean sees(int example, int head, int query, int key);
  }

  static Tensor[] forward(Precision precision, Contraction.Attention op, Tensor... in) {
    return CudaTests.with(precision, () -> Dispatch.run(op, in));
  }

  static Tensor[] backward(Precision precision, Contraction.AttentionGrad op, Tensor... in) {
    return CudaTests.with(precision, () -> Dispatch.run(op, in));
  }
}
