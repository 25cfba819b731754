package org.deft4j.diffusion;

import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PictureTensors;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * The latents that may stand for a picture, scaled as denoisers want them: a normal distribution for each of [1, L, h, w] numbers.
 *
 * @param mean of each
 * @param deviation of each, the standard one
 */
public record LatentDistribution(Tensor mean, Tensor deviation) implements AutoCloseable {
  /** That of {@code picture} by {@code vae}; belongs to no scope. */
  public static LatentDistribution encode(AutoencoderKL vae, Picture picture) {
    try (Scope _ = Scope.open()) {
      AutoencoderKL.Posterior posterior = vae.encode(PictureTensors.toTensor(picture));
      return new LatentDistribution(Scope.release(vae.scale(posterior.mean())),
          Scope.release(posterior.std().mul(vae.config().scalingFactor())));
    }
  }

  /** {@code mean + deviation noise}, noise drawn from {@code random}. */
  public Tensor sample(RandomSource random) {
    return mean.add(deviation.mul(random.normal(DType.F32, mean.shape().toArray())));
  }

  @Override
  public void close() {
    mean.close();
    deviation.close();
  }
}
