package org.deft4j.diffusion.omnigen;

import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Self-attention as Phi-3 has it: one matrix makes queries, keys and values, queries and keys are rotated by their positions, and
 * neighbouring heads may share keys and values.
 *
 * <p>Letters: B rows, T queries, S keys, H heads, G heads of keys and values, d their width, D = H d.
 */
final class Phi3Attention extends Module {
  private final int heads;
  private final int keyValueHeads;
  private final int width;
  private final Linear qkv;
  private final Linear out;

  Phi3Attention(OmniGenConfig config) {
    heads = config.heads();
    keyValueHeads = config.keyValueHeads();
    width = config.headWidth();
    qkv = child("qkv_proj", new Linear(config.hidden(), (heads + 2L * keyValueHeads) * width, false));
    out = child("o_proj", new Linear((long) heads * width, config.hidden(), false));
  }

  /** x [B,T,D]; the context says which keys there are and what may be seen. */
  Tensor forward(Tensor x, Phi3Context context, int layer) {
    return observed(Scope.run(() -> {
      Tensor all = qkv.forward(x);
      LongRope.Angles angles = context.angles();
      Tensor q = heads(all, 0, heads).rotary(angles.cos(), angles.sin());
      Tensor k = heads(all, heads, keyValueHeads).rotary(angles.cos(), angles.sin());
      // A copy, so that nothing of the projection is kept for the way back.
      Tensor v = heads(all, heads + keyValueHeads, keyValueHeads).copy();
      KeyValueCache.Pair seen = context.seen(layer, k, v);
      Tensor o = q.attention(shared(seen.keys()), shared(seen.values()), context.mask(), 1 / Math.sqrt((double) width));
      return out.forward(o.transpose(1, 2).reshape(x.size(0), x.size(1), (long) heads * width));
    }));
  }

  /** {@code count} heads from {@code first} on: [B,T,all d] to [B,count,T,d]. */
  private Tensor heads(Tensor all, int first, int count) {
    return all.slice(2, (long) first * width, (long) (first + count) * width)
        .reshape(all.size(0), all.size(1), count, width).transpose(1, 2);
  }

  /** [B,G,S,d] to [B,H,S,d]. */
  private Tensor shared(Tensor x) {
    return heads == keyValueHeads ? x : x.repeatInterleave(1, heads / keyValueHeads);
  }
}
