package org.deft4j.autograd;

import java.util.Arrays;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;

import static org.deft4j.autograd.Saves.inputs;
import static org.deft4j.autograd.Saves.output;

/**
 * {@code o = p v} with {@code p = softmax(s)}, {@code s = scale q k^T + mask}. With {@code dp = do v^T} and, row by row,
 * {@code D = sum_s p dp = sum_d do o}:
 *
 * <pre>
 *   ds = p (dp - D)     dq = scale ds k     dk = scale ds^T q     dv = p^T do     dmask = ds
 * </pre>
 *
 * <p>The kernel finds p again from q, k and the log-sum-exp, a piece at a time. Only dmask, which is as large as the
 * scores, is computed as a whole, and only where it is asked for.
 */
record AttentionRule(Contraction.Attention op) implements Rule {
  private static final int Q = 0;
  private static final int K = 1;
  private static final int V = 2;
  private static final int MASK = 3;

  @Override
  public Saves saves(Needs needs) {
    return inputs(MASK + 1).and(output(0)).and(output(1));
  }

  @Override
  public Tensor[] gradients(Backward b) {
    Tensor[] gradients = new Tensor[b.inputs()];
    boolean masked = b.inputs() > MASK;
    if (b.needs(Q) || b.needs(K) || b.needs(V)) {
      Tensor[] inputs = {b.dy(), b.input(Q), b.input(K), b.input(V), b.output(0), b.output(1)};
      if (masked) {
        inputs = Arrays.copyOf(inputs, inputs.length + 1);
        inputs[inputs.length - 1] = b.input(MASK);
      }
      Tensor[] byInput = Dispatch.run(new Contraction.AttentionGrad(op.scale(), op.causal()), inputs);
      System.arraycopy(byInput, 0, gradients, 0, byInput.length);
    }
    if (masked && b.needs(MASK)) {
      gradients[MASK] = scores(b);
    }
    return gradients;
  }

  private Tensor scores(Backward b) {
    Tensor s = b.input(Q).matmul(b.input(K).t()).mul(op.scale()).add(b.input(MASK));
    Tensor all = s.sub(b.output(1).unsqueeze(-1)).exp();
    Tensor p = op.causal() ? all.tril(0) : all;
    Tensor dp = b.dy().matmul(b.input(V).t());
    Tensor d = b.dy().mul(b.output(0)).sumKeep(-1);
    return p.mul(dp.sub(d));
  }
}
