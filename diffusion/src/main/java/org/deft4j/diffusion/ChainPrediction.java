package org.deft4j.diffusion;

import org.deft4j.diffusion.SchedulerConfig.Prediction;
import org.deft4j.tensor.Tensor;

/**
 * The clean sample and the noise that a model's output stands for, in the variance-preserving chain
 * {@code x_t = s x_0 + n eps}, {@code s = sqrt(a), n = sqrt(1 - a)}.
 */
record ChainPrediction(Tensor original, Tensor noise) {
  /** {@code limit}: of |x_0|, infinite for none; the noise stays as it was predicted. */
  static ChainPrediction of(Prediction prediction, Tensor output, Tensor sample, float alpha, double limit) {
    float s = Sampler.sqrt(alpha);
    float n = Sampler.sqrt(1 - alpha);
    ChainPrediction result = switch (prediction) {
      case EPSILON -> new ChainPrediction(Sampler.divide(sample.sub(output.mul(n)), s), output);
      case SAMPLE -> new ChainPrediction(output, Sampler.divide(sample.sub(output.mul(s)), n));
      case V_PREDICTION -> new ChainPrediction(sample.mul(s).sub(output.mul(n)), output.mul(s).add(sample.mul(n)));
    };
    return Double.isInfinite(limit) ? result : new ChainPrediction(result.original.clamp(-limit, limit), result.noise);
  }
}
