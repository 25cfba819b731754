package org.deft4j.tensor.internal;

import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;

/** {@link Fused.Rotary}, one pair of numbers after the other, wherever the inputs have them. */
final class ScalarRotary {
  private ScalarRotary() {}

  static void run(boolean inverse, Tensor[] in, Tensor out) {
    Real real = Real.of(out.dtype());
    Shape pairs = out.shape().with(-1, out.size(-1) / 2);
    long half = pairs.size(-1);
    long[] ofX = in[0].strides();
    long[] ofCos = Strides.stretched(in[1], pairs.rank());
    long[] ofSin = Strides.stretched(in[2], pairs.rank());
    long apart = half * ofX[pairs.rank() - 1];
    Access x = Access.of(in[0]);
    Access cos = Access.of(in[1]);
    Access sin = Access.of(in[2]);
    Access y = Access.of(out);
    Parallel.forRange(pairs.elementCount(), ScalarElementwise.GRAIN, (from, to) -> {
      for (long i = from; i < to; i++) {
        long at = Positions.offset(i, pairs, ofX);
        double a = x.get(at);
        double b = x.get(at + apart);
        double c = cos.get(Positions.offset(i, pairs, ofCos));
        double sine = sin.get(Positions.offset(i, pairs, ofSin));
        double s = inverse ? -sine : sine;
        long first = i + i / half * half;
        y.set(first, real.add(real.mul(a, c), -real.mul(b, s)));
        y.set(first + half, real.add(real.mul(b, c), real.mul(a, s)));
      }
    });
  }
}
