package org.deft4j.deft;

import org.deft4j.diffusion.AutoencoderKL;
import org.deft4j.diffusion.LatentDistribution;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * A picture and its caption, encoded: all that a training step needs of them. Closed by whoever made it; several may
 * share one encoded caption.
 *
 * @param mean of the latent's distribution [1, L, h, w], scaled as the UNet wants it
 * @param deviation its standard deviation, scaled likewise
 * @param context the encoded caption [1, S, D]
 * @param pooled its pooled form [1, P]; null where the model has none
 * @param timeIds the picture's sizes [1, 6]; null likewise
 */
public record TrainingExample(Tensor mean, Tensor deviation, Tensor context, Tensor pooled, Tensor timeIds)
    implements AutoCloseable {

  /** Encodes a picture; {@code context} and {@code pooled} are shared, not taken. */
  static TrainingExample encode(AutoencoderKL vae, TrainingPicture picture, Tensor context, Tensor pooled) {
    LatentDistribution latent = LatentDistribution.encode(vae, picture.framed().picture());
    return new TrainingExample(latent.mean(), latent.deviation(), context.share(), pooled == null ? null : pooled.share(),
        pooled == null ? null : Scope.release(Tensor.of(picture.timeIds(), 1, 6)));
  }

  @Override
  public void close() {
    for (Tensor tensor : new Tensor[] {mean, deviation, context, pooled, timeIds}) {
      if (tensor != null) {
        tensor.close();
      }
    }
  }
}
