package org.deft4j.diffusion;

import java.util.function.Supplier;
import org.deft4j.diffusion.SchedulerConfig.Variance;
import org.deft4j.tensor.Tensor;

/**
 * DDPM (Ho et al. 2020, equation 7): with a and a' the alphas here and at the next timestep, b = 1 - a / a',
 * {@code x' = sqrt(a') b / (1 - a) x_0 + sqrt(a / a') (1 - a') / (1 - a) x + sqrt(v) z}, v the posterior's variance
 * {@code (1 - a') / (1 - a) b} or b. No noise at timestep 0.
 */
final class DdpmSampler extends Sampler {
  private static final float SMALLEST_VARIANCE = 1e-20f;

  private final SchedulerConfig config;
  private final NoiseSchedule noise;

  DdpmSampler(SchedulerConfig config, NoiseSchedule noise, int steps) {
    super(Timesteps.spaced(config, steps, true));
    this.config = config;
    this.noise = noise;
  }

  @Override
  Step advance(Tensor output, int i, Tensor sample, Supplier<Tensor> drawn) {
    long t = Math.round(timestep(i));
    float here = noise.alpha(t);
    float next = i + 1 < steps() ? noise.alpha(Math.round(timestep(i + 1))) : 1;
    float ratio = here / next;
    float beta = 1 - ratio;
    Tensor original = ChainPrediction.of(config.prediction(), output, sample, here, config.clip()).original();
    Tensor previous = original.mul(sqrt(next) * beta / (1 - here))
        .add(sample.mul(sqrt(ratio) * (1 - next) / (1 - here)));
    if (t > 0) {
      float small = Math.max((1 - next) / (1 - here) * beta, SMALLEST_VARIANCE);
      float variance = config.variance() == Variance.FIXED_SMALL ? small : beta;
      previous = previous.add(draw(drawn, sample.shape()).mul(sqrt(variance)));
    }
    return new Step(previous, original);
  }

  @Override
  public Tensor addNoise(Tensor x0, Tensor drawn, int... steps) {
    return noise.addNoise(x0, drawn, wholeTimesteps(steps));
  }
}
