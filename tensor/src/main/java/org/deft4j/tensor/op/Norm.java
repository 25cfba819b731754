package org.deft4j.tensor.op;

/**
 * Normalisations. Each also yields the statistics that its gradient needs, in the input's type. Weight and bias are
 * given both or (layer and RMS norm) left out.
 */
public sealed interface Norm extends Op {
  /**
   * {@code x [N,C,...], w [C], b [C]} to {@code y = (x - mean) * rstd * w + b}, mean [N,groups] and
   * {@code rstd = 1/sqrt(var + eps)} [N,groups], over the channels of a group and all positions, with the biased variance.
   */
  record GroupNorm(int groups, double eps) implements Norm {}

  /** {@code dy, x, mean, rstd, w -> dx, dw, db}. */
  record GroupNormGrad(int groups) implements Norm {}

  /** {@link GroupNorm} and SiLU in one pass: {@code y = h sigmoid(h)}, h being the norm's result; the same inputs and statistics. */
  record GroupNormSilu(int groups, double eps) implements Norm {}

  /** {@code dy, x, mean, rstd, w, b -> dx, dw, db} of {@link GroupNormSilu}; h is found again from x. */
  record GroupNormSiluGrad(int groups) implements Norm {}

  /** {@code x, (w, b)} to y, mean and rstd over the last {@code dims} dimensions; statistics of shape {@code x.shape[:-dims]}. */
  record LayerNorm(int dims, double eps) implements Norm {}

  /**
   * {@code x, r, w, b} to {@code y = layerNorm(s)} over the last dimension, {@code s = x + r}, mean and rstd: a residual and the
   * norm that follows it, in one pass. y and s are both results; their gradient is {@link LayerNormGrad}'s of s, and ds.
   */
  record LayerNormOfSum(double eps) implements Norm {}

  /** {@code dy, x, mean, rstd, (w) -> dx, (dw, db)}: dw and db where they are wanted, {@code ofWeights}. */
  record LayerNormGrad(int dims, boolean ofWeights) implements Norm {}

  /** {@code x, (w)} to {@code y = x * rrms * w} and {@code rrms = 1/sqrt(mean(x^2) + eps)} over the last dimension. */
  record RmsNorm(double eps) implements Norm {}

  /** {@code dy, x, rrms, (w) -> dx, (dw)}: dw where it is wanted, {@code ofWeight}. */
  record RmsNormGrad(boolean ofWeight) implements Norm {}
}
