package org.deft4j.nn;

import java.util.List;

/**
 * The constants of Adam.
 *
 * @param beta1 how much of the mean gradient m is kept per step
 * @param beta2 how much of the mean squared gradient v is kept per step
 * @param eps added to the denominator
 */
public record AdamBetas(double beta1, double beta2, double eps) {
  /** 0.9, 0.999 and 1e-8. */
  public static final AdamBetas USUAL = new AdamBetas(0.9, 0.999, 1e-8);

  static final List<String> STATE = List.of("exp_avg", "exp_avg_sq");

  /** Checks the ranges. */
  public AdamBetas {
    if (!(beta1 >= 0 && beta1 < 1) || !(beta2 >= 0 && beta2 < 1) || !(eps >= 0)) {
      throw new IllegalArgumentException("adam: betas must lie in 0 .. 1 and eps must not be negative, found " + beta1 + ", "
          + beta2 + ", " + eps);
    }
  }
}
