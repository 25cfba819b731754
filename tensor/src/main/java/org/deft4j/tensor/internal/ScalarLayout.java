package org.deft4j.tensor.internal;

import java.util.List;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Layout;

/** Copies that rearrange or convert. */
final class ScalarLayout {
  private ScalarLayout() {}

  static void run(Layout op, Tensor[] in, Tensor[] out) {
    Tensor x = in[0];
    Tensor y = out[0];
    switch (op) {
      case Layout.Contiguous() -> StridedCopy.copy(x, y);
      case Layout.Cast ignored -> StridedCopy.convert(x, y);
      case Layout.Concat(var dim) -> concat(dim, in, y);
      case Layout.Pad(var before, var after, var value) -> pad(before, value, x, y);
      case Layout.Flip(var dims) -> flip(dims, x, y);
      case Layout.Triangle(var upper, var diagonal) -> triangle(upper, diagonal, x, y);
    }
  }

  private static void concat(int dim, Tensor[] in, Tensor y) {
    long[] strides = y.strides();
    long offset = y.offset();
    for (Tensor x : in) {
      StridedCopy.copy(x, y, x.shape(), strides, offset);
      offset += x.size(dim) * strides[dim];
    }
  }

  private static void pad(List<Long> before, double value, Tensor x, Tensor y) {
    fill(y, value);
    long[] strides = y.strides();
    long offset = y.offset();
    for (int d = 0; d < strides.length; d++) {
      offset += before.get(d) * strides[d];
    }
    StridedCopy.copy(x, y, x.shape(), strides, offset);
  }

  /** Starts at the last element of each flipped dimension and steps backwards. */
  private static void flip(List<Integer> dims, Tensor x, Tensor y) {
    long[] strides = x.strides();
    long offset = x.offset();
    for (int d : dims) {
      offset += (x.size(d) - 1) * strides[d];
      strides[d] = -strides[d];
    }
    StridedCopy.copy(x, strides, offset, y, y.shape(), y.strides(), y.offset());
  }

  private static void triangle(boolean upper, long diagonal, Tensor x, Tensor y) {
    StridedCopy.copy(x, y);
    Access elements = Access.of(y);
    long rows = x.size(-2);
    long columns = x.size(-1);
    for (long i = 0; i < y.elementCount(); i++) {
      long column = i % columns;
      long row = i / columns % rows;
      boolean kept = upper ? column - row >= diagonal : column - row <= diagonal;
      if (!kept) {
        elements.set(i, 0);
      }
    }
  }

  /** Sets every element of a tensor of any strides. */
  static void fill(Tensor target, double value) {
    Access elements = Access.of(target);
    if (target.isContiguous()) {
      Parallel.forRange(target.elementCount(), 1 << 15, (from, to) -> {
        for (long i = from; i < to; i++) {
          elements.set(i, value);
        }
      });
      return;
    }
    long[] strides = target.strides();
    Shape shape = target.shape();
    for (long i = 0; i < shape.elementCount(); i++) {
      elements.set(Positions.offset(i, shape, strides), value);
    }
  }
}
