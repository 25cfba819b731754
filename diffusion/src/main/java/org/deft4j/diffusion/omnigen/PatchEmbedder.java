package org.deft4j.diffusion.omnigen;

import org.deft4j.nn.Conv2d;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Tensor;

/**
 * Latents to tokens (the reference's {@code PatchEmbedMR}): a patch of P x P latent pixels, channel, row, column, times a matrix.
 * Letters: C latent channels, h and w the latent's size, n = (h/P)(w/P) tokens in raster order, D their width.
 */
final class PatchEmbedder extends Module {
  private final Conv2d proj;

  PatchEmbedder(OmniGenConfig config) {
    proj = child("proj", new Conv2d(config.latents(), config.hidden(), config.patch(), config.patch(), 0));
  }

  /** z [B,C,h,w] to [B,n,D]. */
  Tensor forward(Tensor z) {
    return observed(proj.forward(z).flatten(2, 3).transpose(1, 2));
  }
}
