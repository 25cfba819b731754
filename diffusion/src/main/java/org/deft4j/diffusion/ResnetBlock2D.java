package org.deft4j.diffusion;

import org.deft4j.nn.Conv2d;
import org.deft4j.nn.GroupNorm;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Two convolutions around a shortcut (diffusers' {@code ResnetBlock2D}):
 *
 * <pre>{@code
 * h = conv1(silu(norm1(x)));  h = h + time_emb_proj(silu(temb));  h = conv2(silu(norm2(h)));  y = shortcut(x) + h
 * }</pre>
 *
 * x [N,in,H,W], temb [N,T], y [N,out,H,W]. The shortcut is a 1x1 convolution where in and out differ.
 */
final class ResnetBlock2D extends Module {
  private final GroupNorm norm1;
  private final Conv2d conv1;
  private final Linear timeProjection;
  private final GroupNorm norm2;
  private final Conv2d conv2;
  private final Conv2d shortcut;

  /** {@code timeChannels} 0: no time embedding, as in the VAE. */
  ResnetBlock2D(long in, long out, long timeChannels, int groups, double eps) {
    norm1 = child("norm1", new GroupNorm(groups, in, eps));
    conv1 = child("conv1", new Conv2d(in, out, 3, 1, 1));
    timeProjection = timeChannels == 0 ? null : child("time_emb_proj", new Linear(timeChannels, out));
    norm2 = child("norm2", new GroupNorm(groups, out, eps));
    conv2 = child("conv2", new Conv2d(out, out, 3, 1, 1));
    shortcut = in == out ? null : child("conv_shortcut", new Conv2d(in, out, 1, 1, 0));
  }

  Tensor forward(Tensor x, Tensor temb) {
    return observed(Scope.run(() -> {
      Tensor h = Scope.run(() -> withTime(conv1.forward(norm1.forwardSilu(x)), temb));
      h = Scope.next(h, in -> Scope.run(() -> conv2.forward(norm2.forwardSilu(in))));
      return (shortcut == null ? x : shortcut.forward(x)).add(h);
    }));
  }

  private Tensor withTime(Tensor h, Tensor temb) {
    if (timeProjection == null) {
      return h;
    }
    Tensor t = timeProjection.forward(temb.silu());
    return h.add(t.reshape(t.size(0), t.size(1), 1, 1));
  }
}
