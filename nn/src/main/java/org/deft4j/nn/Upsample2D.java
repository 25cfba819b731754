package org.deft4j.nn;

import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Nearest-neighbour resampling and a 3x3 convolution (diffusers' {@code Upsample2D}). In a UNet the target is the size of
 * the skip tensor that follows, which is twice the input's except where the way down met an odd size.
 */
public final class Upsample2D extends Module {
  private final Conv2d conv;

  /** The channels stay. */
  public Upsample2D(long channels) {
    conv = child("conv", new Conv2d(channels, channels, 3, 1, 1));
  }

  /** x [N,C,H,W] to [N,C,height,width]. */
  public Tensor forward(Tensor x, long height, long width) {
    return observed(Scope.run(() -> conv.forward(x.upsampleNearest(height, width))));
  }
}
