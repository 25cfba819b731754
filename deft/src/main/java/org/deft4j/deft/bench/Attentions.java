package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.Attention;
import org.deft4j.tensor.op.Contraction.AttentionGrad;

/**
 * Scaled dot-product attention as the models call it: heads are split off tokens by a view.
 */
final class Attentions {
  private static final String GROUP = "attention";

  private Attentions() {}

  /** {@code q [batch, heads, queries, width], k and v [batch, keyHeads, keys, width]}; each key head serves several. */
  private record Heads(long batch, long heads, long keyHeads, long queries, long keys, long width, boolean causal) {
    double scale() {
      return 1 / Math.sqrt((double) width);
    }

    /** Tokens [batch, tokens, n * width] as [batch, n, tokens, width]. */
    Tensor split(Inputs in, long tokens, long n) {
      return in.held(batch, tokens, n, width).transpose(1, 2);
    }

    /** Keys or values, a head repeated for all queries that share it. */
    Tensor keys(Inputs in) {
      Tensor k = split(in, keys, keyHeads);
      return keyHeads == heads ? k : k.repeatInterleave(1, heads / keyHeads);
    }

    @Override
    public String toString() {
      return batch + "x" + heads + (keyHeads == heads ? "" : "/" + keyHeads) + "x" + queries + "x" + keys + "x" + width
          + (causal ? " causal" : "");
    }
  }

  static List<Row> rows() {
    List<Heads> all = new ArrayList<>();
    for (long[] head : new long[][] {{8, 40}, {10, 64}, {8, 80}, {8, 96}, {8, 160}}) {
      all.add(new Heads(1, head[0], head[0], 4096, 4096, head[1], false));
      all.add(new Heads(2, head[0], head[0], 4096, 77, head[1], false));
    }
    all.add(new Heads(2, 8, 8, 1024, 1024, 80, false));
    all.add(new Heads(2, 8, 8, 256, 256, 160, false));
    all.add(new Heads(1, 32, 8, 1024, 1024, 96, true));
    List<Row> rows = new ArrayList<>();
    all.forEach(heads -> rows.add(new Row(GROUP, heads.toString(), in -> forward(heads, in))));
    all.forEach(heads -> rows.add(new Row(GROUP, "grad " + heads, in -> backward(heads, in))));
    return rows;
  }

  private static Job forward(Heads heads, Inputs in) {
    Tensor q = heads.split(in, heads.queries(), heads.heads());
    Tensor k = heads.keys(in);
    Tensor v = heads.keys(in);
    return Job.arithmetic(() -> q.attention(k, v, heads.scale(), heads.causal()));
  }

  private static Job backward(Heads heads, Inputs in) {
    Tensor q = heads.split(in, heads.queries(), heads.heads());
    Tensor k = heads.keys(in);
    Tensor v = heads.keys(in);
    Tensor dO = heads.split(in, heads.queries(), heads.heads());
    Tensor[] forward = Dispatch.run(new Attention(heads.scale(), heads.causal()), q, k, v);
    AttentionGrad op = new AttentionGrad(heads.scale(), heads.causal());
    return Job.arithmetic(() -> Dispatch.run(op, dO, q, k, v, forward[0], forward[1]));
  }
}
