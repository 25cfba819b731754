package org.deft4j.diffusion;

import org.deft4j.nn.GroupNorm;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Self-attention of one head over all positions, around a residual: {@code y = x + to_out(attention(norm(x)))} (diffusers'
 * {@code Attention} as the VAE's middle uses it); x [N,C,H,W].
 */
final class VaeAttention extends Module {
  private final GroupNorm norm;
  private final Linear query;
  private final Linear key;
  private final Linear value;
  private final Linear out;

  VaeAttention(long channels, int groups, double eps) {
    norm = child("group_norm", new GroupNorm(groups, channels, eps));
    query = child("to_q", new Linear(channels, channels));
    key = child("to_k", new Linear(channels, channels));
    value = child("to_v", new Linear(channels, channels));
    out = child("to_out.0", new Linear(channels, channels));
  }

  Tensor forward(Tensor x) {
    return observed(Scope.run(() -> {
      Tensor h = norm.forward(x).flatten(2, 3).transpose(1, 2).contiguous();
      Tensor attended = query.forward(h).unsqueeze(1).attention(key.forward(h).unsqueeze(1),
          value.forward(h).unsqueeze(1), 1 / Math.sqrt((double) x.size(1)), false);
      Tensor y = out.forward(attended.squeeze(1));
      return x.add(y.transpose(1, 2).reshape(x.shape().toArray()));
    }));
  }
}
