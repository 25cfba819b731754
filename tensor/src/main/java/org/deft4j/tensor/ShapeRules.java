package org.deft4j.tensor;

import java.util.Arrays;
import java.util.List;
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
        yield List.of(like(computable(op, "x", in[0])));
      }
      case Binary binary -> binary(binary, in);
      case Reduction reduction -> reduction(reduction, in);
      case View ignored -> throw new IllegalStateException("views are made, not computed");
      case Layout layout -> layout(layout, in);
      case Indexing indexing -> indexing(indexing, in);
      case Contraction contraction -> ContractionShapes.outputs(contraction, in);
      case Norm norm -> norm(norm, in);
      case Spatial spatial -> spatial(spatial, in);
      case Fused fused -> fused(fused, in);
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
      computable(op, "a", in[0]);
    }
    return List.of(new Spec(compares ? DType.BOOL : in[0].dtype(), shape));
  }

  private static List<Spec> reduction(Reduction op, Tensor[] in) {
    arity(op, in, 1, 1);
    Tensor x = computable(op, "x", in[0]);
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
    return List.of(switch (op) {
      case Layout.Contiguous() -> like(in[0]);
      case Layout.Cast(var dtype) -> new Spec(dtype, in[0].shape());
      case Layout.Concat(var dim) -> concat(op, dim, in);
      case Layout.Pad(var before, var after, var value) -> {
        long[] sizes = in[0].shape().toArray();
        for (int i = 0; i < sizes.length; i++) {
          sizes[i] += before.get(i) + after.get(i);
        }
        yield spec(in[0], sizes);
      }
      case Layout.Flip ignored -> like(in[0]);
      case Layout.Triangle ignored -> {
        if (in[0].rank() < 2) {
          throw wrong(op, "x", "at least 2 dimensions", in[0]);
        }
        yield like(in[0]);
      }
    });
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
        sameType(op, new Tensor[] {computable(op, "x", in[0]), in[2]});
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
        sameType(op, new Tensor[] {computable(op, "x", in[0]), in[2]});
        fits(op, "index", in[1].shape(), in[0].shape(), dim);
        sameShape(op, "source", in[1].shape(), in[2]);
        yield List.of(like(in[0]));
      }
      case Indexing.Sort ignored -> {
        arity(op, in, 1, 1);
        yield List.of(like(computable(op, "x", in[0])), new Spec(DType.I64, in[0].shape()));
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

  private static List<Spec> norm(Norm op, Tensor[] in) {
    int xAt = op instanceof Norm.GroupNormGrad || op instanceof Norm.LayerNormGrad || op instanceof Norm.RmsNormGrad
        ? 1 : 0;
    Tensor x = computable(op, "x", in[xAt]);
    sameType(op, in);
    return switch (op) {
      case Norm.GroupNorm(var groups, var eps) -> {
        arity(op, in, 3, 3);
        if (x.rank() < 2 || groups < 1 || x.size(1) % groups != 0) {
          throw wrong(op, "x", "[N, C, ...] with C a multiple of " + groups + " groups", x);
        }
        sameShape(op, "weight", Shape.of(x.size(1)), in[1]);
        sameShape(op, "bias", Shape.of(x.size(1)), in[2]);
        Spec statistic = spec(x, x.size(0), groups);
        yield List.of(like(x), statistic, statistic);
      }
      case Norm.GroupNormGrad ignored -> {
        arity(op, in, 5, 5);
        sameShape(op, "dy", x.shape(), in[0]);
        yield List.of(like(x), like(in[4]), like(in[4]));
      }
      case Norm.LayerNorm(var dims, var eps) -> {
        arity(op, in, 1, 3);
        if (dims < 1 || dims > x.rank() || in.length == 2) {
          throw wrong(op, "x", "at least " + dims + " dimensions, and weight and bias or neither", x);
        }
        Shape inner = x.shape().sub(x.rank() - dims, x.rank());
        for (int i = 1; i < in.length; i++) {
          sameShape(op, i == 1 ? "weight" : "bias", inner, in[i]);
        }
        Spec statistic = new Spec(x.dtype(), x.shape().sub(0, x.rank() - dims));
        yield List.of(like(x), statistic, statistic);
      }
      case Norm.LayerNormGrad ignored -> {
        arity(op, in, 4, 5);
        sameShape(op, "dy", x.shape(), in[0]);
        yield in.length == 4 ? List.of(like(x)) : List.of(like(x), like(in[4]), like(in[4]));
      }
      case Norm.RmsNorm ignored -> {
        arity(op, in, 1, 2);
        if (in.length == 2) {
          sameShape(op, "weight", Shape.of(x.size(-1)), in[1]);
        }
        yield List.of(like(x), new Spec(x.dtype(), x.shape().sub(0, x.rank() - 1)));
      }
      case Norm.RmsNormGrad() -> {
        arity(op, in, 3, 4);
        sameShape(op, "dy", x.shape(), in[0]);
        yield in.length == 3 ? List.of(like(x)) : List.of(like(x), like(in[3]));
      }
    };
  }

  private static List<Spec> spatial(Spatial op, Tensor[] in) {
    Tensor x = computable(op, "x", in[0]);
    rank(op, "x", x, 4);
    long n = x.size(0);
    long c = x.size(1);
    return switch (op) {
      case Spatial.UpsampleNearest(var h, var w) -> List.of(spec(x, n, c, h, w));
      case Spatial.UpsampleNearestGrad(var h, var w) -> List.of(spec(x, n, c, h, w));
      case Spatial.UpsampleBilinear(var h, var w) -> List.of(spec(x, n, c, h, w));
      case Spatial.UpsampleBilinearGrad(var h, var w) -> List.of(spec(x, n, c, h, w));
      case Spatial.AvgPool2d(var window, var count) ->
          List.of(spec(x, n, c, window.out(x.size(2)), window.out(x.size(3))));
      case Spatial.AvgPool2dGrad(var window, var count, var h, var w) -> List.of(spec(x, n, c, h, w));
      case Spatial.MaxPool2d(var window) -> {
        Spec values = spec(x, n, c, window.out(x.size(2)), window.out(x.size(3)));
        yield List.of(values, new Spec(DType.I64, values.shape()));
      }
      case Spatial.MaxPool2dGrad(var h, var w) -> List.of(spec(x, n, c, h, w));
    };
  }

  private static List<Spec> fused(Fused op, Tensor[] in) {
    sameType(op, in);
    computable(op, "x", in[0]);
    return List.of(switch (op) {
      case Fused.Geglu() -> {
        arity(op, in, 1, 1);
        if (in[0].rank() < 1 || in[0].size(-1) % 2 != 0) {
          throw wrong(op, "x", "an even last dimension", in[0]);
        }
        yield new Spec(in[0].dtype(), in[0].shape().with(-1, in[0].size(-1) / 2));
      }
      case Fused.GegluGrad() -> {
        arity(op, in, 2, 2);
        sameShape(op, "dy", in[1].shape().with(-1, in[1].size(-1) / 2), in[0]);
        yield like(in[1]);
      }
      case Fused.ActivationGrad ignored -> {
        arity(op, in, 2, 2);
        sameShape(op, "dy", in[1].shape(), in[0]);
        yield like(in[1]);
      }
      case Fused.SoftmaxGrad ignored -> {
        arity(op, in, 2, 2);
        sameShape(op, "dy", in[1].shape(), in[0]);
        yield like(in[1]);
      }
    });
  }

  private static List<Spec> decompose(Decompose op, Tensor[] in) {
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
      case Decompose.Qr() -> List.of(new Spec(x.dtype(), batch.append(m, k)), new Spec(x.dtype(), batch.append(k, n)));
      case Decompose.Svd() -> List.of(new Spec(x.dtype(), batch.append(m, k)), new Spec(x.dtype(), batch.append(k)),
          new Spec(x.dtype(), batch.append(n, k)));
      case Decompose.Cholesky() -> square(op, x);
      case Decompose.Inverse() -> square(op, x);
    };
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
        if (!Shape.broadcast(op.label(), in[0].shape(), in[1].shape()).equals(in[0].shape())) {
          throw wrong(op, "source", "a shape that broadcasts to " + in[0].shape(), in[1]);
        }
      }
      case InPlace.Fill ignored -> arity(op, in, 1, 1);
      case InPlace.ScaleInto ignored -> {
        arity(op, in, 1, 1);
        computable(op, "target", in[0]);
      }
      case InPlace.AddScaledInto ignored -> updates(op, in, 2, 2);
      case InPlace.AdamUpdate ignored -> updates(op, in, 4, 4);
      case InPlace.SgdUpdate ignored -> updates(op, in, 2, 3);
    }
    return List.of();
  }

  private static void updates(Op op, Tensor[] in, int min, int max) {
    arity(op, in, min, max);
    computable(op, "target", in[0]);
    sameType(op, in);
    for (int i = 1; i < in.length; i++) {
      sameShape(op, "input " + i, in[0].shape(), in[i]);
    }
  }

  // ------------------------------------------------------------------------------------------------------- views

  static Tensor view(View op, Tensor x) {
    long[] strides = x.strides();
    return switch (op) {
      case View.Reshape(var shape) -> {
        if (shape.elementCount() != x.elementCount() || !x.isContiguous()) {
          throw wrong(op, "x", "a contiguous tensor of " + shape.elementCount() + " elements", x);
        }
        yield x.view(shape, shape.contiguousStrides(), x.offset());
      }
      case View.Permute(var dims) -> {
        if (dims.size() != x.rank() || dims.stream().distinct().count() != x.rank()) {
          throw new ShapeException("permute: " + dims + " must name each dimension of " + x + " once");
        }
        yield x.view(Shape.of(dims.stream().mapToLong(x::size).toArray()),
            dims.stream().mapToLong(d -> strides[d]).toArray(), x.offset());
      }
      case View.Slice(var dim, var start, var end, var step) -> {
        if (start < 0 || end > x.size(dim) || start > end || step < 1) {
          throw new ShapeException("slice: " + start + " to " + end + " by " + step + " of dimension " + dim
              + " does not lie in " + x);
        }
        long offset = x.offset() + start * strides[dim];
        strides[dim] *= step;
        yield x.view(x.shape().with(dim, (end - start + step - 1) / step), strides, offset);
      }
      case View.Expand(var shape) -> expand(op, shape, x);
    };
  }

  private static Tensor expand(Op op, Shape shape, Tensor x) {
    if (!Shape.broadcast(op.label(), shape, x.shape()).equals(shape)) {
      throw wrong(op, "x", "a shape that broadcasts to " + shape, x);
    }
    long[] from = x.strides();
    long[] strides = new long[shape.rank()];
    int lead = shape.rank() - x.rank();
    for (int i = lead; i < strides.length; i++) {
      strides[i] = x.size(i - lead) == 1 && shape.size(i) != 1 ? 0 : from[i - lead];
    }
    return x.view(shape, strides, x.offset());
  }

  /** The shape of a reshape: one size may be -1. */
  static Shape resolve(Shape from, long[] sizes) {
    long known = 1;
    int open = -1;
    for (int i = 0; i < sizes.length; i++) {
      if (sizes[i] != -1) {
        known *= sizes[i];
      } else if (open >= 0) {
        throw new ShapeException("reshape: only one size of " + Arrays.toString(sizes) + " may be -1");
      } else {
        open = i;
      }
    }
    long[] resolved = sizes.clone();
    if (open >= 0) {
      resolved[open] = known == 0 ? 0 : from.elementCount() / known;
    }
    Shape shape = Shape.of(resolved);
    if (shape.elementCount() != from.elementCount()) {
      throw new ShapeException("reshape: " + Arrays.toString(sizes) + " does not hold the " + from.elementCount()
          + " elements of shape " + from);
    }
    return shape;
  }
}
