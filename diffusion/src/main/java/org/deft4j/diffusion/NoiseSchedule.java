package org.deft4j.diffusion;

import java.util.Arrays;
import org.deft4j.diffusion.SchedulerConfig.Betas;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;

/**
 * The forward process (Ho et al. 2020): {@code x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise} with
 * {@code a_t = prod_{s <= t} (1 - beta_s)} over training steps t = 0 .. N-1.
 *
 * <p>The tables hold float32 with PyTorch's roundings, so that samplers and training see the numbers of diffusers.
 */
public final class NoiseSchedule {
  /** Float32 lanes of the vectors with which PyTorch fills {@code linspace}; its rounding depends on them. */
  private static final int LANES = 8;

  private static final double LARGEST_BETA = 0.999;

  private final float[] betas;
  private final float[] alphasCumprod;

  private NoiseSchedule(float[] betas, float[] alphasCumprod) {
    this.betas = betas;
    this.alphasCumprod = alphasCumprod;
  }

  /** The schedule of a configuration. */
  public static NoiseSchedule of(Betas config) {
    float[] betas = config.given().isEmpty() ? byFormula(config) : floats(config.given().stream().mapToDouble(b -> b).toArray());
    if (config.zeroSnr()) {
      betas = withoutFinalSignal(betas);
    }
    return new NoiseSchedule(betas, cumulativeProduct(betas));
  }

  private static float[] byFormula(Betas config) {
    int n = config.steps();
    return switch (config.schedule()) {
      case LINEAR -> linspace(config.start(), config.end(), n);
      case SCALED_LINEAR -> {
        float[] roots = linspace(Math.sqrt(config.start()), Math.sqrt(config.end()), n);
        for (int i = 0; i < n; i++) {
          roots[i] *= roots[i];
        }
        yield roots;
      }
      case SQUAREDCOS_CAP_V2 -> {
        double[] betas = new double[n];
        Arrays.setAll(betas, i -> Math.min(1 - squaredCosine((i + 1.0) / n) / squaredCosine((double) i / n), LARGEST_BETA));
        yield floats(betas);
      }
    };
  }

  private static double squaredCosine(double t) {
    double cosine = StrictMath.cos((t + 0.008) / 1.008 * Math.PI / 2);
    return cosine * cosine;
  }

  /** As {@code torch.linspace} in float32: blocks of lanes from the start in the first half, from the end in the second. */
  private static float[] linspace(double from, double to, int n) {
    float start = (float) from;
    float end = (float) to;
    float step = (end - start) / (n - 1);
    float[] result = new float[n];
    for (int i = 0; i < n; i++) {
      int block = i < n - n % LANES ? i - i % LANES : i;
      float base = block < n / 2 ? Math.fma(step, block, start) : Math.fma(-step, n - block - 1, end);
      result[i] = Math.fma(step, i - block, base);
    }
    if (n == 1) {
      result[0] = start;
    }
    return result;
  }

  private static float[] floats(double[] values) {
    float[] result = new float[values.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = (float) values[i];
    }
    return result;
  }

  /** Lin et al. 2023, algorithm 1: sqrt(a) shifted to end at 0 and stretched to begin as before. */
  private static float[] withoutFinalSignal(float[] betas) {
    float[] roots = cumulativeProduct(betas);
    for (int i = 0; i < roots.length; i++) {
      roots[i] = (float) Math.sqrt(roots[i]);
    }
    float first = roots[0];
    float last = roots[roots.length - 1];
    float stretch = first / (first - last);
    float[] result = new float[betas.length];
    float previous = 1;
    for (int i = 0; i < roots.length; i++) {
      float root = (roots[i] - last) * stretch;
      float alpha = root * root;
      result[i] = 1 - alpha / previous;
      previous = alpha;
    }
    return result;
  }

  /** {@code prod (1 - beta)}: factors in float32, the product in float64, as PyTorch's {@code cumprod}. */
  private static float[] cumulativeProduct(float[] betas) {
    float[] result = new float[betas.length];
    double product = 1;
    for (int i = 0; i < betas.length; i++) {
      product *= 1 - betas[i];
      result[i] = (float) product;
    }
    return result;
  }

  /** If {@code wanted}, the same but with 2^-24 of the signal's variance left at the end: a finite noise level. */
  NoiseSchedule withFiniteEndIf(boolean wanted) {
    if (!wanted) {
      return this;
    }
    float[] copy = alphasCumprod.clone();
    copy[copy.length - 1] = 0x1p-24f;
    return new NoiseSchedule(betas, copy);
  }

  // --------------------------------------------------------------------------------------------------- the tables

  /** The number of training steps N. */
  public int steps() {
    return betas.length;
  }

  /** The noise each step adds, as a copy. */
  public float[] betas() {
    return betas.clone();
  }

  /** {@code a_t}, the signal's share of the variance, as a copy. */
  public float[] alphasCumprod() {
    return alphasCumprod.clone();
  }

  /** {@code a_t}. */
  float alpha(long t) {
    if (t < 0 || t >= alphasCumprod.length) {
      throw new IndexOutOfBoundsException("timestep " + t + " is not one of 0 .. " + (alphasCumprod.length - 1));
    }
    return alphasCumprod[(int) t];
  }

  /** Noise levels {@code sqrt((1 - a_t) / a_t)}. */
  float[] sigmas() {
    float[] result = new float[alphasCumprod.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = (float) Math.sqrt((1 - alphasCumprod[i]) / alphasCumprod[i]);
    }
    return result;
  }

  /**
   * The signal-to-noise ratio {@code a_t / (1 - a_t)}, from which min-SNR weights are made (Hang et al. 2023).
   *
   * @throws IndexOutOfBoundsException if t is no training step
   */
  public double snr(long t) {
    double alpha = alpha(t);
    return alpha / (1 - alpha);
  }

  // ------------------------------------------------------------------------------------------ the forward process

  /**
   * {@code sqrt(a_t) x_0 + sqrt(1 - a_t) noise}.
   *
   * @param x0 [N, ...]
   * @param noise of the same shape
   * @param timesteps N of them, each 0 .. steps-1
   */
  public Tensor addNoise(Tensor x0, Tensor noise, long... timesteps) {
    return mix("addNoise", x0, noise, timesteps, 1);
  }

  /** {@code sqrt(a_t) noise - sqrt(1 - a_t) x_0}: what a model with v-prediction learns. Arguments as {@link #addNoise}. */
  public Tensor velocity(Tensor x0, Tensor noise, long... timesteps) {
    return mix("velocity", noise, x0, timesteps, -1);
  }

  /** {@code sqrt(a) first + sign sqrt(1 - a) second}. */
  private Tensor mix(String what, Tensor first, Tensor second, long[] timesteps, int sign) {
    float[] signal = new float[timesteps.length];
    float[] noise = new float[timesteps.length];
    for (int i = 0; i < timesteps.length; i++) {
      signal[i] = (float) Math.sqrt(alpha(timesteps[i]));
      noise[i] = sign * (float) Math.sqrt(1 - alpha(timesteps[i]));
    }
    return Scope.run(() -> first.mul(perSample(what, first.shape(), signal))
        .add(second.mul(perSample(what, second.shape(), noise))));
  }

  /** One value per sample, to be broadcast over the rest of {@code shape}. */
  static Tensor perSample(String what, Shape shape, float[] values) {
    if (shape.rank() == 0 || shape.size(0) != values.length) {
      throw new ShapeException(what + ": " + values.length + " timesteps are given for samples of shape " + shape
          + "; one is needed for each of the first dimension");
    }
    long[] sizes = new long[shape.rank()];
    Arrays.fill(sizes, 1);
    sizes[0] = values.length;
    return Tensor.of(values, sizes);
  }
}
