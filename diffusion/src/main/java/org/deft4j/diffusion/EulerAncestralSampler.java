package org.deft4j.diffusion;

import java.util.function.Supplier;
import org.deft4j.diffusion.SchedulerConfig.Prediction;
import org.deft4j.tensor.Tensor;

/**
 * Ancestral Euler steps (k-diffusion): an Euler step from level s below s' to {@code sqrt(s'^2 - u^2)}, then noise of
 * deviation {@code u = sqrt(s'^2 (s^2 - s'^2) / s^2)}.
 */
final class EulerAncestralSampler extends Sampler {
  private final SchedulerConfig config;

  EulerAncestralSampler(SchedulerConfig config, NoiseSchedule noise, int steps) {
    this(config, noise.withFiniteEndIf(config.betas().zeroSnr()), Timesteps.spaced(config, steps, false));
  }

  private EulerAncestralSampler(SchedulerConfig config, NoiseSchedule noise, double[] spaced) {
    super(spaced, withZero(Timesteps.interpolate(spaced, noise.sigmas())));
    if (config.prediction() == Prediction.SAMPLE) {
      throw new IllegalArgumentException("Euler ancestral: the model predicts the clean sample; noise or velocity is needed");
    }
    this.config = config;
  }

  private static float[] withZero(double[] levels) {
    float[] result = new float[levels.length + 1];
    for (int i = 0; i < levels.length; i++) {
      result[i] = (float) levels[i];
    }
    return result;
  }

  @Override
  public double initNoiseSigma() {
    return EulerSampler.initNoiseSigma(config, sigmas());
  }

  @Override
  public Tensor scaleModelInput(Tensor sample, int i) {
    float sigma = sigma(checked(i));
    return divide(sample, sqrt(sigma * sigma + 1));
  }

  @Override
  Step advance(Tensor output, int i, Tensor sample, Supplier<Tensor> drawn) {
    float from = sigma(i);
    float to = sigma(i + 1);
    float up = sqrt(to * to * (from * from - to * to) / (from * from));
    float down = sqrt(to * to - up * up);
    Tensor original = EulerSampler.original(config.prediction(), output, sample, from, from);
    Tensor slope = divide(sample.sub(original), from);
    Tensor previous = sample.add(slope.mul(down - from)).add(draw(drawn, sample.shape()).mul(up));
    return new Step(previous, original);
  }

  @Override
  public Tensor addNoise(Tensor x0, Tensor drawn, int... steps) {
    return addLevels(x0, drawn, steps);
  }
}
