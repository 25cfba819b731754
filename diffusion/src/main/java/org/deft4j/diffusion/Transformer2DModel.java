package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.nn.Conv2d;
import org.deft4j.nn.GroupNorm;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * A picture as a sequence of its positions, through transformer blocks and back, around a residual (diffusers' {@code
 * Transformer2DModel}); x [N,C,H,W]. The projections in and out are linear maps per position: SDXL stores them as Linear,
 * SD 1.5 as 1x1 convolutions.
 */
final class Transformer2DModel extends Module {
  private static final double EPS = 1e-6;

  private final GroupNorm norm;
  private final Linear linearIn;
  private final Linear linearOut;
  private final Conv2d convIn;
  private final Conv2d convOut;
  private final List<BasicTransformerBlock> blocks = new ArrayList<>();

  Transformer2DModel(long channels, int heads, int layers, long contextChannels, int groups, boolean linear) {
    norm = child("norm", new GroupNorm(groups, channels, EPS));
    linearIn = linear ? child("proj_in", new Linear(channels, channels)) : null;
    convIn = linear ? null : child("proj_in", new Conv2d(channels, channels, 1, 1, 0));
    for (int i = 0; i < layers; i++) {
      blocks.add(child("transformer_blocks." + i, new BasicTransformerBlock(channels, heads, contextChannels)));
    }
    linearOut = linear ? child("proj_out", new Linear(channels, channels)) : null;
    convOut = linear ? null : child("proj_out", new Conv2d(channels, channels, 1, 1, 0));
  }

  Tensor forward(Tensor x, Tensor context) {
    return observed(Scope.run(() -> {
      long n = x.size(0);
      long c = x.size(1);
      long height = x.size(2);
      long width = x.size(3);
      Tensor h = norm.forward(x);
      h = convIn == null ? sequence(h) : sequence(convIn.forward(h));
      h = linearIn == null ? h : linearIn.forward(h);
      for (BasicTransformerBlock block : blocks) {
        h = Scope.next(h, in -> block.forward(in, context));
      }
      h = linearOut == null ? h : linearOut.forward(h);
      h = h.transpose(1, 2).reshape(n, c, height, width);
      return x.add(convOut == null ? h : convOut.forward(h));
    }));
  }

  /** [N,C,H,W] to [N,H*W,C]. */
  private static Tensor sequence(Tensor x) {
    return x.flatten(2, 3).transpose(1, 2).contiguous();
  }
}
