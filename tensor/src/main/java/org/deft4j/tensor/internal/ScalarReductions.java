package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Reduction;

/** {@link Reduction}, result after result; this file in float32. */
final class ScalarReductions {
  private ScalarReductions() {}

  static void run(Reduction op, Tensor[] in, Tensor[] out) {
    Tensor x = in[0];
    Tensor y = out[0];
    if (x.dtype() == DType.F64) {
      DoubleReductions.run(op, x, y);
      return;
    }
    switch (op) {
      case Reduction.Sum(var dims, var keep) -> Slab.reduce(x, dims, y, ScalarReductions::sum);
      case Reduction.Max(var dims, var keep) ->
          Slab.reduce(x, dims, y, (slab, from, to) -> extreme(slab.requireElements(op), from, to, true));
      case Reduction.Min(var dims, var keep) ->
          Slab.reduce(x, dims, y, (slab, from, to) -> extreme(slab.requireElements(op), from, to, false));
      case Reduction.Prod(var dim, var keep) -> prod(Slab.of(x.shape(), dim), x, y);
      case Reduction.ArgMax(var dim, var keep) -> arg(Slab.of(x.shape(), dim).requireElements(op), x, y, 1f);
      case Reduction.ArgMin(var dim, var keep) -> arg(Slab.of(x.shape(), dim).requireElements(op), x, y, -1f);
      case Reduction.CumSum(var dim) -> cumSum(Slab.of(x.shape(), dim), x, y);
      case Reduction.Softmax(var dim) -> softmax(Slab.of(x.shape(), dim), x, y);
      case Reduction.LogSoftmax(var dim) -> logSoftmax(Slab.of(x.shape(), dim), x, y);
      case Reduction.LogSumExp(var dim, var keep) -> logSumExp(Slab.of(x.shape(), dim), x, y);
    }
  }

  /** Computes one result along {@code start, start + inner, ...}. */
  @FunctionalInterface
  private interface Body {
    void run(long index, long start);
  }

  private static void forEach(Slab slab, Body body) {
    Parallel.forRange(slab.results(), slab.grain(), (from, to) -> {
      for (long index = from; index < to; index++) {
        body.run(index, slab.start(index));
      }
    });
  }

  /** The sum along n in the order that fits how the elements lie. */
  static float sum(Slab slab, Sums.FloatTerm term) {
    return slab.inner() == 1 ? Sums.sum(slab.n(), term) : Sums.sumRows(slab.n(), term);
  }

  static void sum(Slab slab, Tensor from, Tensor to) {
    Floats x = Floats.of(from);
    Floats y = Floats.of(to);
    forEach(slab, (index, start) ->
        y.set(index, sum(slab, (lane, i) -> lane + x.get(start + i * slab.inner()))));
  }

  /** Sums across rows, whatever {@code inner}: also a single column is summed as columns are. */
  static void sumRows(Slab slab, Tensor from, Tensor to) {
    Floats x = Floats.of(from);
    Floats y = Floats.of(to);
    forEach(slab, (index, start) ->
        y.set(index, Sums.sumRows(slab.n(), (chain, i) -> chain + x.get(start + i * slab.inner()))));
  }

  static void extreme(Slab slab, Tensor from, Tensor to, boolean largest) {
    Floats x = Floats.of(from);
    Floats y = Floats.of(to);
    forEach(slab, (index, start) -> y.set(index, largest ? max(slab, x, start) : min(slab, x, start)));
  }

  private static float max(Slab slab, Floats x, long start) {
    float best = Float.NEGATIVE_INFINITY;
    for (long i = 0; i < slab.n(); i++) {
      best = Math.max(best, x.get(start + i * slab.inner()));
    }
    return best;
  }

  private static float min(Slab slab, Floats x, long start) {
    float best = Float.POSITIVE_INFINITY;
    for (long i = 0; i < slab.n(); i++) {
      best = Math.min(best, x.get(start + i * slab.inner()));
    }
    return best;
  }

  private static void prod(Slab slab, Tensor from, Tensor to) {
    Floats x = Floats.of(from);
    Floats y = Floats.of(to);
    forEach(slab, (index, start) -> {
      float product = 1f;
      for (long i = 0; i < slab.n(); i++) {
        product *= x.get(start + i * slab.inner());
      }
      y.set(index, product);
    });
  }

  /** The first index of the largest {@code sign * x}; a NaN counts as larger than all. */
  private static void arg(Slab slab, Tensor from, Tensor to, float sign) {
    Floats x = Floats.of(from);
    MemorySegment y = to.memory();
    forEach(slab, (index, start) -> {
      long best = 0;
      float top = sign * x.get(start);
      for (long i = 1; i < slab.n() && !Float.isNaN(top); i++) {
        float value = sign * x.get(start + i * slab.inner());
        if (value > top || Float.isNaN(value)) {
          top = value;
          best = i;
        }
      }
      y.setAtIndex(ValueLayout.JAVA_LONG, to.offset() + index, best);
    });
  }

  private static void cumSum(Slab slab, Tensor from, Tensor to) {
    Floats x = Floats.of(from);
    Floats y = Floats.of(to);
    forEach(slab, (index, start) -> {
      float sum = 0f;
      for (long i = 0; i < slab.n(); i++) {
        sum += x.get(start + i * slab.inner());
        y.set(start + i * slab.inner(), sum);
      }
    });
  }

  // ----------------------------------------------------------------------------------------- softmax and its kin

  static void softmax(Slab slab, Tensor from, Tensor to) {
    Floats x = Floats.of(from);
    Floats y = Floats.of(to);
    long step = slab.inner();
    forEach(slab, (index, start) -> {
      float max = max(slab, x, start);
      for (long i = 0; i < slab.n(); i++) {
        y.set(start + i * step, MathF32.exp(x.get(start + i * step) - max));
      }
      float scale = 1f / sum(slab, (lane, i) -> lane + y.get(start + i * step));
      for (long i = 0; i < slab.n(); i++) {
        y.set(start + i * step, y.get(start + i * step) * scale);
      }
    });
  }

  static void logSoftmax(Slab slab, Tensor from, Tensor to) {
    Floats x = Floats.of(from);
    Floats y = Floats.of(to);
    long step = slab.inner();
    forEach(slab, (index, start) -> {
      float max = max(slab, x, start);
      float log = MathF32.log(sum(slab, (lane, i) -> lane + MathF32.exp(x.get(start + i * step) - max)));
      for (long i = 0; i < slab.n(); i++) {
        y.set(start + i * step, (x.get(start + i * step) - max) - log);
      }
    });
  }

  static void logSumExp(Slab slab, Tensor from, Tensor to) {
    Floats x = Floats.of(from);
    Floats y = Floats.of(to);
    long step = slab.inner();
    forEach(slab, (index, start) -> {
      float max = max(slab, x, start);
      // inf - inf would be NaN: with nothing taken out, infinities come out right by themselves.
      float out = Float.isInfinite(max) ? 0f : max;
      y.set(index, out + MathF32.log(sum(slab, (lane, i) -> lane + MathF32.exp(x.get(start + i * step) - out))));
    });
  }
}
