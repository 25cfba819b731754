package org.deft4j.autograd;

import java.util.List;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Layout;

import static org.deft4j.autograd.Rule.keeping;

/** Copies that rearrange or convert; gradients are rearranged back. */
final class LayoutRules {
  private LayoutRules() {}

  static Rule of(Layout op) {
    return switch (op) {
      case Layout.Contiguous() -> Rule.of(keeping(Backward::dy));
      case Layout.Transfer _ -> Rule.of(keeping(b -> b.dy().to(b.value(0).device())));
      // rounding counts as the identity
      case Layout.Cast(var dtype) -> dtype.isFloating() ? Rule.of(keeping(b -> b.dy().cast(b.gradientType(0))))
          : Rule.CONSTANT;
      case Layout.Concat(var dim) -> Rule.together(Saves.NOTHING, b -> parts(b, dim));
      case Layout.Pad(var before, var after, var value) -> Rule.of(keeping(b -> inside(b, before)));
      case Layout.Flip(var dims) -> Rule.of(keeping(b -> b.dy().flip(dims.stream().mapToInt(d -> d).toArray())));
      case Layout.Triangle _ -> Rule.of(keeping(b -> Dispatch.run(op, b.dy())[0]));
    };
  }

  /** Each input gets its stretch of dy. */
  private static Tensor[] parts(Backward b, int dim) {
    Tensor[] parts = new Tensor[b.inputs()];
    long start = 0;
    for (int i = 0; i < parts.length; i++) {
      long end = start + b.shape(i).size(dim);
      parts[i] = b.needs(i) ? b.dy().slice(dim, start, end) : null;
      start = end;
    }
    return parts;
  }

  private static Tensor inside(Backward b, List<Long> before) {
    Tensor dx = b.dy();
    for (int i = 0; i < before.size(); i++) {
      dx = dx.slice(i, before.get(i), before.get(i) + b.shape(0).size(i));
    }
    return dx;
  }
}
