package org.deft4j.deft.bench;

import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Op;

/**
 * Counts, while open, the operations of the products that run on its thread: a multiply-add as two, everything else (norms,
 * activations, sums) as none.
 */
final class FlopCount implements Dispatch.Listener, AutoCloseable {
  private double flop;

  private FlopCount() {}

  /** Starts to count. */
  static FlopCount open() {
    FlopCount count = new FlopCount();
    Dispatch.listen(count);
    return count;
  }

  /** The count so far. */
  double flop() {
    return flop;
  }

  @Override
  public void ran(Op op, Tensor[] inputs, Tensor[] outputs) {
    if (op instanceof Contraction contraction) {
      flop += of(contraction, inputs, outputs[0].shape());
    }
  }

  private static double of(Contraction op, Tensor[] in, Shape out) {
    return switch (op) {
      case Contraction.MatMul _ -> 2.0 * out.elementCount() * in[0].size(-1);
      case Contraction.Linear _ -> 2.0 * out.elementCount() * in[0].size(-1);
      case Contraction.RankUpdate _ -> 4.0 * out.elementCount() * in[1].size(1);
      case Contraction.Conv2d _ -> convolution(out, in[1].shape());
      case Contraction.Conv2dInputGrad _ -> convolution(in[0].shape(), in[1].shape());
      case Contraction.Conv2dWeightGrad(var _, var weight) -> convolution(in[0].shape(), weight);
      // The scores, and their product with v.
      case Contraction.Attention(var _, var causal) -> attention(2, in[0], in[1], causal);
      // The scores again, and one product each for dv, the scores' gradient, dq and dk.
      case Contraction.AttentionGrad(var _, var causal) -> attention(5, in[1], in[2], causal);
    };
  }

  /** {@code y [N,O,OH,OW], w [O,C/groups,KH,KW]}: each output is a sum over the kernel. */
  private static double convolution(Shape y, Shape w) {
    return 2.0 * y.elementCount() * w.sub(1, 4).elementCount();
  }

  /** {@code q [B,H,T,D], k [B,H,S,D]}: products of T x S x D per head; a causal one looks at s <= t. */
  private static double attention(int products, Tensor q, Tensor k, boolean causal) {
    double queries = q.size(2);
    double keys = k.size(2);
    double pairs = queries * keys;
    if (causal) {
      double square = Math.min(queries, keys);
      pairs = square * (square + 1) / 2 + Math.max(0, queries - keys) * keys;
    }
    return 2.0 * products * q.size(0) * q.size(1) * pairs * q.size(3);
  }

  @Override
  public void close() {
    Dispatch.unlisten(this);
  }
}
