package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.Strides;

/**
 * How up to three tensors are walked together, element by element in the row-major order of one shape, to which they broadcast:
 * {@code struct Walk} of {@code common.cuh}. Neighbouring dimensions that all step through evenly are one, so that dense tensors of one
 * shape are walked by the index alone.
 */
final class Walk implements Struct {
  /** The most dimensions that are left after merging, and the most tensors. */
  private static final int MOST = 8;
  private static final int TENSORS = 3;
  /** The most bytes that a thread moves at once. */
  static final int WIDE = 16;

  private final long[] sizes = new long[MOST];
  private final long[][] strides = new long[TENSORS][MOST];
  private int rank;

  private Walk() {}

  /** Over {@code shape}. */
  static Walk over(Shape shape, Tensor... tensors) {
    long[][] steps = new long[tensors.length][];
    for (int t = 0; t < tensors.length; t++) {
      steps[t] = Strides.stretched(tensors[t], shape.rank());
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

  /**
   * How many elements of {@code dtype} may be moved at once: as many as 16 bytes are, where each of {@code tensors} (those walked, and
   * dense ones) has them side by side along the last dimension, or of those walked one for all of them; else 1.
   */
  int unit(DType dtype, Tensor... tensors) {
    int unit = WIDE / dtype.bytes();
    boolean fits = rank > 0 && sizes[rank - 1] % unit == 0 && Arrays.stream(tensors).allMatch(x -> x.address() % WIDE == 0);
    for (int t = 0; t < TENSORS && fits; t++) {
      fits = strides[t][rank - 1] == 0 || areMultiples(strides[t], unit);
    }
    return fits ? unit : 1;
  }

  /** Whether a tensor steps by 1 along the last dimension and by multiples of {@code unit} along the others. */
  private boolean areMultiples(long[] steps, int unit) {
    return steps[rank - 1] == 1 && Arrays.stream(steps, 0, rank - 1).allMatch(step -> step % unit == 0);
  }

  /** The walk over every {@code unit}-th element, where that many may be moved at once. */
  Walk inUnits(int unit) {
    if (unit == 1) {
      return this;
    }
    Walk walk = new Walk();
    walk.rank = rank;
    System.arraycopy(sizes, 0, walk.sizes, 0, rank);
    for (int t = 0; t < TENSORS; t++) {
      System.arraycopy(strides[t], 0, walk.strides[t], 0, rank);
    }
    walk.sizes[rank - 1] /= unit;
    for (long[] steps : walk.strides) {
      steps[rank - 1] *= unit;
    }
    return walk;
  }

  /**
   * The multiplier m, then the shift s with that {@code i / d = (floor(i m / 2^32) + i) >> s} for i below 2^31: with s the least that makes
   * 2^s no less than d, {@code m = floor(2^32 (2^s - d) / d) + 1} (Granlund and Montgomery, "Division by invariant integers using
   * multiplication", 1994). Of larger d, whose quotients are all 0, they are 0 and 31.
   */
  private static void putDivisor(ByteBuffer bytes, long d) {
    if (d >= 1L << 31) {
      bytes.putInt(0).putInt(31);
    } else {
      int shift = Long.SIZE - Long.numberOfLeadingZeros(Math.max(d, 1) - 1);
      long multiplier = d == 0 ? 0 : (((1L << shift) - d) << 32) / d + 1;
      bytes.putInt((int) multiplier).putInt(shift);
    }
  }

  @Override
  public int bytes() {
    return 2 * Integer.BYTES + MOST * (2 + TENSORS) * Long.BYTES;
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
    for (long size : sizes) {
      putDivisor(bytes, size);
    }
  }
}
