package org.deft4j.autograd;

import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.input;
import static org.deft4j.autograd.Saves.inputs;
import static org.deft4j.autograd.Saves.output;

/** Sums of products: bilinear, so the gradient by one side needs only the other side. */
final class ContractionRules {
  private ContractionRules() {}

  static Rule of(Contraction op) {
    return switch (op) {
      // y_mn = sum_k a_mk b_kn: da = dy b^T, db = a^T dy
      case Contraction.MatMul _ -> Rule.of(
          keeping(input(1), b -> product(b, 0, b.dy(), b.input(1).t())),
          keeping(input(0), b -> right(b)));
      // y = x w^T + b: dx = dy w, dw = dy^T x, db = sum over rows of dy
      case Contraction.Linear() -> Rule.of(
          keeping(input(1), b -> rows(b.dy()).matmul(b.input(1)).reshape(b.shape(0).toArray())),
          keeping(input(0), b -> product(b, 1, rows(b.dy()).t(), rows(b.input(0)))),
          keeping(Backward::dy));
      case Contraction.Conv2d(var spec) -> Rule.of(
          keeping(input(1), b -> run(new Contraction.Conv2dInputGrad(spec, b.shape(0)), b.dy(), b.input(1))),
          keeping(input(0), b -> run(new Contraction.Conv2dWeightGrad(spec, b.shape(1)), b.dy(), b.input(0))),
          keeping(b -> b.dy().sum(0, 2, 3)));
      case Contraction.RankUpdate(var scale) -> rankUpdate(scale);
      case Contraction.Attention attention -> new AttentionRule(attention);
      case Contraction.Conv2dInputGrad _ -> throw Rule.firstOrderOnly(op);
      case Contraction.Conv2dWeightGrad _ -> throw Rule.firstOrderOnly(op);
      case Contraction.AttentionGrad _ -> throw Rule.firstOrderOnly(op);
    };
  }

  /**
   * {@code z = x + t l^T, t = scale u - x s}: with {@code q = -dz l}, {@code dx = dz + q s^T}, which is the same operation on dz with s
   * and l exchanged, {@code ds = x^T q}, {@code dl = dz^T t}, {@code du = -scale q}.
   */
  private static Rule rankUpdate(double scale) {
    return Rule.together(inputs(3).and(output(1)), b -> {
      Tensor[] gradients = new Tensor[b.inputs()];
      Tensor[] back = Dispatch.run(new Contraction.RankUpdate(1), b.dy(), b.input(2), b.input(1));
      gradients[0] = back[0];
      gradients[1] = b.needs(1) ? product(b, 1, rows(b.input(0)).t(), rows(back[1])) : null;
      gradients[2] = b.needs(2) ? product(b, 2, rows(b.dy()).t(), rows(b.output(1))) : null;
      if (b.inputs() == 4) {
        gradients[3] = b.needs(3) ? back[1].mul(-scale) : null;
      }
      return gradients;
    });
  }

  private static Tensor run(Contraction op, Tensor... inputs) {
    return Dispatch.run(op, inputs)[0];
  }

  /** {@code a^T dy}; where b has no batch, the batch of a is more rows of the same sum. */
  private static Tensor right(Backward b) {
    Tensor a = b.input(0);
    return b.value(1).shape().rank() == 2 ? product(b, 1, rows(a).t(), rows(b.dy())) : product(b, 1, a.t(), b.dy());
  }

  /** The gradient of {@code input}: an F32 one is not rounded to BF16 on its way. */
  private static Tensor product(Backward b, int input, Tensor left, Tensor right) {
    return run(new Contraction.MatMul(left.dtype() != b.gradientType(input)), left, right);
  }

  /** [..., K] as [n, K]. */
  private static Tensor rows(Tensor x) {
    return x.rank() == 2 ? x : x.reshape(x.elementCount() / Math.max(1, x.size(-1)), x.size(-1));
  }
}
