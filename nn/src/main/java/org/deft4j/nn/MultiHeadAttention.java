package org.deft4j.nn;

import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Attention of several heads under diffusers' names (its {@code Attention}): {@code q = to_q(x)}, {@code k = to_k(c)},
 * {@code v = to_v(c)}, per head {@code softmax(q k^T / sqrt(d)) v}, then {@code to_out.0}. With the context x itself it is
 * self-attention.
 *
 * <p>Letters: N batch, T queries, S keys, C width of x, D width of the context, d = C / heads.
 */
public final class MultiHeadAttention extends Module {
  private final long heads;
  private final double scale;
  private final Linear query;
  private final Linear key;
  private final Linear value;
  private final Linear out;

  /** {@code to_q}, {@code to_k}, {@code to_v} without bias, {@code to_out.0} with. */
  public MultiHeadAttention(long width, long contextWidth, long heads) {
    this(width, contextWidth, heads, false);
  }

  /** {@code projectionBias}: whether {@code to_q}, {@code to_k} and {@code to_v} have a bias; {@code to_out.0} always has. */
  public MultiHeadAttention(long width, long contextWidth, long heads, boolean projectionBias) {
    if (heads < 1 || width % heads != 0) {
      throw new IllegalArgumentException("attention: a width of " + width + " is not a multiple of " + heads + " heads");
    }
    this.heads = heads;
    scale = 1 / Math.sqrt((double) width / heads);
    query = child("to_q", new Linear(width, width, projectionBias));
    key = child("to_k", new Linear(contextWidth, width, projectionBias));
    value = child("to_v", new Linear(contextWidth, width, projectionBias));
    out = child("to_out.0", new Linear(width, width));
  }

  /** x [N,T,C], context [N,S,D], result [N,T,C]. */
  public Tensor forward(Tensor x, Tensor context) {
    return observed(Scope.run(() -> {
      Tensor q = split(query.forward(x));
      Tensor o = q.attention(split(key.forward(context)), split(value.forward(context)), scale, false);
      return out.forward(o.transpose(1, 2).reshape(x.shape().toArray()));
    }));
  }

  /** [N,S,C] to [N,heads,S,d]. */
  private Tensor split(Tensor x) {
    return x.reshape(x.size(0), x.size(1), heads, -1).transpose(1, 2);
  }
}
