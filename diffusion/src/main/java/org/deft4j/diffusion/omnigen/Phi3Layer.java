package org.deft4j.diffusion.omnigen;

import org.deft4j.nn.Module;
import org.deft4j.nn.RmsNorm;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/** A decoder layer: {@code h += attention(norm(h))}, {@code h += mlp(norm(h))}. */
final class Phi3Layer extends Module {
  private final int index;
  private final RmsNorm inputNorm;
  private final Phi3Attention attention;
  private final RmsNorm postAttentionNorm;
  private final Phi3Mlp mlp;

  Phi3Layer(OmniGenConfig config, int index) {
    this.index = index;
    inputNorm = child("input_layernorm", new RmsNorm(config.hidden(), config.eps()));
    attention = child("self_attn", new Phi3Attention(config));
    postAttentionNorm = child("post_attention_layernorm", new RmsNorm(config.hidden(), config.eps()));
    mlp = child("mlp", new Phi3Mlp(config));
  }

  /** h [B,T,D], result of the same shape. */
  Tensor forward(Tensor h, Phi3Context context) {
    return observed(Scope.run(() -> {
      Tensor attended = h.add(attention.forward(inputNorm.forward(h), context, index));
      return attended.add(mlp.forward(postAttentionNorm.forward(attended)));
    }));
  }
}
