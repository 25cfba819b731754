package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.nn.LayerNorm;
import org.deft4j.nn.Module;
import org.deft4j.nn.MultiHeadAttention;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/** Self- and cross-attention in turn, each after a layer norm and around a residual: a transformer's part that adapters change. */
final class AttentionStack extends Module {
  private static final double EPS = 1e-5;
  private static final long HEAD = 64;

  private final List<LayerNorm> norms = new ArrayList<>();
  private final List<MultiHeadAttention> layers = new ArrayList<>();

  /** {@code blocks} of two layers each, of {@code width} and heads of 64 as in SDXL. */
  AttentionStack(int blocks, long width, long contextWidth) {
    for (int i = 0; i < 2 * blocks; i++) {
      norms.add(child("norms." + i, new LayerNorm(width, EPS)));
      layers.add(child("layers." + i, new MultiHeadAttention(width, i % 2 == 0 ? width : contextWidth, width / HEAD)));
    }
  }

  /** x [N,T,C], context [N,S,D]. */
  Tensor forward(Tensor x, Tensor context) {
    return Scope.run(() -> {
      Tensor h = x;
      for (int i = 0; i < layers.size(); i++) {
        Tensor n = norms.get(i).forward(h);
        h = h.add(layers.get(i).forward(n, i % 2 == 0 ? n : context));
      }
      return h;
    });
  }
}
