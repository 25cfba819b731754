package org.deft4j.tensor;

import java.util.List;
import org.deft4j.tensor.ShapeRules.Spec;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Spatial;

import static org.deft4j.tensor.ShapeRules.arity;
import static org.deft4j.tensor.ShapeRules.like;
import static org.deft4j.tensor.ShapeRules.operand;
import static org.deft4j.tensor.ShapeRules.rank;
import static org.deft4j.tensor.ShapeRules.sameShape;
import static org.deft4j.tensor.ShapeRules.sameType;
import static org.deft4j.tensor.ShapeRules.spec;
import static org.deft4j.tensor.ShapeRules.type;
import static org.deft4j.tensor.ShapeRules.types;
import static org.deft4j.tensor.ShapeRules.wrong;

/** Shapes of the normalisations, of resampling and pooling, and of the fused activations. */
final class LayerShapes {
  private LayerShapes() {}

  static List<Spec> norm(Norm op, Tensor[] in) {
    return switch (op) {
      case Norm.GroupNorm(var groups, var eps) -> groupNorm(op, groups, in);
      case Norm.GroupNormSilu(var groups, var eps) -> groupNorm(op, groups, in);
      case Norm.GroupNormGrad(var groups) -> groupNormGrad(op, groups, 5, in);
      case Norm.GroupNormSiluGrad(var groups) -> groupNormGrad(op, groups, 6, in);
      case Norm.LayerNorm(var dims, var eps) -> {
        Tensor x = input(op, in, 0, 1, 3);
        Shape inner = inner(op, dims, x);
        if (in.length == 2) {
          throw new ShapeException(op.label() + ": takes a weight and a bias, or neither; the bias is missing");
        }
        for (int i = 1; i < in.length; i++) {
          sameShape(op, i == 1 ? "weight" : "bias", inner, in[i]);
        }
        Spec statistic = new Spec(x.dtype().wide(), x.shape().sub(0, x.rank() - dims));
        yield List.of(like(x), statistic, statistic);
      }
      case Norm.LayerNormOfSum ignored -> {
        arity(op, in, 4, 4);
        Tensor x = operand(op, "x", in[0]);
        types(op, 2, in);
        sameShape(op, "r", x.shape(), in[1]);
        Shape inner = inner(op, 1, x);
        sameShape(op, "weight", inner, in[2]);
        sameShape(op, "bias", inner, in[3]);
        Spec statistic = new Spec(x.dtype().wide(), x.shape().sub(0, x.rank() - 1));
        yield List.of(like(x), like(x), statistic, statistic);
      }
      case Norm.LayerNormGrad(var dims, var ofWeights) -> {
        Tensor x = input(op, in, 1, ofWeights ? 5 : 4, 5);
        Shape inner = inner(op, dims, x);
        statistics(op, in, x.shape().sub(0, x.rank() - dims), "mean", "rstd");
        if (in.length == 5) {
          sameShape(op, "weight", inner, in[4]);
        }
        yield ofWeights ? List.of(like(x), like(in[4]), like(in[4])) : List.of(like(x));
      }
      case Norm.RmsNorm ignored -> {
        Tensor x = input(op, in, 0, 1, 2);
        Shape inner = inner(op, 1, x);
        if (in.length == 2) {
          sameShape(op, "weight", inner, in[1]);
        }
        yield List.of(like(x), new Spec(x.dtype().wide(), x.shape().sub(0, x.rank() - 1)));
      }
      case Norm.RmsNormGrad(var ofWeight) -> {
        Tensor x = input(op, in, 1, ofWeight ? 4 : 3, 4);
        Shape inner = inner(op, 1, x);
        statistics(op, in, x.shape().sub(0, x.rank() - 1), "rrms");
        if (in.length == 4) {
          sameShape(op, "weight", inner, in[3]);
        }
        yield ofWeight ? List.of(like(x), like(in[3])) : List.of(like(x));
      }
    };
  }

  private static List<Spec> groupNorm(Op op, int groups, Tensor[] in) {
    Tensor x = input(op, in, 0, 3, 3);
    groups(op, groups, x);
    sameShape(op, "weight", Shape.of(x.size(1)), in[1]);
    sameShape(op, "bias", Shape.of(x.size(1)), in[2]);
    Spec statistic = new Spec(x.dtype().wide(), Shape.of(x.size(0), groups));
    return List.of(like(x), statistic, statistic);
  }

  private static List<Spec> groupNormGrad(Op op, int groups, int arity, Tensor[] in) {
    Tensor x = input(op, in, 1, arity, arity);
    groups(op, groups, x);
    statistics(op, in, Shape.of(x.size(0), groups), "mean", "rstd");
    for (int i = 4; i < arity; i++) {
      sameShape(op, i == 4 ? "weight" : "bias", Shape.of(x.size(1)), in[i]);
    }
    return List.of(like(x), like(in[4]), like(in[4]));
  }

  /**
   * The input x; a gradient comes before it and has its shape and type. What comes after it (weights, statistics) is of the type that
   * arithmetic on x runs in.
   */
  private static Tensor input(Op op, Tensor[] in, int at, int min, int max) {
    arity(op, in, min, max);
    Tensor x = operand(op, "x", in[at]);
    types(op, at + 1, in);
    if (at == 1) {
      sameShape(op, "dy", x.shape(), in[0]);
    }
    return x;
  }

  private static void groups(Op op, int groups, Tensor x) {
    if (x.rank() < 2 || groups < 1 || x.size(1) % groups != 0) {
      throw wrong(op, "x", "[N, C, ...] with C a multiple of " + groups + " groups", x);
    }
  }

  private static Shape inner(Op op, int dims, Tensor x) {
    if (dims < 1 || dims > x.rank()) {
      throw wrong(op, "x", "at least " + Math.max(1, dims) + " dimensions, to normalise over the last " + dims, x);
    }
    return x.shape().sub(x.rank() - dims, x.rank());
  }

  private static void statistics(Op op, Tensor[] in, Shape shape, String... names) {
    for (int i = 0; i < names.length; i++) {
      sameShape(op, names[i], shape, in[2 + i]);
    }
  }

  static List<Spec> spatial(Spatial op, Tensor[] in) {
    boolean two = op instanceof Spatial.MaxPool2dGrad;
    arity(op, in, two ? 2 : 1, two ? 2 : 1);
    Tensor x = operand(op, two ? "dy" : "x", in[0]);
    rank(op, two ? "dy" : "x", x, 4);
    return switch (op) {
      case Spatial.UpsampleNearest(var h, var w) -> List.of(resized(op, x, h, w));
      case Spatial.UpsampleNearestGrad(var h, var w) -> List.of(resized(op, x, h, w));
      case Spatial.UpsampleBilinear(var h, var w) -> List.of(resized(op, x, h, w));
      case Spatial.UpsampleBilinearGrad(var h, var w) -> List.of(resized(op, x, h, w));
      case Spatial.AvgPool2d(var window, var count) -> List.of(pooled(op, window, x, x.size(2), x.size(3)));
      case Spatial.AvgPool2dGrad(var window, var count, var h, var w) -> {
        Spec picture = spec(x, x.size(0), x.size(1), h, w);
        sameShape(op, "dy", pooled(op, window, x, h, w).shape(), x);
        yield List.of(picture);
      }
      case Spatial.MaxPool2d(var window) -> {
        Spec values = pooled(op, window, x, x.size(2), x.size(3));
        yield List.of(values, new Spec(DType.I64, values.shape()));
      }
      case Spatial.MaxPool2dGrad(var h, var w) -> {
        sameShape(op, "index", x.shape(), in[1]);
        type(op, "index", in[1], DType.I64);
        yield List.of(spec(x, x.size(0), x.size(1), h, w));
      }
    };
  }

  private static Spec resized(Op op, Tensor x, long height, long width) {
    if (height < 1 || width < 1 || x.size(2) < 1 || x.size(3) < 1) {
      throw wrong(op, "x", "a picture of at least 1 x 1 to make one of " + height + " x " + width, x);
    }
    return spec(x, x.size(0), x.size(1), height, width);
  }

  /** The result of a window on pictures of this size. */
  private static Spec pooled(Op op, Spatial.Window window, Tensor x, long height, long width) {
    if (Math.min(height, width) + 2L * window.padding() < window.kernel()) {
      throw new ShapeException(op.label() + ": a picture of " + height + " x " + width + " with padding "
          + window.padding() + " is smaller than the window of " + window.kernel());
    }
    return spec(x, x.size(0), x.size(1), window.out(height), window.out(width));
  }

  static List<Spec> fused(Fused op, Tensor[] in) {
    return List.of(switch (op) {
      case Fused.Gated _ -> {
        Tensor x = input(op, in, 0, 1, 1);
        halves(op, x);
        yield new Spec(x.dtype(), x.shape().with(-1, x.size(-1) / 2));
      }
      case Fused.GatedGrad _ -> {
        arity(op, in, 2, 2);
        Tensor x = operand(op, "x", in[1]);
        sameType(op, in);
        halves(op, x);
        sameShape(op, "dy", x.shape().with(-1, x.size(-1) / 2), in[0]);
        yield like(x);
      }
      case Fused.Rotary _ -> {
        Tensor x = input(op, in, 0, 3, 3);
        halves(op, x);
        Shape half = x.shape().with(-1, x.size(-1) / 2);
        Tensor cos = in[1];
        if (cos.rank() < 1 || cos.size(-1) != half.size(-1) || !cos.shape().broadcastsTo(half)) {
          throw wrong(op, "cos", "[..., " + half.size(-1) + "], which broadcasts to " + half, cos);
        }
        sameShape(op, "sin", cos.shape(), in[2]);
        yield like(x);
      }
      case Fused.ActivationGrad ignored -> like(input(op, in, 1, 2, 2));
      case Fused.GlobalNorm() -> {
        ShapeRules.computable(op, "input 0", in[0]);
        sameType(op, in);
        yield new Spec(DType.F64, Shape.of());
      }
      case Fused.SoftmaxGrad(var dim) -> {
        Tensor y = input(op, in, 1, 2, 2);
        y.shape().axis(dim);
        yield like(y);
      }
    });
  }

  private static void halves(Op op, Tensor x) {
    if (x.rank() < 1 || x.size(-1) % 2 != 0) {
      throw wrong(op, "x", "an even last dimension", x);
    }
  }
}
