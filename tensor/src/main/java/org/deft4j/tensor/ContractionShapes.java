package org.deft4j.tensor;

import java.util.List;
import org.deft4j.tensor.ShapeRules.Spec;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Op;

import static org.deft4j.tensor.ShapeRules.arity;
import static org.deft4j.tensor.ShapeRules.computable;
import static org.deft4j.tensor.ShapeRules.like;
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
    Tensor x = computable(op, "input 0", in[0]);
    return switch (op) {
      case Contraction.MatMul() -> {
        arity(op, in, 2, 2);
        weight(op, "b", x, in[1]);
        if (x.rank() < 2 || in[1].rank() < 2 || x.size(-1) != in[1].size(-2)) {
          throw new ShapeException("mat_mul: a " + x.shape() + " and b " + in[1].shape()
              + ": the last dimension of a must equal the last but one of b, and both need at least 2");
        }
        Shape batch = Shape.broadcast("mat_mul", x.shape().sub(0, x.rank() - 2),
            in[1].shape().sub(0, in[1].rank() - 2));
        yield List.of(new Spec(x.dtype(), batch.append(x.size(-2), in[1].size(-1))));
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
      case Contraction.Conv2d(var spec) -> conv2d(op, spec, x, in);
      case Contraction.Conv2dInputGrad(var spec, var input) -> {
        arity(op, in, 2, 2);
        weight(op, "weight", x, in[1]);
        yield List.of(new Spec(x.dtype(), input));
      }
      case Contraction.Conv2dWeightGrad(var spec, var weight) -> {
        arity(op, in, 2, 2);
        sameType(op, in);
        yield List.of(new Spec(x.dtype(), weight));
      }
      case Contraction.Attention ignored -> attention(op, in);
      case Contraction.AttentionGrad ignored -> {
        arity(op, in, 6, 7);
        yield List.of(like(in[1]), like(in[2]), like(in[3]));
      }
    };
  }

  /** A weight has the type of x, or is held in 16 bits beside an F32 x. */
  private static void weight(Op op, String argument, Tensor x, Tensor weight) {
    boolean half = weight.dtype() == DType.F16 || weight.dtype() == DType.BF16;
    if (weight.dtype() != x.dtype() && !(half && x.dtype() == DType.F32)) {
      throw new DTypeException(op.label() + ": " + argument + ": expected " + x.dtype()
          + (x.dtype() == DType.F32 ? ", F16 or BF16" : "") + ", found " + weight);
    }
  }

  private static void bias(Op op, Tensor x, Tensor[] in, long out) {
    if (in.length == 3) {
      sameShape(op, "bias", Shape.of(out), in[2]);
      type(op, "bias", in[2], x.dtype());
    }
  }

  private static List<Spec> conv2d(Op op, ConvSpec spec, Tensor x, Tensor[] in) {
    arity(op, in, 2, 3);
    Tensor w = in[1];
    weight(op, "weight", x, w);
    rank(op, "x", x, 4);
    if (w.rank() != 4 || w.size(1) * spec.groups() != x.size(1) || w.size(0) % spec.groups() != 0) {
      throw wrong(op, "weight", "[O, " + x.size(1) + " / groups, KH, KW] for x " + x.shape() + " and " + spec.groups()
          + " groups", w);
    }
    bias(op, x, in, w.size(0));
    long height = spec.outHeight(x.size(2), w.size(2));
    long width = spec.outWidth(x.size(3), w.size(3));
    if (height < 1 || width < 1) {
      throw wrong(op, "x", "at least the size of the kernel " + w.shape(), x);
    }
    return List.of(spec(x, x.size(0), w.size(0), height, width));
  }

  private static List<Spec> attention(Op op, Tensor[] in) {
    arity(op, in, 3, 4);
    Tensor q = in[0];
    Tensor k = in[1];
    Tensor v = in[2];
    sameType(op, new Tensor[] {q, k, v});
    rank(op, "q", q, 4);
    sameShape(op, "k", q.shape().with(2, k.rank() == 4 ? k.size(2) : 0), k);
    sameShape(op, "v", k.shape(), v);
    if (in.length == 4) {
      type(op, "mask", in[3], DType.BOOL, q.dtype());
      Shape scores = Shape.of(q.size(0), q.size(1), q.size(2), k.size(2));
      if (!Shape.broadcast(op.label(), in[3].shape(), scores).equals(scores)) {
        throw wrong(op, "mask", "a shape that broadcasts to " + scores, in[3]);
      }
    }
    return List.of(like(q), spec(q, q.size(0), q.size(1), q.size(2)));
  }
}
