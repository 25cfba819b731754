package org.deft4j.autograd;

import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.op.Fused;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.input;

/** Composites with a kernel of their own have a gradient with a kernel of its own. */
final class FusedRules {
  private FusedRules() {}

  static Rule of(Fused op, Needs needs) {
    if (op instanceof Fused.Rotary && (needs.has(1) || needs.has(2))) {
      throw new UnsupportedOperationException(op.label() + ": not differentiable by cos and sin, which must not depend on "
          + "a watched tensor. Write the rotation with products and a concatenation to differentiate by them");
    }
    return switch (op) {
      // y = a f(g): da = dy f(g), dg = dy a f'(g)
      case Fused.Gated gated -> Rule.of(keeping(input(0),
          b -> Dispatch.run(new Fused.GatedGrad(gated), b.dy(), b.input(0))[0]));
      // a rotation's transpose is the rotation back
      case Fused.Rotary(var inverse) -> Rule.of(keeping(input(1).and(input(2)),
          b -> Dispatch.run(new Fused.Rotary(!inverse), b.dy(), b.input(1), b.input(2))[0]));
      case Fused.GlobalNorm() -> throw new UnsupportedOperationException(op.label() + ": not differentiable: it measures gradients. Write the "
          + "root of a sum of squares to differentiate one");
      case Fused.GatedGrad _ -> throw Rule.firstOrderOnly(op);
      case Fused.ActivationGrad _ -> throw Rule.firstOrderOnly(op);
      case Fused.SoftmaxGrad _ -> throw Rule.firstOrderOnly(op);
    };
  }
}
