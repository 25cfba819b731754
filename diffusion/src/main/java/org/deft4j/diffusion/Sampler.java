package org.deft4j.diffusion;

import java.util.function.Supplier;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;

/**
 * One run from noise to a sample: the timesteps, and the step from each to the next. It keeps what multistep methods
 * remember, and lets go of it when closed. Not for use by several threads at once.
 *
 * <p>Coefficients are computed in float32, as diffusers does with tensors of one element.
 */
public abstract sealed class Sampler implements AutoCloseable
    permits DdpmSampler, DdimSampler, PndmSampler, EulerSampler, EulerAncestralSampler, DpmSolverSampler {
  private final double[] timesteps;
  private final float[] sigmas;

  /** {@code sigmas} is empty, or one longer than {@code timesteps}. */
  Sampler(double[] timesteps, float... sigmas) {
    this.timesteps = timesteps;
    this.sigmas = sigmas;
  }

  /**
   * What a step yields.
   *
   * @param previous the sample at the next timestep
   * @param original the clean sample as predicted from here, null where the method (PNDM, DPM-Solver) does not say; where
   *     the model predicts it, the model's output itself
   */
  public record Step(Tensor previous, Tensor original) {}

  /** How many steps there are; PNDM takes one more than asked for. */
  public int steps() {
    return timesteps.length;
  }

  /** What the model is told at step i: whole numbers, but for Euler with linspace spacing or Karras levels. */
  public double timestep(int i) {
    return timesteps[checked(i)];
  }

  /** The timesteps of all steps, as a copy. */
  public double[] timesteps() {
    return timesteps.clone();
  }

  /** The noise level at each step and after the last, as a copy; empty for methods that have none (DDPM, DDIM, PNDM). */
  public float[] sigmas() {
    return sigmas.clone();
  }

  /** The noise level at step i. */
  final float sigma(int i) {
    return sigmas[i];
  }

  /** The standard deviation of the noise to start from. */
  public double initNoiseSigma() {
    return 1;
  }

  /** What the model is given at step i; the sample itself where it needs no scaling. */
  public Tensor scaleModelInput(Tensor sample, int i) {
    checked(i);
    return sample;
  }

  /**
   * From step i to the next, with noise drawn from {@code random} where the method needs it.
   *
   * @param output the model's, after guidance, for step i
   * @param sample the sample at step i, not scaled; F32 of the output's shape
   */
  public Step step(Tensor output, int i, Tensor sample, RandomSource random) {
    return step(output, i, sample, () -> random.normal(DType.F32, sample.shape().toArray()));
  }

  /** As {@link #step(Tensor, int, Tensor, RandomSource)}; {@code noise} is asked once, if the method needs noise at step i. */
  public Step step(Tensor output, int i, Tensor sample, Supplier<Tensor> noise) {
    checked(i);
    if (!output.shape().equals(sample.shape())) {
      throw new ShapeException("step: the model's output " + output.shape() + " and the sample " + sample.shape()
          + " must have one shape");
    }
    try (Scope scope = Scope.open()) {
      Step step = advance(output, i, sample, noise);
      scope.keep(step.previous());
      if (step.original() != null) {
        scope.keep(step.original());
      }
      return step;
    }
  }

  /** {@link #step}, in a scope that ends the lifetime of all but the results. */
  abstract Step advance(Tensor output, int i, Tensor sample, Supplier<Tensor> noise);

  /**
   * Clean samples with the noise that this method expects at the given steps, one for each sample: where a run that starts
   * from a picture begins.
   */
  public abstract Tensor addNoise(Tensor x0, Tensor noise, int... steps);

  /** The timesteps of these steps, whole numbers. */
  final long[] wholeTimesteps(int... steps) {
    long[] result = new long[steps.length];
    for (int i = 0; i < steps.length; i++) {
      result[i] = Math.round(timestep(steps[i]));
    }
    return result;
  }

  /** {@code x0 + sigma noise}. */
  final Tensor addLevels(Tensor x0, Tensor noise, int... steps) {
    float[] levels = new float[steps.length];
    for (int i = 0; i < steps.length; i++) {
      levels[i] = sigmas[checked(steps[i])];
    }
    return Scope.run(() -> x0.add(noise.mul(NoiseSchedule.perSample("addNoise", x0.shape(), levels))));
  }

  final int checked(int i) {
    if (i < 0 || i >= timesteps.length) {
      throw new IndexOutOfBoundsException("step " + i + " is not one of 0 .. " + (timesteps.length - 1));
    }
    return i;
  }

  /** Lets go of what multistep methods remember. */
  @Override
  public void close() {}

  static float sqrt(float x) {
    return (float) Math.sqrt(x);
  }

  /** {@code x / by}, rounded once. */
  static Tensor divide(Tensor x, float by) {
    return x.div(Tensor.scalar(DType.F32, by));
  }

  /** A noise tensor of the right shape. */
  static Tensor draw(Supplier<Tensor> noise, Shape shape) {
    Tensor drawn = noise.get();
    if (!drawn.shape().equals(shape)) {
      throw new ShapeException("step: noise of shape " + drawn.shape() + " for a sample of shape " + shape);
    }
    return drawn;
  }
}
