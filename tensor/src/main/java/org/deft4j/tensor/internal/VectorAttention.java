package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;

/** Attention in float32 and its gradients, without ever storing the scores. */
final class VectorAttention {
  private VectorAttention() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Contraction op, Tensor[] in, Tensor[] out) {
    if (out[0].dtype() != DType.F32) {
      return false;
    }
    try (Scope _ = Scope.open()) {
      switch (op) {
        case Contraction.Attention(var scale, var causal) -> forward(
            new AttentionTask(scale, causal, in[0], in[1], in.length == 4 ? in[3] : null, false), in, out);
        case Contraction.AttentionGrad(var scale, var causal) -> backward(
            new AttentionTask(scale, causal, in[1], in[2], in.length == 7 ? in[6] : null, true), in, out);
        default -> throw new IllegalArgumentException(op.label());
      }
    }
    return true;
  }

  private static void forward(AttentionTask task, Tensor[] in, Tensor[] out) {
    task.forStrips(in[0].size(0) * task.heads, task.queries, (head, first, end) -> {
      try (AttentionForward strips = new AttentionForward(task, head, first, end)) {
        strips.run(in[0], in[1], in[2], out[0], out[1]);
      }
    });
  }

  private static void backward(AttentionTask task, Tensor[] in, Tensor[] out) {
    new AttentionBackward(task, in, out).run();
  }
}
