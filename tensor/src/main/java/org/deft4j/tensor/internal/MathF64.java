package org.deft4j.tensor.internal;

/** Functions of float64 that {@link StrictMath} does not have. */
final class MathF64 {
  private static final double TWO_OVER_SQRT_PI = 1.1283791670955126;

  private MathF64() {}

  /**
   * The error function to about 1e-15: {@code 2/sqrt(pi) e^(-x^2) (x + 2 x^3 / 3 + 4 x^5 / 15 + ...)}, whose terms are all of one
   * sign, below 3; above, 1 minus the continued fraction of the complement (Abramowitz and Stegun, 7.1.6 and 7.1.14).
   */
  static double erf(double x) {
    double a = Math.abs(x);
    if (a < 3) {
      double term = x;
      double sum = x;
      for (int n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
        term *= 2 * x * x / (2 * n + 1);
        sum += term;
      }
      return TWO_OVER_SQRT_PI * StrictMath.exp(-x * x) * sum;
    }
    if (!(a < 6)) {
      return Double.isNaN(x) ? x : Math.signum(x);
    }
    double fraction = a;
    for (int k = 60; k >= 1; k--) {
      fraction = a + k * 0.5 / fraction;
    }
    double complement = 0.5 * TWO_OVER_SQRT_PI * StrictMath.exp(-a * a) / fraction;
    return Math.copySign(1 - complement, x);
  }

  /** {@code 1 / (1 + e^-x)}. */
  static double sigmoid(double x) {
    double e = StrictMath.exp(-Math.abs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
  }

  /** {@code log(1 + e^x)}. */
  static double softplus(double x) {
    return Math.max(x, 0) + StrictMath.log1p(StrictMath.exp(-Math.abs(x)));
  }
}
