package org.deft4j.diffusion;

import org.deft4j.nn.GegluFeedForward;
import org.deft4j.nn.LayerNorm;
import org.deft4j.nn.Module;
import org.deft4j.nn.MultiHeadAttention;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Self-attention, cross-attention and a gated feed-forward, each after a layer norm and around a residual (diffusers'
 * {@code BasicTransformerBlock}); x [N,T,C], context [N,S,D]. Each residual is added in one pass with the norm that follows:
 *
 * <pre>{@code
 * h1 = x + attn1(norm1(x));  h2 = h1 + attn2(norm2(h1), context);  y = h2 + ff(norm3(h2))
 * }</pre>
 */
final class BasicTransformerBlock extends Module {
  private static final double EPS = 1e-5;

  private final LayerNorm norm1;
  private final MultiHeadAttention attn1;
  private final LayerNorm norm2;
  private final MultiHeadAttention attn2;
  private final LayerNorm norm3;
  private final GegluFeedForward ff;

  BasicTransformerBlock(long channels, int heads, long contextChannels) {
    norm1 = child("norm1", new LayerNorm(channels, EPS));
    attn1 = child("attn1", new MultiHeadAttention(channels, channels, heads));
    norm2 = child("norm2", new LayerNorm(channels, EPS));
    attn2 = child("attn2", new MultiHeadAttention(channels, contextChannels, heads));
    norm3 = child("norm3", new LayerNorm(channels, EPS));
    ff = child("ff", new GegluFeedForward(channels));
  }

  Tensor forward(Tensor x, Tensor context) {
    return observed(Scope.run(() -> {
      Tensor n1 = norm1.forward(x);
      LayerNorm.OfSum h1 = norm2.forwardSum(x, attn1.forward(n1, n1));
      LayerNorm.OfSum h2 = norm3.forwardSum(h1.sum(), attn2.forward(h1.norm(), context));
      return h2.sum().add(ff.forward(h2.norm()));
    }));
  }
}
