package org.deft4j.diffusion;

import java.util.Arrays;
import java.util.function.Supplier;
import org.deft4j.diffusion.SchedulerConfig.Prediction;
import org.deft4j.diffusion.SchedulerConfig.Spacing;
import org.deft4j.tensor.Tensor;

/**
 * Euler steps (Karras et al. 2022, algorithm 2 without the second-order correction) in the noise level s of
 * {@code x = x_0 + s eps}: {@code x' = x + (x - x_0) / s (s' - s)}; with churn, noise lifts s first.
 */
final class EulerSampler extends Sampler {
  private static final double MOST_CHURN = Math.sqrt(2) - 1;

  private final SchedulerConfig config;
  private final SamplerOptions options;

  EulerSampler(SchedulerConfig config, NoiseSchedule noise, int steps, SamplerOptions options) {
    this(config, noise.withFiniteEndIf(config.betas().zeroSnr()), options, Timesteps.spaced(config, steps, false));
  }

  private EulerSampler(SchedulerConfig config, NoiseSchedule noise, SamplerOptions options, double[] spaced) {
    this(config, options, levels(config, noise, spaced), spaced, noise);
  }

  private EulerSampler(SchedulerConfig config, SamplerOptions options, double[] levels, double[] spaced, NoiseSchedule noise) {
    super(config.levels().karras() ? timesteps(levels, noise) : spaced, withEnd(config, noise, levels));
    this.config = config;
    this.options = options;
  }

  private static double[] levels(SchedulerConfig config, NoiseSchedule noise, double[] spaced) {
    double[] levels = Timesteps.interpolate(spaced, noise.sigmas());
    return config.levels().karras() ? Timesteps.karras(levels[levels.length - 1], levels[0], levels.length) : levels;
  }

  private static double[] timesteps(double[] levels, NoiseSchedule noise) {
    float[] logs = Timesteps.logarithms(noise.sigmas());
    return Arrays.stream(levels).map(level -> (float) Timesteps.ofSigma(level, logs)).toArray();
  }

  /** In float32, followed by zero or by the smallest level of training. */
  static float[] withEnd(SchedulerConfig config, NoiseSchedule noise, double[] levels) {
    float[] result = new float[levels.length + 1];
    for (int i = 0; i < levels.length; i++) {
      result[i] = (float) levels[i];
    }
    result[levels.length] = config.levels().endAtSmallest() ? noise.sigmas()[0] : 0;
    return result;
  }

  @Override
  public double initNoiseSigma() {
    return initNoiseSigma(config, sigmas());
  }

  static double initNoiseSigma(SchedulerConfig config, float[] sigmas) {
    float largest = sigmas[0];
    for (float sigma : sigmas) {
      largest = Math.max(largest, sigma);
    }
    return config.spacing() == Spacing.LEADING ? sqrt(largest * largest + 1) : largest;
  }

  @Override
  public Tensor scaleModelInput(Tensor sample, int i) {
    float sigma = sigma(checked(i));
    return divide(sample, sqrt(sigma * sigma + 1));
  }

  @Override
  Step advance(Tensor output, int i, Tensor sample, Supplier<Tensor> drawn) {
    float sigma = sigma(i);
    double churn = sigma >= options.churnFrom() && sigma <= options.churnTo()
        ? Math.min(options.churn() / steps(), MOST_CHURN) : 0;
    float lifted = (float) (sigma * (churn + 1));
    Tensor x = sample;
    if (churn > 0) {
      float added = sqrt(lifted * lifted - sigma * sigma);
      x = sample.add(draw(drawn, sample.shape()).mul(options.churnNoise()).mul(added));
    }
    Tensor original = original(config.prediction(), output, x, sigma, lifted);
    Tensor slope = divide(x.sub(original), lifted);
    return new Step(x.add(slope.mul(sigma(i + 1) - lifted)), original);
  }

  /** x_0 from the output for {@code x} at level {@code lifted}; the velocity's coefficients are those of {@code sigma}. */
  static Tensor original(Prediction prediction, Tensor output, Tensor x, float sigma, float lifted) {
    return switch (prediction) {
      case EPSILON -> x.sub(output.mul(lifted));
      case SAMPLE -> output;
      case V_PREDICTION -> output.mul(-sigma / sqrt(sigma * sigma + 1)).add(divide(x, sigma * sigma + 1));
    };
  }

  @Override
  public Tensor addNoise(Tensor x0, Tensor drawn, int... steps) {
    return addLevels(x0, drawn, steps);
  }
}
