package org.deft4j.diffusion;

/**
 * What diffusers takes as arguments of {@code step}.
 *
 * @param eta DDIM's noise: 0 none, 1 as much as DDPM
 * @param churn Euler's noise (Karras et al. 2022, S_churn), spread over the steps; 0 none
 * @param churnFrom the smallest noise level at which it is added
 * @param churnTo the largest noise level at which it is added
 * @param churnNoise its standard deviation
 */
public record SamplerOptions(double eta, double churn, double churnFrom, double churnTo, double churnNoise) {
  /** No noise of either kind. */
  public static final SamplerOptions DEFAULT = new SamplerOptions(0, 0, 0, Double.POSITIVE_INFINITY, 1);

  /** Refuses what is not a number or negative. */
  public SamplerOptions {
    if (!(eta >= 0 && eta <= 1)) {
      throw new IllegalArgumentException("eta: expected 0 to 1, found " + eta);
    }
    if (!(churn >= 0 && churnFrom >= 0 && churnTo >= churnFrom && churnNoise >= 0)) {
      throw new IllegalArgumentException("churn: expected no negative number, and a range from small to large, found churn "
          + churn + ", from " + churnFrom + " to " + churnTo + ", noise " + churnNoise);
    }
  }

  /** The defaults with this eta. */
  public static SamplerOptions ofEta(double eta) {
    return new SamplerOptions(eta, 0, 0, Double.POSITIVE_INFINITY, 1);
  }
}
