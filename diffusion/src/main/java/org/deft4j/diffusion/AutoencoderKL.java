package org.deft4j.diffusion;

import org.deft4j.nn.Conv2d;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * The variational autoencoder between pictures and latents (diffusers' {@code AutoencoderKL}). Pictures are [N,3,H,W] in -1..1,
 * H and W multiples of {@link VaeConfig#downscale}; latents [N,L,H/8,W/8] for four levels.
 */
public final class AutoencoderKL extends Module {
  private static final double LOG_VARIANCE_MIN = -30;
  private static final double LOG_VARIANCE_MAX = 20;
  /** Pictures of a larger side are decoded by tiles of it. */
  private static final int TILE = 512;

  private final VaeConfig config;
  private final VaeCoder encoder;
  private final VaeCoder decoder;
  private final Conv2d quantConv;
  private final Conv2d postQuantConv;

  /** An autoencoder of this configuration, without weights. */
  public AutoencoderKL(VaeConfig config) {
    this.config = config;
    long latents = config.latentChannels();
    encoder = child("encoder", VaeCoder.encoder(config));
    decoder = child("decoder", VaeCoder.decoder(config));
    quantConv = config.quantConv() ? child("quant_conv", new Conv2d(2 * latents, 2 * latents, 1, 1, 0)) : null;
    postQuantConv = config.postQuantConv() ? child("post_quant_conv", new Conv2d(latents, latents, 1, 1, 0)) : null;
  }

  /** What the model was built from. */
  public VaeConfig config() {
    return config;
  }

  /** The distribution of the picture's latents. */
  public Posterior encode(Tensor picture) {
    return Posterior.of(moments(picture));
  }

  /**
   * Mean and log-variance, side by side: [N,2L,H/8,W/8]. A picture larger than those the model was made for (and than {@value
   * #TILE} pixels) is encoded by tiles of that size.
   */
  public Tensor moments(Tensor picture) {
    int side = Math.max(TILE, config.sampleSize());
    return new VaeTiles(side, side / config.downscale()).run(picture, this::momentsOfOnePiece);
  }

  /** The picture of a latent that has been divided by the scaling factor; above {@value #TILE} pixels by tiles of that size. */
  public Tensor decode(Tensor latent) {
    return new VaeTiles(TILE / config.downscale(), TILE).run(latent, this::decodeOnePiece);
  }

  Tensor momentsOfOnePiece(Tensor picture) {
    return Scope.run(() -> {
      Tensor h = encoder.forward(picture);
      return quantConv == null ? h : quantConv.forward(h);
    });
  }

  Tensor decodeOnePiece(Tensor latent) {
    return Scope.run(() -> decoder.forward(postQuantConv == null ? latent : postQuantConv.forward(latent)));
  }

  /** What the UNet works on: {@code (z - shift) * scaling_factor}. */
  public Tensor scale(Tensor latent) {
    return latent.affine(config.scalingFactor(), -config.shiftFactor() * config.scalingFactor());
  }

  /** The inverse of {@link #scale}. */
  public Tensor unscale(Tensor latent) {
    return latent.affine(1 / config.scalingFactor(), config.shiftFactor());
  }

  /** The normal distribution with diagonal covariance that moments stand for. */
  public record Posterior(Tensor mean, Tensor logVariance) {
    /** Splits moments; the log-variance is clamped to -30..20. */
    public static Posterior of(Tensor moments) {
      var halves = moments.chunk(1, 2);
      return new Posterior(halves.get(0), halves.get(1).clamp(LOG_VARIANCE_MIN, LOG_VARIANCE_MAX));
    }

    /** The likeliest latent: the mean. */
    public Tensor mode() {
      return mean;
    }

    /** {@code e^(logvar / 2)}. */
    public Tensor std() {
      return logVariance.mul(0.5).exp();
    }

    /** {@code mean + std * noise}, noise ~ N(0, 1). */
    public Tensor sample(Tensor noise) {
      return mean.add(std().mul(noise));
    }

    /** The Kullback-Leibler divergence to N(0, I) of each picture: {@code 0.5 sum(mean^2 + var - 1 - logvar)}; [N]. */
    public Tensor kl() {
      return mean.square().add(logVariance.exp()).sub(logVariance).add(-1).sum(1, 2, 3).mul(0.5);
    }
  }
}
