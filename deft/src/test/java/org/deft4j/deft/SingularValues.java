package org.deft4j.deft;

import java.util.Arrays;
import org.deft4j.deft.testing.Dense;

/** The singular values of a matrix, largest first, from the oracle in plain Java: what an approximation of low rank can reach. */
record SingularValues(double[] values) {
  static SingularValues of(Dense matrix) {
    return new SingularValues(matrix.singularValues());
  }

  /** The Frobenius norm of what the best approximation of this rank leaves over (Eckart and Young 1936). */
  double error(long rank) {
    return Math.sqrt(Arrays.stream(values).skip(rank).map(s -> s * s).sum());
  }
}
