package org.deft4j.autograd;

import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.op.Fused;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.input;

/** Composites with a kernel of their own have a gradient with a kernel of its own. */
final class FusedRules {
  private FusedRules() {}

  static Rule of(Fused op) {
    return switch (op) {
      // y = a gelu(g): da = dy gelu(g), dg = dy a gelu'(g)
      case Fused.Geglu() -> Rule.of(keeping(input(0),
          b -> Dispatch.run(new Fused.GegluGrad(), b.dy(), b.input(0))[0]));
      case Fused.GegluGrad() -> throw Rule.firstOrderOnly(op);
      case Fused.ActivationGrad _ -> throw Rule.firstOrderOnly(op);
      case Fused.SoftmaxGrad _ -> throw Rule.firstOrderOnly(op);
    };
  }
}
