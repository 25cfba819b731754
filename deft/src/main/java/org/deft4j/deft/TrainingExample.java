package org.deft4j.deft;

import org.deft4j.diffusion.AutoencoderKL;
import org.deft4j.diffusion.LatentDistribution;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * A picture and its caption, encoded: all that a training step needs of them. Where the text encoders are trained too, a caption is its
 * token ids, which each step encodes. Closed by whoever made it; several may share one caption.
 *
 * @param mean of the latent's distribution [1, L, h, w], scaled as the UNet wants it
 * @param deviation its standard deviation, scaled likewise
 * @param context the encoded caption [1, S, D]; null where there are token ids
 * @param pooled its pooled form [1, P]; null where the model has none, or there are token ids
 * @param timeIds the picture's sizes [1, 6]; null where the model takes none
 * @param ids of the caption's tokens [1, S]; null where it is encoded
 * @param ids2 the same for a second text encoder
 */
public record TrainingExample(Tensor mean, Tensor deviation, Tensor context, Tensor pooled, Tensor timeIds, Tensor ids, Tensor ids2)
    implements AutoCloseable {
  /** With an encoded caption. */
  public TrainingExample(Tensor mean, Tensor deviation, Tensor context, Tensor pooled, Tensor timeIds) {
    this(mean, deviation, context, pooled, timeIds, null, null);
  }

  /** Encodes a picture; {@code context} and {@code pooled} are shared, not taken. */
  static TrainingExample encode(AutoencoderKL vae, TrainingPicture picture, Tensor context, Tensor pooled) {
    LatentDistribution latent = LatentDistribution.encode(vae, picture.framed().picture());
    return new TrainingExample(latent.mean(), latent.deviation(), context.share(), share(pooled), pooled == null ? null : timeIds(picture));
  }

  /** Encodes a picture; {@code caption} is shared, not taken. */
  static TrainingExample encode(AutoencoderKL vae, TrainingPicture picture, StableDiffusion.TokenIds caption) {
    LatentDistribution latent = LatentDistribution.encode(vae, picture.framed().picture());
    return new TrainingExample(latent.mean(), latent.deviation(), null, null, caption.second() == null ? null : timeIds(picture),
        caption.first().share(), share(caption.second()));
  }

  private static Tensor timeIds(TrainingPicture picture) {
    return Scope.release(Tensor.of(picture.timeIds(), 1, 6));
  }

  private static Tensor share(Tensor tensor) {
    return tensor == null ? null : tensor.share();
  }

  @Override
  public void close() {
    for (Tensor tensor : new Tensor[] {mean, deviation, context, pooled, timeIds, ids, ids2}) {
      if (tensor != null) {
        tensor.close();
      }
    }
  }
}
