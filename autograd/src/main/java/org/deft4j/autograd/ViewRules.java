package org.deft4j.autograd;

import java.util.List;
import org.deft4j.tensor.op.View;

import static org.deft4j.autograd.Rule.keeping;

/** Views move elements without touching them; gradients move back. */
final class ViewRules {
  private ViewRules() {}

  static Rule of(View op) {
    return switch (op) {
      case View.Reshape _ -> Rule.of(keeping(b -> b.dy().reshape(b.shape(0).toArray())));
      // y[i_0, i_1, ...] has x's dimension dims[k] at k: back with the inverse permutation
      case View.Permute(var dims) -> Rule.of(keeping(b -> b.dy().permute(inverse(dims))));
      // what was not taken has a gradient of zero
      case View.Slice(var dim, var start, var end, var step) -> Rule.ofPart(x -> x.slice(dim, start, end, step));
      // the tape sums over what was stretched
      case View.Expand _ -> Rule.of(keeping(Backward::dy));
    };
  }

  private static int[] inverse(List<Integer> dims) {
    int[] inverse = new int[dims.size()];
    for (int i = 0; i < inverse.length; i++) {
      inverse[dims.get(i)] = i;
    }
    return inverse;
  }
}
