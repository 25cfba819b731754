package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;

/**
 * How up to three tensors are walked together, element by element in the row-major order of one shape, to which they broadcast:
 * {@code struct Walk} of {@code common.cuh}. Neighbouring dimensions that all step through evenly are one, so that dense tensors of one
 * shape are walked by the index alone.
 */
final class Walk implements Struct {
  /** The most dimensions that are left after merging, and the most tensors. */
  private static final int MOST = 8;
  private static final int TENSORS = 3;

  private final long[] sizes = new long[MOST];
  private final long[][] strides = new long[TENSORS][MOST];
  private int rank;

  private Walk() {}

  /** Over {@code shape}. */
  static Walk over(Shape shape, Tensor... tensors) {
    long[][] steps = new long[tensors.length][];
    for (int t = 0; t < tensors.length; t++) {
      steps[t] = stretched(tensors[t], shape);
    }
    return over(shape, steps);
  }

  /** Over {@code shape}, by steps for each of its dimensions. */
  static Walk over(Shape shape, long[]... steps) {
    Walk walk = new Walk();
    for (int d = 0; d < shape.rank(); d++) {
      if (shape.size(d) != 1) {
        walk.append(shape, d, steps);
      }
    }
    return walk;
  }

  private void append(Shape shape, int d, long[][] steps) {
    long size = shape.size(d);
    boolean even = rank > 0;
    for (int t = 0; t < steps.length && even; t++) {
      even = strides[t][rank - 1] == size * steps[t][d];
    }
    if (even) {
      sizes[rank - 1] *= size;
    } else if (rank == MOST) {
      throw new ShapeException("on the card: shape " + shape + " is walked in more than " + MOST + " dimensions; make a copy of it first");
    } else {
      sizes[rank++] = size;
    }
    for (int t = 0; t < steps.length; t++) {
      strides[t][rank - 1] = steps[t][d];
    }
  }

  /** The strides over the dimensions of {@code shape}: 0 where a size of 1 stretches. */
  static long[] stretched(Tensor tensor, Shape shape) {
    long[] strides = tensor.strides();
    long[] result = new long[shape.rank()];
    int lead = result.length - strides.length;
    for (int d = 0; d < strides.length; d++) {
      result[lead + d] = tensor.size(d) == 1 ? 0 : strides[d];
    }
    return result;
  }

  /** Dimensions left; 0 for a single element. */
  int rank() {
    return rank;
  }

  /** The size of a dimension that is left. */
  long size(int d) {
    return sizes[d];
  }

  /** What tensor {@code t} steps by there. */
  long stride(int t, int d) {
    return strides[t][d];
  }

  @Override
  public int bytes() {
    return 2 * Integer.BYTES + MOST * (1 + TENSORS) * Long.BYTES;
  }

  @Override
  public void put(ByteBuffer bytes) {
    bytes.putInt(rank).putInt(0);
    for (long size : sizes) {
      bytes.putLong(size);
    }
    for (long[] stride : strides) {
      for (long step : stride) {
        bytes.putLong(step);
      }
    }
  }
}
