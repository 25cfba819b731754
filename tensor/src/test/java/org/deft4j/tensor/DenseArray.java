package org.deft4j.tensor;

import java.util.Arrays;
import java.util.function.Function;

/** What a tensor should hold, as a plain row-major array: the model that views and copies are compared with. */
record DenseArray(long[] sizes, double[] values) {
  /** Elements 0, 1, 2, ... */
  static DenseArray counting(long... sizes) {
    double[] values = new double[(int) Shape.of(sizes).elementCount()];
    Arrays.setAll(values, i -> i);
    return new DenseArray(sizes, values);
  }

  /** An array of {@code sizes}, each element computed from its position. */
  static DenseArray generate(long[] sizes, Function<long[], Double> element) {
    double[] values = new double[(int) Shape.of(sizes).elementCount()];
    for (int i = 0; i < values.length; i++) {
      values[i] = element.apply(position(i, sizes));
    }
    return new DenseArray(sizes, values);
  }

  private static long[] position(int index, long[] sizes) {
    long[] position = new long[sizes.length];
    long rest = index;
    for (int d = sizes.length - 1; d >= 0; d--) {
      position[d] = rest % sizes[d];
      rest /= sizes[d];
    }
    return position;
  }

  double at(long... position) {
    long index = 0;
    for (int d = 0; d < sizes.length; d++) {
      index = index * sizes[d] + position[d];
    }
    return values[(int) index];
  }

  Tensor tensor() {
    return sizes.length == 0 ? Tensor.scalar(DType.F64, values[0]) : Tensor.of(values, sizes);
  }

  DenseArray permute(int... dims) {
    long[] permuted = Arrays.stream(dims).mapToLong(d -> sizes[d]).toArray();
    return generate(permuted, p -> {
      long[] source = new long[p.length];
      for (int d = 0; d < p.length; d++) {
        source[dims[d]] = p[d];
      }
      return at(source);
    });
  }

  DenseArray slice(int dim, long start, long end, long step) {
    long[] sliced = sizes.clone();
    sliced[dim] = (end - start + step - 1) / step;
    return generate(sliced, p -> at(with(p, dim, start + p[dim] * step)));
  }

  DenseArray flip(int dim) {
    return generate(sizes, p -> at(with(p, dim, sizes[dim] - 1 - p[dim])));
  }

  /** A new dimension of {@code times} equal slices before {@code dim}. */
  DenseArray repeat(int dim, long times) {
    long[] wider = new long[sizes.length + 1];
    System.arraycopy(sizes, 0, wider, 0, dim);
    wider[dim] = times;
    System.arraycopy(sizes, dim, wider, dim + 1, sizes.length - dim);
    return generate(wider, p -> {
      long[] source = new long[sizes.length];
      System.arraycopy(p, 0, source, 0, dim);
      System.arraycopy(p, dim + 1, source, dim, sizes.length - dim);
      return at(source);
    });
  }

  DenseArray roll(int dim, long shift) {
    return generate(sizes, p -> at(with(p, dim, Math.floorMod(p[dim] - shift, sizes[dim]))));
  }

  DenseArray pad(int dim, long before, long after, double value) {
    long[] padded = sizes.clone();
    padded[dim] += before + after;
    return generate(padded, p -> {
      long i = p[dim] - before;
      return i < 0 || i >= sizes[dim] ? value : at(with(p, dim, i));
    });
  }

  DenseArray concat(int dim, DenseArray other) {
    long[] joined = sizes.clone();
    joined[dim] += other.sizes[dim];
    return generate(joined, p -> p[dim] < sizes[dim] ? at(p) : other.at(with(p, dim, p[dim] - sizes[dim])));
  }

  private static long[] with(long[] position, int dim, long index) {
    long[] copy = position.clone();
    copy[dim] = index;
    return copy;
  }

  @Override
  public String toString() {
    return Arrays.toString(sizes) + Arrays.toString(values);
  }
}
