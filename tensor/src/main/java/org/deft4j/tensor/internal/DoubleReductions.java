package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Reduction;

/** {@link Reduction} in float64: the formulas of {@link ScalarReductions}. */
final class DoubleReductions {
  private DoubleReductions() {}

  static void run(Reduction op, Tensor x, Tensor y) {
    switch (op) {
      case Reduction.Sum(var dims, var keep) -> Slab.reduce(x, dims, y, DoubleReductions::sum);
      case Reduction.Max(var dims, var keep) ->
          Slab.reduce(x, dims, y, (slab, from, to) -> extreme(slab.requireElements(op), from, to, true));
      case Reduction.Min(var dims, var keep) ->
          Slab.reduce(x, dims, y, (slab, from, to) -> extreme(slab.requireElements(op), from, to, false));
      case Reduction.Prod(var dim, var keep) -> prod(Slab.of(x.shape(), dim), x, y);
      case Reduction.ArgMax(var dim, var keep) -> arg(Slab.of(x.shape(), dim).requireElements(op), x, y, 1);
      case Reduction.ArgMin(var dim, var keep) -> arg(Slab.of(x.shape(), dim).requireElements(op), x, y, -1);
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
  static double sum(Slab slab, Sums.DoubleTerm term) {
    return slab.inner() == 1 ? Sums.sumF64(slab.n(), term) : Sums.sumRowsF64(slab.n(), term);
  }

  private static void sum(Slab slab, Tensor from, Tensor to) {
    Doubles x = Doubles.of(from);
    Doubles y = Doubles.of(to);
    forEach(slab, (index, start) ->
        y.set(index, sum(slab, (lane, i) -> lane + x.get(start + i * slab.inner()))));
  }

  /** Sums across rows, whatever {@code inner}: also a single column is summed as columns are. */
  static void sumRows(Slab slab, Tensor from, Tensor to) {
    Doubles x = Doubles.of(from);
    Doubles y = Doubles.of(to);
    forEach(slab, (index, start) ->
        y.set(index, Sums.sumRowsF64(slab.n(), (chain, i) -> chain + x.get(start + i * slab.inner()))));
  }

  private static void extreme(Slab slab, Tensor from, Tensor to, boolean largest) {
    Doubles x = Doubles.of(from);
    Doubles y = Doubles.of(to);
    forEach(slab, (index, start) -> y.set(index, largest ? max(slab, x, start) : min(slab, x, start)));
  }

  private static double max(Slab slab, Doubles x, long start) {
    double best = Double.NEGATIVE_INFINITY;
    for (long i = 0; i < slab.n(); i++) {
      best = Math.max(best, x.get(start + i * slab.inner()));
    }
    return best;
  }

  private static double min(Slab slab, Doubles x, long start) {
    double best = Double.POSITIVE_INFINITY;
    for (long i = 0; i < slab.n(); i++) {
      best = Math.min(best, x.get(start + i * slab.inner()));
    }
    return best;
  }

  private static void prod(Slab slab, Tensor from, Tensor to) {
    Doubles x = Doubles.of(from);
    Doubles y = Doubles.of(to);
    forEach(slab, (index, start) -> {
      double product = 1;
      for (long i = 0; i < slab.n(); i++) {
        product *= x.get(start + i * slab.inner());
      }
      y.set(index, product);
    });
  }

  /** The first index of the largest {@code sign * x}; a NaN counts as larger than all. */
  private static void arg(Slab slab, Tensor from, Tensor to, double sign) {
    Doubles x = Doubles.of(from);
    MemorySegment y = to.memory();
    forEach(slab, (index, start) -> {
      long best = 0;
      double top = sign * x.get(start);
      for (long i = 1; i < slab.n() && !Double.isNaN(top); i++) {
        double value = sign * x.get(start + i * slab.inner());
        if (value > top || Double.isNaN(value)) {
          top = value;
          best = i;
        }
      }
      y.setAtIndex(ValueLayout.JAVA_LONG, to.offset() + index, best);
    });
  }

  private static void cumSum(Slab slab, Tensor from, Tensor to) {
    Doubles x = Doubles.of(from);
    Doubles y = Doubles.of(to);
    forEach(slab, (index, start) -> {
      double sum = 0;
      for (long i = 0; i < slab.n(); i++) {
        sum += x.get(start + i * slab.inner());
        y.set(start + i * slab.inner(), sum);
      }
    });
  }

  // ----------------------------------------------------------------------------------------- softmax and its kin

  private static void softmax(Slab slab, Tensor from, Tensor to) {
    Doubles x = Doubles.of(from);
    Doubles y = Doubles.of(to);
    long step = slab.inner();
    forEach(slab, (index, start) -> {
      double max = max(slab, x, start);
      for (long i = 0; i < slab.n(); i++) {
        y.set(start + i * step, StrictMath.exp(x.get(start + i * step) - max));
      }
      double scale = 1 / sum(slab, (lane, i) -> lane + y.get(start + i * step));
      for (long i = 0; i < slab.n(); i++) {
        y.set(start + i * step, y.get(start + i * step) * scale);
      }
    });
  }

  private static void logSoftmax(Slab slab, Tensor from, Tensor to) {
    Doubles x = Doubles.of(from);
    Doubles y = Doubles.of(to);
    long step = slab.inner();
    forEach(slab, (index, start) -> {
      double max = max(slab, x, start);
      double log = StrictMath.log(sum(slab, (lane, i) -> lane + StrictMath.exp(x.get(start + i * step) - max)));
      for (long i = 0; i < slab.n(); i++) {
        y.set(start + i * step, (x.get(start + i * step) - max) - log);
      }
    });
  }

  private static void logSumExp(Slab slab, Tensor from, Tensor to) {
    Doubles x = Doubles.of(from);
    Doubles y = Doubles.of(to);
    long step = slab.inner();
    forEach(slab, (index, start) -> {
      double max = max(slab, x, start);
      // inf - inf would be NaN: with nothing taken out, infinities come out right by themselves.
      double out = Double.isInfinite(max) ? 0 : max;
      y.set(index, out + StrictMath.log(sum(slab, (lane, i) -> lane + StrictMath.exp(x.get(start + i * step) - out))));
    });
  }
}
