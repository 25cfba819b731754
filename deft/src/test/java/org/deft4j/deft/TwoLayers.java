package org.deft4j.deft;

import org.deft4j.deft.testing.Dense;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/** The smallest model with something to adapt and something to leave alone: {@code ff(to_q(x))}. */
final class TwoLayers extends Module {
  final Linear query;
  final Linear feedForward;

  TwoLayers(int in, int out, DType type, long seed) {
    query = child("attn.to_q", new Linear(in, out, false));
    feedForward = child("ff", new Linear(out, in, true));
    try (Scope _ = Scope.open()) {
      set(query, Dense.normal(seed, out, in), type);
      set(feedForward, Dense.normal(seed + 1, in, out), type);
      feedForward.bias().set(Scope.release(Tensor.zeros(type == DType.F64 ? DType.F64 : DType.F32, in)));
    }
    // A test's scope closes what the test does not.
    parameters().values().forEach(parameter -> Scope.adopt(parameter.value()));
  }

  private static void set(Linear layer, Dense weight, DType type) {
    layer.weight().set(Scope.release(weight.tensor(type)));
  }

  Tensor forward(Tensor x) {
    return feedForward.forward(query.forward(x));
  }
}
