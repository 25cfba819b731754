package org.deft4j.tensor;

import java.util.Arrays;
import java.util.List;
import org.deft4j.tensor.ShapeRules.Spec;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Op;

import static org.deft4j.tensor.ShapeRules.arity;
import static org.deft4j.tensor.ShapeRules.like;
import static org.deft4j.tensor.ShapeRules.operand;
import static org.deft4j.tensor.ShapeRules.rank;
import static org.deft4j.tensor.ShapeRules.sameShape;
import static org.deft4j.tensor.ShapeRules.sameType;
import static org.deft4j.tensor.ShapeRules.spec;
import static org.deft4j.tensor.ShapeRules.type;
import static org.deft4j.tensor.ShapeRules.wrong;

/** Shapes of the products. */
final class ContractionShapes {
  private ContractionShapes() {}

  static List<Spec> outputs(Contraction op, Tensor[] in) {
    arity(op, in, 2, 7);
    Tensor x = operand(op, "input 0", in[0]);
    return switch (op) {
      case Contraction.MatMul(var wide) -> {
        arity(op, in, 2, 2);
        weight(op, "b", x, in[1]);
        if (x.rank() < 2 || in[1].rank() < 2 || x.size(-1) != in[1].size(-2)) {
          throw new ShapeException("mat_mul: a " + x.shape() + " and b " + in[1].shape()
              + ": the last dimension of a must equal the last but one of b, and both need at least 2");
        }
        Shape batch = Shape.broadcast("mat_mul", x.shape().sub(0, x.rank() - 2),
            in[1].shape().sub(0, in[1].rank() - 2));
        yield List.of(new Spec(wide ? x.dtype().wide() : x.dtype(), batch.append(x.size(-2), in[1].size(-1))));
      }
      case Contraction.Linear() -> {
        arity(op, in, 2, 3);
        weight(op, "weight", x, in[1]);
        if (x.rank() < 1 || in[1].rank() != 2 || x.size(-1) != in[1].size(1)) {
          throw wrong(op, "weight", "[out, in] with in = " + (x.rank() < 1 ? "?" : x.size(-1)), in[1]);
        }
        bias(op, x, in, in[1].size(0));
        yield List.of(new Spec(x.dtype(), x.shape().with(-1, in[1].size(0))));
      }
      case Contraction.RankUpdate ignored -> {
        arity(op, in, 3, 4);
        sameType(op, new Tensor[] {in[1], in[2]});
        type(op, "s", in[1], x.dtype().wide());
        if (x.rank() < 1 || in[1].rank() != 2 || x.size(-1) != in[1].size(0)) {
          throw wrong(op, "s", "[n, r] with n = " + (x.rank() < 1 ? "?" : x.size(-1)), in[1]);
        }
        sameShape(op, "l", in[1].shape(), in[2]);
        Shape thin = x.shape().with(-1, in[1].size(1));
        if (in.length == 4) {
          sameShape(op, "u", thin, in[3]);
          type(op, "u", in[3], x.dtype());
        }
        yield List.of(like(x), new Spec(x.dtype(), thin));
      }
      case Contraction.Conv2d(var spec) -> conv2d(op, spec, x, in);
      case Contraction.Conv2dInputGrad(var spec, var input) -> {
        arity(op, in, 2, 2);
        weight(op, "weight", x, in[1]);
        sameShape(op, "dy", convolved(op, spec, input, in[1].shape()), x);
        yield List.of(new Spec(x.dtype(), input));
      }
      case Contraction.Conv2dWeightGrad(var spec, var weight) -> {
        arity(op, in, 2, 2);
        sameType(op, in);
        sameShape(op, "dy", convolved(op, spec, in[1].shape(), weight), x);
        yield List.of(new Spec(x.dtype().wide(), weight));
      }
      case Contraction.Attention ignored -> {
        arity(op, in, 3, 4);
        sameType(op, Arrays.copyOf(in, 3));
        yield heads(op, x, in[1], in[2], in.length == 4 ? in[3] : null);
      }
      case Contraction.AttentionGrad ignored -> {
        arity(op, in, 6, 7);
        sameType(op, Arrays.copyOf(in, 5));
        List<Spec> forward = heads(op, in[1], in[2], in[3], in.length == 7 ? in[6] : null);
        sameShape(op, "do", forward.get(0).shape(), in[0]);
        sameShape(op, "o", forward.get(0).shape(), in[4]);
        sameShape(op, "lse", forward.get(1).shape(), in[5]);
        type(op, "lse", in[5], x.dtype().wide());
        yield List.of(like(in[1]), like(in[2]), like(in[3]));
      }
    };
  }

  /** A weight has the type of x; beside F32 and BF16 it may also be of F32, F16 and BF16. */
  private static void weight(Op op, String argument, Tensor x, Tensor weight) {
    boolean any = x.dtype() != DType.F64;
    boolean isOfThem = weight.dtype() == DType.F32 || weight.dtype() == DType.F16 || weight.dtype() == DType.BF16;
    if (weight.dtype() != x.dtype() && !(any && isOfThem)) {
      throw new DTypeException(op.label() + ": " + argument + ": expected " + (any ? "F32, F16 or BF16" : x.dtype()) + ", found " + weight);
    }
  }

  private static void bias(Op op, Tensor x, Tensor[] in, long out) {
    if (in.length == 3) {
      sameShape(op, "bias", Shape.of(out), in[2]);
      type(op, "bias", in[2], x.dtype().wide());
    }
  }

  private static List<Spec> conv2d(Op op, ConvSpec spec, Tensor x, Tensor[] in) {
    arity(op, in, 2, 3);
    weight(op, "weight", x, in[1]);
    Shape result = convolved(op, spec, x.shape(), in[1].shape());
    bias(op, x, in, in[1].size(0));
    return List.of(new Spec(x.dtype(), result));
  }

  /** The shape of a convolution's result. */
  private static Shape convolved(Op op, ConvSpec spec, Shape x, Shape w) {
    if (x.rank() != 4) {
      throw new ShapeException(op.label() + ": x: expected [N, C, H, W], found shape " + x);
    }
    if (w.rank() != 4 || w.size(1) * spec.groups() != x.size(1) || w.size(0) % spec.groups() != 0
        || w.size(2) < 1 || w.size(3) < 1) {
      throw new ShapeException(op.label() + ": weight: expected [O, " + x.size(1) + " / groups, KH, KW] for x " + x
          + " and " + spec.groups() + " groups, found shape " + w);
    }
    long height = spec.outHeight(x.size(2), w.size(2));
    long width = spec.outWidth(x.size(3), w.size(3));
    if (height < 1 || width < 1) {
      throw new ShapeException(op.label() + ": x: expected, with its padding, at least the size of the kernel " + w
          + ", found shape " + x);
    }
    return Shape.of(x.size(0), w.size(0), height, width);
  }

  private static List<Spec> heads(Op op, Tensor q, Tensor k, Tensor v, Tensor mask) {
    rank(op, "q", q, 4);
    rank(op, "k", k, 4);
    sameShape(op, "k", q.shape().with(2, k.size(2)), k);
    sameShape(op, "v", k.shape(), v);
    if (mask != null) {
      type(op, "mask", mask, DType.BOOL, q.dtype().wide());
      Shape scores = Shape.of(q.size(0), q.size(1), q.size(2), k.size(2));
      if (!mask.shape().broadcastsTo(scores)) {
        throw wrong(op, "mask", "a shape that broadcasts to " + scores, mask);
      }
    }
    return List.of(like(q), new Spec(q.dtype().wide(), Shape.of(q.size(0), q.size(1), q.size(2))));
  }
}
