package org.deft4j.diffusion;

import java.util.function.Supplier;
import org.deft4j.tensor.Tensor;

/**
 * DDIM (Song, Meng and Ermon 2021, equations 12 and 16): with a and a' the alphas here and at the next timestep,
 * {@code x' = sqrt(a') x_0 + sqrt(1 - a' - s^2) eps + s z}, {@code s^2 = eta^2 (1 - a') / (1 - a) (1 - a / a')}.
 */
final class DdimSampler extends Sampler {
  private final SchedulerConfig config;
  private final NoiseSchedule noise;
  private final float eta;
  private final long stride;

  DdimSampler(SchedulerConfig config, NoiseSchedule noise, int steps, SamplerOptions options) {
    super(Timesteps.spaced(config, steps, true));
    this.config = config;
    this.noise = noise;
    this.eta = (float) options.eta();
    this.stride = noise.steps() / steps;
  }

  /** The alpha at timestep t, or before the first one. */
  static float alphaOrEnd(SchedulerConfig config, NoiseSchedule noise, long t) {
    return t >= 0 ? noise.alpha(t) : config.alphaToOne() ? 1 : noise.alpha(0);
  }

  @Override
  Step advance(Tensor output, int i, Tensor sample, Supplier<Tensor> drawn) {
    long t = Math.round(timestep(i));
    float here = noise.alpha(t);
    float next = alphaOrEnd(config, noise, t - stride);
    ChainPrediction predicted = ChainPrediction.of(config.prediction(), output, sample, here, config.clip());
    float variance = (1 - next) / (1 - here) * (1 - here / next);
    float deviation = eta * sqrt(variance);
    Tensor previous = predicted.original().mul(sqrt(next))
        .add(predicted.noise().mul(sqrt(1 - next - deviation * deviation)));
    if (eta > 0) {
      previous = previous.add(draw(drawn, sample.shape()).mul(deviation));
    }
    return new Step(previous, predicted.original());
  }

  @Override
  public Tensor addNoise(Tensor x0, Tensor drawn, int... steps) {
    return noise.addNoise(x0, drawn, wholeTimesteps(steps));
  }
}
