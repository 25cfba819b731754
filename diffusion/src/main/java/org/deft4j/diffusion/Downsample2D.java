package org.deft4j.diffusion;

import org.deft4j.nn.Conv2d;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/** Half the size by a 3x3 convolution of stride 2 (diffusers' {@code Downsample2D}); x [N,C,H,W] to [N,C,H/2,W/2]. */
final class Downsample2D extends Module {
  private final Conv2d conv;

  /** {@code padding} 1 pads all sides (the UNet), 0 only right and bottom (the VAE). */
  Downsample2D(long channels, int padding) {
    ConvSpec spec = new ConvSpec(2, 2, padding, 1, padding, 1, 1, 1, 1);
    conv = child("conv", new Conv2d(channels, channels, 3, spec));
  }

  Tensor forward(Tensor x) {
    return observed(conv.forward(x));
  }
}
