package org.deft4j.deft;

import java.util.Arrays;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/**
 * The forward process a model was trained with: {@code x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise} for t = 0 .. T-1.
 *
 * @param alphasCumprod a, the share of the signal that is left at each t
 * @param velocity whether the model predicts {@code sqrt(a_t) noise - sqrt(1 - a_t) x_0} instead of the noise
 */
public record NoiseSchedule(List<Double> alphasCumprod, boolean velocity) {
  /** Copies the list. */
  public NoiseSchedule {
    alphasCumprod = List.copyOf(alphasCumprod);
  }

  /** {@code x_t} for {@code x0} [N, ...] at {@code timesteps} [N]. */
  Tensor noisy(Tensor x0, Tensor noise, Tensor timesteps) {
    return x0.mul(signal(x0, timesteps)).add(noise.mul(noise(x0, timesteps)));
  }

  /** What the model is asked to predict. */
  Tensor target(Tensor x0, Tensor noise, Tensor timesteps) {
    return velocity ? noise.mul(signal(x0, timesteps)).sub(x0.mul(noise(x0, timesteps))) : noise;
  }

  private Tensor signal(Tensor x, Tensor timesteps) {
    return perSample(x, timesteps, false);
  }

  private Tensor noise(Tensor x, Tensor timesteps) {
    return perSample(x, timesteps, true);
  }

  /** {@code sqrt(a_t)} or {@code sqrt(1 - a_t)} as [N, 1, ..., 1]. */
  private Tensor perSample(Tensor x, Tensor timesteps, boolean complement) {
    long[] t = timesteps.toLongs();
    double[] values = new double[t.length];
    for (int i = 0; i < t.length; i++) {
      double a = alphasCumprod.get(Math.toIntExact(t[i]));
      values[i] = Math.sqrt(complement ? 1 - a : a);
    }
    long[] sizes = new long[x.rank()];
    Arrays.fill(sizes, 1);
    sizes[0] = t.length;
    return Tensor.of(values, sizes).cast(x.dtype() == DType.F64 ? DType.F64 : DType.F32);
  }
}
