package org.deft4j.autograd;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/** A recipe for one input of a sample. */
@FunctionalInterface
interface Input {
  Tensor make(SplittableRandom random);

  /** Uniform between {@code low} and {@code high}. */
  static Input between(double low, double high, long... shape) {
    return random -> Tensor.of(IntStream.range(0, count(shape)).mapToDouble(i -> random.nextDouble(low, high)).toArray(), shape);
  }

  /** Of either sign and no kinks near: between 0.2 and 2 in absolute value. */
  static Input any(long... shape) {
    return random -> Tensor.of(IntStream.range(0, count(shape))
        .mapToDouble(i -> (random.nextBoolean() ? 1 : -1) * random.nextDouble(0.2, 2)).toArray(), shape);
  }

  /** Multiples of 0.25 in random order: no two are close. */
  static Input distinct(long... shape) {
    return random -> {
      double[] values = IntStream.range(0, count(shape)).mapToDouble(i -> 0.25 * i - 1.1).toArray();
      for (int i = values.length - 1; i > 0; i--) {
        int j = random.nextInt(i + 1);
        double swapped = values[i];
        values[i] = values[j];
        values[j] = swapped;
      }
      return Tensor.of(values, shape);
    };
  }

  /** These values. */
  static Input exactly(double[] values, long... shape) {
    return random -> Tensor.of(values, shape);
  }

  /** These indices. */
  static Input index(long[] values, long... shape) {
    return random -> Tensor.of(values, shape);
  }

  /** Truth values: those of {@code ones} that are 1. */
  static Input mask(long[] ones, long... shape) {
    return random -> Tensor.of(ones, shape).cast(DType.BOOL);
  }

  /** The same values in memory with the dimensions the other way round. */
  default Input transposed() {
    return random -> {
      Tensor x = make(random);
      int[] reversed = IntStream.range(0, x.rank()).map(i -> x.rank() - 1 - i).toArray();
      return x.permute(reversed).copy().permute(reversed);
    };
  }

  /** The same values as every second column of a wider tensor, from the second on. */
  default Input sliced() {
    return random -> {
      Tensor x = make(random);
      Tensor wide = Tensor.stack(x.rank(), x.zerosLike(), x).flatten(-2, -1);
      return wide.slice(-1, 1, wide.size(-1), 2);
    };
  }

  /** What {@code change} makes of it. */
  default Input then(Function<Tensor, Tensor> change) {
    return random -> change.apply(make(random));
  }

  private static int count(long... shape) {
    return (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
  }
}
