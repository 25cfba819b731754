package org.deft4j.diffusion.omnigen;

import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/** A gated perceptron (Shazeer 2020): {@code [gate, up] = gate_up_proj(x)}, {@code y = down_proj(silu(gate) up)}. */
final class Phi3Mlp extends Module {
  private final Linear in;
  private final Linear out;

  Phi3Mlp(OmniGenConfig config) {
    in = child("gate_up_proj", new Linear(config.hidden(), 2L * config.intermediate(), false));
    out = child("down_proj", new Linear(config.intermediate(), config.hidden(), false));
  }

  /** x [..., D], result of the same shape. */
  Tensor forward(Tensor x) {
    return observed(Scope.run(() -> out.forward(in.forward(x).swiglu())));
  }
}
