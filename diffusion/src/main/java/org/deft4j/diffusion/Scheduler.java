package org.deft4j.diffusion;

import org.deft4j.tensor.Tensor;
import org.deft4j.weights.JsonObject;

/**
 * How noise is added in training and taken away in sampling: a configuration and its noise schedule. Immutable; what a run
 * remembers is in the {@link Sampler} that {@link #start} gives.
 *
 * <pre>{@code
 * try (Sampler sampler = scheduler.start(30)) {
 *   Tensor x = noise.mul(sampler.initNoiseSigma());
 *   for (int i = 0; i < sampler.steps(); i++) {
 *     Tensor output = unet.forward(sampler.scaleModelInput(x, i), sampler.timestep(i), ...);
 *     x = sampler.step(output, i, x, random).previous();
 *   }
 * }
 * }</pre>
 */
public final class Scheduler {
  private final SchedulerConfig config;
  private final NoiseSchedule noise;

  /** The scheduler of a configuration. */
  public Scheduler(SchedulerConfig config) {
    this.config = config;
    this.noise = NoiseSchedule.of(config.betas());
  }

  /** The scheduler that a model's {@code scheduler_config.json} describes. */
  public static Scheduler of(JsonObject json) {
    return new Scheduler(SchedulerConfig.of(json));
  }

  /** The scheduler called {@code name}, over the noise that a model's {@code scheduler_config.json} describes. */
  public static Scheduler of(JsonObject json, SchedulerName name) {
    return new Scheduler(SchedulerConfig.of(json, name));
  }

  /** The configuration. */
  public SchedulerConfig config() {
    return config;
  }

  /** The forward process, for training. */
  public NoiseSchedule noise() {
    return noise;
  }

  /** {@link NoiseSchedule#alphasCumprod}. */
  public float[] alphasCumprod() {
    return noise.alphasCumprod();
  }

  /** {@link NoiseSchedule#addNoise}. */
  public Tensor addNoise(Tensor x0, Tensor noiseDrawn, long... timesteps) {
    return noise.addNoise(x0, noiseDrawn, timesteps);
  }

  /** {@link NoiseSchedule#velocity}. */
  public Tensor velocity(Tensor x0, Tensor noiseDrawn, long... timesteps) {
    return noise.velocity(x0, noiseDrawn, timesteps);
  }

  /** What the model is to predict for these samples: noise, x_0 or velocity, as the configuration says. */
  public Tensor target(Tensor x0, Tensor noiseDrawn, long... timesteps) {
    return switch (config.prediction()) {
      case EPSILON -> noiseDrawn;
      case SAMPLE -> x0;
      case V_PREDICTION -> velocity(x0, noiseDrawn, timesteps);
    };
  }

  /** A run of {@code steps} inference steps with {@link SamplerOptions#DEFAULT}. */
  public Sampler start(int steps) {
    return start(steps, SamplerOptions.DEFAULT);
  }

  /**
   * A run of {@code steps} inference steps, from pure noise to a sample.
   *
   * @throws IllegalArgumentException if there are fewer than 1 or more than training steps, or the timesteps do not fit, or
   *     the sampler cannot use what the model predicts
   */
  public Sampler start(int steps, SamplerOptions options) {
    int most = config.betas().steps();
    if (steps < 1 || steps > most) {
      throw new IllegalArgumentException("steps: expected 1 to " + most + " (the number of training steps), found " + steps);
    }
    Sampler sampler = switch (config.type()) {
      case DDPM -> new DdpmSampler(config, noise, steps);
      case DDIM -> new DdimSampler(config, noise, steps, options);
      case PNDM -> new PndmSampler(config, noise, steps);
      case EULER -> new EulerSampler(config, noise, steps, options);
      case EULER_ANCESTRAL -> new EulerAncestralSampler(config, noise, steps);
      case DPM_SOLVER -> new DpmSolverSampler(config, noise, steps);
    };
    for (double timestep : sampler.timesteps()) {
      if (timestep < 0 || timestep > most - 1) {
        throw new IllegalArgumentException("steps: " + steps + " steps with " + config.spacing() + " spacing and offset "
            + config.stepsOffset() + " reach timestep " + timestep + ", training had 0 to " + (most - 1)
            + "; take fewer steps");
      }
    }
    return sampler;
  }
}
