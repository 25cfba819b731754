package org.deft4j.tensor;

import java.util.Arrays;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.View;

import static org.deft4j.tensor.ShapeRules.wrong;

/** Makes views: another shape, strides and offset over the same memory. */
final class ViewShapes {
  private ViewShapes() {}

  static Tensor view(View op, Tensor x) {
    long[] strides = x.strides();
    return switch (op) {
      case View.Reshape(var shape) -> {
        long[] reshaped = shape.elementCount() == x.elementCount() ? reshaped(x, shape) : null;
        if (reshaped == null) {
          throw wrong(op, "x", shape.elementCount() + " elements that " + shape + " can view; copy it first", x);
        }
        yield x.view(shape, reshaped, x.offset());
      }
      case View.Permute(var dims) -> {
        if (dims.size() != x.rank() || dims.stream().distinct().count() != x.rank()) {
          throw new ShapeException("permute: " + dims + " must name each dimension of " + x + " once");
        }
        yield x.view(Shape.of(dims.stream().mapToLong(x::size).toArray()),
            dims.stream().mapToLong(d -> strides[d]).toArray(), x.offset());
      }
      case View.Slice(var dim, var start, var end, var step) -> {
        if (dim < 0 || dim >= x.rank() || start < 0 || end > x.size(dim) || start > end || step < 1) {
          throw new ShapeException("slice: " + start + " to " + end + " by " + step + " of dimension " + dim
              + " does not lie in " + x);
        }
        long offset = x.offset() + (start == end ? 0 : start * strides[dim]);
        strides[dim] *= step;
        yield x.view(x.shape().with(dim, (end - start + step - 1) / step), strides, offset);
      }
      case View.Expand(var shape) -> expand(op, shape, x);
    };
  }

  /**
   * Strides under which {@code shape}, of as many elements, sees those of {@code x} in row-major order, or null where a copy
   * is needed. Neighbouring dimensions of x that are stepped through evenly form a run; each size must divide what is
   * left of its run.
   */
  static long[] reshaped(Tensor x, Shape shape) {
    if (x.elementCount() == 0) {
      return shape.contiguousStrides();
    }
    long[] from = x.strides();
    long[] strides = new long[shape.rank()];
    int next = x.rank() - 1;
    long left = 1;
    long step = 1;
    for (int i = strides.length - 1; i >= 0; i--) {
      if (left == 1 && shape.size(i) != 1) {
        while (x.size(next) == 1) {
          next--;
        }
        step = from[next];
        for (; next >= 0 && (x.size(next) == 1 || from[next] == step * left); next--) {
          left *= x.size(next);
        }
      }
      if (left % shape.size(i) != 0) {
        return null;
      }
      strides[i] = step;
      step *= shape.size(i);
      left /= shape.size(i);
    }
    return strides;
  }

  private static Tensor expand(Op op, Shape shape, Tensor x) {
    if (!x.shape().broadcastsTo(shape)) {
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
