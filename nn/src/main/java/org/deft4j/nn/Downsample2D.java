package org.deft4j.nn;

import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/** Half the size by a 3x3 convolution of stride 2 (diffusers' {@code Downsample2D}); x [N,C,H,W] to [N,C,H/2,W/2]. */
public final class Downsample2D extends Module {
  private final Conv2d conv;

  /** {@code symmetric}: a row and column of zeros on every side (the UNet), else only below and on the right (the VAE). */
  public Downsample2D(long channels, boolean symmetric) {
    int before = symmetric ? 1 : 0;
    conv = child("conv", new Conv2d(channels, channels, 3, new ConvSpec(2, 2, before, 1, before, 1, 1, 1, 1)));
  }

  /** x [N,C,H,W]. */
  public Tensor forward(Tensor x) {
    return observed(conv.forward(x));
  }
}
