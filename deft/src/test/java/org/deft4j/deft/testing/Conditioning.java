package org.deft4j.deft.testing;

import java.util.function.DoubleUnaryOperator;

/** How nearly dependent the columns of a random matrix are, exactly: the singular values are chosen, the directions are random. */
public enum Conditioning {
  /** Singular values from 2 down to 0.5, in equal steps. */
  WELL {
    @Override
    public Dense draw(long seed, int height, int width) {
      return Dense.withSingularValues(seed, height, width, spread(Math.min(height, width), j -> 2 - 1.5 * j));
    }
  },
  /** Singular values from 1 down to 1e-4, in equal ratios. */
  BAD {
    @Override
    public Dense draw(long seed, int height, int width) {
      return Dense.withSingularValues(seed, height, width, spread(Math.min(height, width), j -> Math.pow(10, -4 * j)));
    }
  },
  /**
   * As {@link #WELL}, but the last column is twice the first, to the bit, or 0 where there is no other: one rank less than there
   * are columns.
   */
  DEFICIENT {
    @Override
    public Dense draw(long seed, int height, int width) {
      Dense full = WELL.draw(seed, height, width);
      Dense last = width == 1 ? Dense.zeros(height, 1) : full.columns(0, 1).times(2);
      return width == 1 ? last : full.columns(0, width - 1).beside(last);
    }
  };

  /** A matrix [height, width] that the seed determines. */
  public abstract Dense draw(long seed, int height, int width);

  private static double[] spread(int count, DoubleUnaryOperator value) {
    double[] values = new double[count];
    for (int j = 0; j < count; j++) {
      values[j] = value.applyAsDouble(count == 1 ? 0 : j / (count - 1.0));
    }
    return values;
  }
}
