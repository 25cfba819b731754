package org.deft4j.tensor;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Unary;
import org.deft4j.tensor.op.View;

/**
 * Types and shapes of every operation's outputs, and the checks of its inputs: what all devices share, and all that the
 * meta device does.
 */
final class ShapeRules {
  /** The type and shape of one output. */
  record Spec(DType dtype, Shape shape) {}

  private ShapeRules() {}

  static List<Spec> outputs(Op op, Tensor[] in) {
    return switch (op) {
      case Unary unary -> {
        arity(op, in, 1, 1);
        yield List.of(like(operand(op, "x", in[0])));
      }
      case Binary binary -> binary(binary, in);
      case Reduction reduction -> reduction(reduction, in);
      case View ignored -> throw new IllegalStateException("views are made, not computed");
      case Layout layout -> layout(layout, in);
      case Indexing indexing -> indexing(indexing, in);
      case Contraction contraction -> ContractionShapes.outputs(contraction, in);
      case Norm norm -> LayerShapes.norm(norm, in);
      case Spatial spatial -> LayerShapes.spatial(spatial, in);
      case Fused fused -> LayerShapes.fused(fused, in);
      case Decompose decompose -> decompose(decompose, in);
      case InPlace inPlace -> inPlace(inPlace, in);
    };
  }

  // ---------------------------------------------------------------------------------------------------- checks

  static Spec like(Tensor tensor) {
    return new Spec(tensor.dtype(), tensor.shape());
  }

  static Spec spec(Tensor like, long... sizes) {
    return new Spec(like.dtype(), Shape.of(sizes));
  }

  static void arity(Op op, Tensor[] in, int min, int max) {
    if (in.length < min || in.length > max) {
      throw new ShapeException(op.label() + ": takes " + (min == max ? "" + min : min + " to " + max) + " inputs, given "
          + in.length);
    }
  }

  static ShapeException wrong(Op op, String argument, String expected, Tensor actual) {
    return new ShapeException(op.label() + ": " + argument + ": expected " + expected + ", found " + actual);
  }

  static Tensor operand(Op op, String argument, Tensor tensor) {
    if (!tensor.dtype().isOperand()) {
      throw new DTypeException(op.label() + ": " + argument + ": expected F32, F64 or BF16, found " + tensor + "; cast it first");
    }
    return tensor;
  }

  static Tensor computable(Op op, String argument, Tensor tensor) {
    if (!tensor.dtype().isComputable()) {
      throw new DTypeException(op.label() + ": " + argument + ": expected F32 or F64, found " + tensor
          + "; cast it first");
    }
    return tensor;
  }

  static void sameType(Op op, Tensor[] in) {
    for (int i = 1; i < in.length; i++) {
      if (in[i].dtype() != in[0].dtype()) {
        throw new DTypeException(op.label() + ": all inputs must have one type, input 0 is " + in[0] + ", input " + i
            + " is " + in[i]);
      }
    }
  }

  /** The first {@code count} inputs have one type, and the others what arithmetic on it runs in. */
  static void types(Op op, int count, Tensor[] in) {
    sameType(op, Arrays.copyOf(in, Math.min(count, in.length)));
    DType wide = in[0].dtype().wide();
    for (int i = count; i < in.length; i++) {
      if (in[i].dtype() != wide) {
        throw new DTypeException(op.label() + ": input " + i + ": expected " + wide + " beside " + in[0] + ", found " + in[i]);
      }
    }
  }

  static void sameShape(Op op, String argument, Shape expected, Tensor actual) {
    if (!actual.shape().equals(expected)) {
      throw wrong(op, argument, "shape " + expected, actual);
    }
  }

  static void rank(Op op, String argument, Tensor tensor, int rank) {
    if (tensor.rank() != rank) {
      throw wrong(op, argument, rank + " dimensions", tensor);
    }
  }

  static void type(Op op, String argument, Tensor tensor, DType... allowed) {
    if (!Arrays.asList(allowed).contains(tensor.dtype())) {
      throw new DTypeException(op.label() + ": " + argument + ": expected " + Arrays.toString(allowed) + ", found "
          + tensor);
    }
  }

  // --------------------------------------------------------------------------------------------------- families

  private static List<Spec> binary(Binary op, Tensor[] in) {
    arity(op, in, 2, 2);
    sameType(op, in);
    Shape shape = Shape.broadcast(op.label(), in[0].shape(), in[1].shape());
    boolean compares = op instanceof Binary.Equal || op instanceof Binary.Less || op instanceof Binary.LessEqual;
    if (!compares) {
      operand(op, "a", in[0]);
    }
    return List.of(new Spec(compares ? DType.BOOL : in[0].dtype(), shape));
  }

  private static List<Spec> reduction(Reduction op, Tensor[] in) {
    arity(op, in, 1, 1);
    Tensor x = operand(op, "x", in[0]);
    return List.of(switch (op) {
      case Reduction.Sum(var dims, var keep) -> new Spec(x.dtype(), reduced(x.shape(), dims, keep));
      case Reduction.Max(var dims, var keep) -> new Spec(x.dtype(), reduced(x.shape(), dims, keep));
      case Reduction.Min(var dims, var keep) -> new Spec(x.dtype(), reduced(x.shape(), dims, keep));
      case Reduction.Prod(var dim, var keep) -> new Spec(x.dtype(), reduced(x.shape(), List.of(dim), keep));
      case Reduction.ArgMax(var dim, var keep) -> new Spec(DType.I64, reduced(x.shape(), List.of(dim), keep));
      case Reduction.ArgMin(var dim, var keep) -> new Spec(DType.I64, reduced(x.shape(), List.of(dim), keep));
      case Reduction.LogSumExp(var dim, var keep) -> new Spec(x.dtype(), reduced(x.shape(), List.of(dim), keep));
      case Reduction.CumSum ignored -> like(x);
      case Reduction.Softmax ignored -> like(x);
      case Reduction.LogSoftmax ignored -> like(x);
    });
  }

  private static Shape reduced(Shape shape, List<Integer> dims, boolean keep) {
    Shape result = Shape.of();
    for (int i = 0; i < shape.rank(); i++) {
      if (!dims.contains(i)) {
        result = result.append(shape.size(i));
      } else if (keep) {
        result = result.append(1);
      }
    }
    return result;
  }

  private static List<Spec> layout(Layout op, Tensor[] in) {
    if (!(op instanceof Layout.Concat)) {
      arity(op, in, 1, 1);
    }
    return List.of(switch (op) {
      case Layout.Contiguous() -> like(in[0]);
      case Layout.Transfer ignored -> like(in[0]);
      case Layout.Cast(var dtype) -> new Spec(dtype, in[0].shape());
      case Layout.Concat(var dim) -> concat(op, dim, in);
      case Layout.Pad(var before, var after, var value) -> pad(op, before, after, in[0]);
      case Layout.Flip ignored -> like(in[0]);
      case Layout.Triangle ignored -> {
        if (in[0].rank() < 2) {
          throw wrong(op, "x", "at least 2 dimensions", in[0]);
        }
        yield like(in[0]);
      }
    });
  }

  private static Spec pad(Op op, List<Long> before, List<Long> after, Tensor x) {
    long[] sizes = x.shape().toArray();
    if (before.size() != sizes.length || after.size() != sizes.length) {
      throw wrong(op, "x", before.size() + " dimensions, padded by " + before + " and " + after, x);
    }
    for (int i = 0; i < sizes.length; i++) {
      if (before.get(i) < 0 || after.get(i) < 0) {
        throw new ShapeException(op.label() + ": padding " + before + " and " + after
            + " must not be negative; use slice to cut");
      }
      sizes[i] += before.get(i) + after.get(i);
    }
    return spec(x, sizes);
  }

  private static Spec concat(Op op, int dim, Tensor[] in) {
    sameType(op, in);
    long total = 0;
    for (int i = 0; i < in.length; i++) {
      Shape shape = in[i].shape();
      if (shape.rank() != in[0].rank() || !shape.with(dim, 0).equals(in[0].shape().with(dim, 0))) {
        throw wrong(op, "input " + i, "shape " + in[0].shape() + " but for dimension " + dim, in[i]);
      }
      total += shape.size(dim);
    }
    return new Spec(in[0].dtype(), in[0].shape().with(dim, total));
  }

  private static List<Spec> indexing(Indexing op, Tensor[] in) {
    return switch (op) {
      case Indexing.IndexSelect(var dim) -> {
        arity(op, in, 2, 2);
        index(op, in[1]);
        rank(op, "index", in[1], 1);
        yield List.of(new Spec(in[0].dtype(), in[0].shape().with(dim, in[1].size(0))));
      }
      case Indexing.IndexAdd(var dim) -> {
        arity(op, in, 3, 3);
        index(op, in[1]);
        rank(op, "index", in[1], 1);
        sameType(op, new Tensor[] {operand(op, "x", in[0]), in[2]});
        sameShape(op, "source", in[0].shape().with(dim, in[1].size(0)), in[2]);
        yield List.of(like(in[0]));
      }
      case Indexing.Gather(var dim) -> {
        arity(op, in, 2, 2);
        index(op, in[1]);
        fits(op, "index", in[1].shape(), in[0].shape(), dim);
        yield List.of(new Spec(in[0].dtype(), in[1].shape()));
      }
      case Indexing.ScatterAdd(var dim) -> {
        arity(op, in, 3, 3);
        index(op, in[1]);
        sameType(op, new Tensor[] {operand(op, "x", in[0]), in[2]});
        fits(op, "index", in[1].shape(), in[0].shape(), dim);
        sameShape(op, "source", in[1].shape(), in[2]);
        yield List.of(like(in[0]));
      }
      case Indexing.Sort ignored -> {
        arity(op, in, 1, 1);
        yield List.of(like(operand(op, "x", in[0])), new Spec(DType.I64, in[0].shape()));
      }
      case Indexing.Where() -> {
        arity(op, in, 3, 3);
        type(op, "condition", in[0], DType.BOOL);
        sameType(op, new Tensor[] {in[1], in[2]});
        Shape shape = Shape.broadcast(op.label(), in[1].shape(), in[2].shape());
        yield List.of(new Spec(in[1].dtype(), Shape.broadcast(op.label(), in[0].shape(), shape)));
      }
    };
  }

  private static void index(Op op, Tensor index) {
    type(op, "index", index, DType.I64, DType.I32);
  }

  /** Outside {@code dim}, no size of {@code inner} exceeds that of {@code outer}. */
  private static void fits(Op op, String argument, Shape inner, Shape outer, int dim) {
    boolean fits = inner.rank() == outer.rank();
    for (int i = 0; fits && i < inner.rank(); i++) {
      fits = i == dim || inner.size(i) <= outer.size(i);
    }
    if (!fits) {
      throw new ShapeException(op.label() + ": " + argument + ": shape " + inner + " must fit into " + outer
          + " in every dimension but " + dim);
    }
  }

  private static List<Spec> decompose(Decompose op, Tensor[] in) {
    if (op instanceof Decompose.QrGrad) {
      return qrGrad(op, in);
    }
    arity(op, in, 1, 1);
    Tensor x = computable(op, "x", in[0]);
    if (x.rank() < 2) {
      throw wrong(op, "x", "[..., M, N]", x);
    }
    long m = x.size(-2);
    long n = x.size(-1);
    long k = Math.min(m, n);
    Shape batch = x.shape().sub(0, x.rank() - 2);
    return switch (op) {
      case Decompose.Qr() -> {
        Stream<DType> types = x.dtype() == DType.F64 ? Stream.of(DType.F64) : Stream.of(x.dtype(), DType.F64);
        yield types.flatMap(type -> Stream.of(new Spec(type, batch.append(m, k)), new Spec(type, batch.append(k, n)))).toList();
      }
      case Decompose.QrGrad() -> throw new IllegalArgumentException(op.label());
      case Decompose.Svd() -> List.of(new Spec(x.dtype(), batch.append(m, k)), new Spec(x.dtype(), batch.append(k)),
          new Spec(x.dtype(), batch.append(n, k)));
      case Decompose.Cholesky() -> square(op, x);
      case Decompose.Inverse() -> square(op, x);
    };
  }

  private static List<Spec> qrGrad(Op op, Tensor[] in) {
    arity(op, in, 3, 4);
    type(op, "q", in[0], DType.F64);
    type(op, "r", in[1], DType.F64);
    Tensor q = in[0];
    if (q.rank() < 2 || q.size(-2) < q.size(-1)) {
      throw wrong(op, "q", "[..., M, N], M at least N", q);
    }
    Shape square = q.shape().sub(0, q.rank() - 2).append(q.size(-1), q.size(-1));
    sameShape(op, "r", square, in[1]);
    sameShape(op, "dq", q.shape(), computable(op, "dq", in[2]));
    if (in.length == 4) {
      sameShape(op, "dr", square, computable(op, "dr", in[3]));
    }
    return List.of(like(in[2]));
  }

  private static List<Spec> square(Op op, Tensor x) {
    if (x.size(-1) != x.size(-2)) {
      throw wrong(op, "x", "a square matrix", x);
    }
    return List.of(like(x));
  }

  private static List<Spec> inPlace(InPlace op, Tensor[] in) {
    switch (op) {
      case InPlace.CopyInto() -> {
        arity(op, in, 2, 2);
        if (!in[1].shape().broadcastsTo(in[0].shape())) {
          throw wrong(op, "source", "a shape that broadcasts to " + in[0].shape(), in[1]);
        }
        requireOwnElements(op, in[0]);
      }
      case InPlace.Fill ignored -> arity(op, in, 1, 1);
      case InPlace.ScaleInto ignored -> {
        operand(op, "target", in[0]);
        updates(op, in, 1, 1);
      }
      case InPlace.AddScaledInto ignored -> {
        operand(op, "target", in[0]);
        alike(op, in, 2, 2);
        requireOwnElements(op, in[0]);
      }
      case InPlace.ClipInto ignored -> {
        arity(op, in, 2, Integer.MAX_VALUE);
        type(op, "norm", in[0], DType.F64);
        rank(op, "norm", in[0], 0);
        for (int i = 1; i < in.length; i++) {
          computable(op, "input " + i, in[i]);
          type(op, "input " + i, in[i], in[1].dtype());
          if (!in[i].isContiguous()) {
            throw wrong(op, "input " + i, "a contiguous tensor", in[i]);
          }
        }
      }
      case InPlace.AdamUpdate ignored -> {
        computable(op, "target", in[0]);
        updates(op, in, 4, 4);
      }
      case InPlace.SgdUpdate ignored -> {
        computable(op, "target", in[0]);
        updates(op, in, 2, 3);
      }
    }
    return List.of();
  }

  /** Refuses a target that was expanded: several of its elements are one. */
  private static void requireOwnElements(Op op, Tensor target) {
    long[] strides = target.strides();
    for (int i = 0; i < strides.length; i++) {
      if (strides[i] == 0 && target.size(i) > 1) {
        throw wrong(op, "target", "a tensor that is not expanded; copy it first", target);
      }
    }
  }

  private static void updates(InPlace op, Tensor[] in, int min, int max) {
    alike(op, in, min, max);
    for (int i = 0; i < in.length; i++) {
      if (op.changes(i) && !in[i].isContiguous()) {
        throw wrong(op, i == 0 ? "target" : "state " + (i - 1), "a contiguous tensor", in[i]);
      }
    }
  }

  private static void alike(InPlace op, Tensor[] in, int min, int max) {
    arity(op, in, min, max);
    sameType(op, in);
    for (int i = 1; i < in.length; i++) {
      sameShape(op, "input " + i, in[0].shape(), in[i]);
    }
  }
}
