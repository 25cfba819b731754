package org.deft4j.diffusion.omnigen;

import java.util.List;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Tokens to what their patches change (the reference's {@code FinalLayer}, from DiT): with {@code [shift, scale] = W silu(c)},
 * {@code y = linear(norm(x) (1 + scale) + shift)}, norm without weights.
 */
final class FinalLayer extends Module {
  private static final double EPS = 1e-6;

  private final Linear modulation;
  private final Linear linear;

  FinalLayer(OmniGenConfig config) {
    linear = child("linear", new Linear(config.hidden(), (long) config.patch() * config.patch() * config.latents()));
    modulation = child("adaLN_modulation.1", new Linear(config.hidden(), 2L * config.hidden()));
  }

  /** x [B,n,D], c [B,D], result [B,n,P P C]. */
  Tensor forward(Tensor x, Tensor c) {
    return observed(Scope.run(() -> {
      List<Tensor> shiftAndScale = modulation.forward(c.silu()).unsqueeze(1).chunk(2, 2);
      Tensor normed = x.layerNorm(1, EPS);
      return linear.forward(normed.mul(shiftAndScale.get(1).add(1)).add(shiftAndScale.get(0)));
    }));
  }
}
