package org.deft4j.autograd;

import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Spatial;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.output;

/** Resampling is linear in x: the gradient is its adjoint, which needs the size of x and not its elements. */
final class SpatialRules {
  private SpatialRules() {}

  static Rule of(Spatial op) {
    return switch (op) {
      case Spatial.UpsampleNearest _ -> Rule.of(keeping(
          b -> run(new Spatial.UpsampleNearestGrad(height(b), width(b)), b.dy())));
      case Spatial.UpsampleBilinear _ -> Rule.of(keeping(
          b -> run(new Spatial.UpsampleBilinearGrad(height(b), width(b)), b.dy())));
      case Spatial.AvgPool2d(var window, var countPadding) -> Rule.of(keeping(
          b -> run(new Spatial.AvgPool2dGrad(window, countPadding, height(b), width(b)), b.dy())));
      // the largest of a window is one of its elements: its gradient goes there
      case Spatial.MaxPool2d _ -> Rule.of(keeping(output(1),
          b -> run(new Spatial.MaxPool2dGrad(height(b), width(b)), b.dy(), b.output(1))));
      case Spatial.UpsampleNearestGrad _ -> throw Rule.firstOrderOnly(op);
      case Spatial.UpsampleBilinearGrad _ -> throw Rule.firstOrderOnly(op);
      case Spatial.AvgPool2dGrad _ -> throw Rule.firstOrderOnly(op);
      case Spatial.MaxPool2dGrad _ -> throw Rule.firstOrderOnly(op);
    };
  }

  private static long height(Backward b) {
    return b.shape(0).size(2);
  }

  private static long width(Backward b) {
    return b.shape(0).size(3);
  }

  private static Tensor run(Spatial op, Tensor... inputs) {
    return Dispatch.run(op, inputs)[0];
  }
}
