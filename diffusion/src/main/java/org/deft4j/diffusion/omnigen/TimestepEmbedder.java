package org.deft4j.diffusion.omnigen;

import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.nn.TimestepEmbedding;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * A time as a vector (the reference's {@code TimestepEmbedder}, from DiT): {@code e = [cos(t f), sin(t f)]},
 * {@code f_i = 10000^(-i/128)}, then {@code mlp.2(silu(mlp.0(e)))}. t is 0 .. 1 and stays so.
 */
final class TimestepEmbedder extends Module {
  private static final int SINUSOIDS = 256;

  private final Linear in;
  private final Linear out;

  TimestepEmbedder(int hidden) {
    in = child("mlp.0", new Linear(SINUSOIDS, hidden));
    out = child("mlp.2", new Linear(hidden, hidden));
  }

  /** t [B] to [B,D]. */
  Tensor forward(Tensor t) {
    return observed(Scope.run(() -> {
      Tensor e = TimestepEmbedding.sinusoidal(t, SINUSOIDS, true, 0).cast(t.dtype());
      return out.forward(in.forward(e).silu());
    }));
  }
}
