package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Layout;

/** Copies that rearrange or convert. */
final class ScalarLayout {
  /** Elements below which a second thread costs more than it saves. */
  private static final long FILL_GRAIN = 1 << 16;

  private ScalarLayout() {}

  static void run(Layout op, Tensor[] in, Tensor[] out) {
    Tensor x = in[0];
    Tensor y = out[0];
    switch (op) {
      case Layout.Contiguous() -> StridedCopy.copy(x, y);
      case Layout.Transfer ignored -> throw new IllegalStateException(op.label() + ": between devices, not on one");
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

  /** Sets every element of a tensor of any strides: one by the rules of its type, the others as copies of its bits. */
  static void fill(Tensor target, double value) {
    if (target.elementCount() == 0) {
      return;
    }
    Access elements = Access.of(target);
    elements.set(0, value);
    if (!target.isContiguous()) {
      long[] strides = target.strides();
      Shape shape = target.shape();
      for (long i = 1; i < shape.elementCount(); i++) {
        elements.set(Positions.offset(i, shape, strides), value);
      }
      return;
    }
    MemorySegment bytes = target.bytes();
    int width = target.dtype().bytes();
    Parallel.forRange(target.elementCount(), FILL_GRAIN, (from, to) -> repeat(bytes, width, Math.max(1, from), to));
  }

  /** Copies the first element's bits to the elements {@code from} to {@code to}. */
  private static void repeat(MemorySegment bytes, int width, long from, long to) {
    switch (width) {
      case 8 -> {
        long bits = bytes.getAtIndex(ValueLayout.JAVA_LONG, 0);
        for (long i = from; i < to; i++) {
          bytes.setAtIndex(ValueLayout.JAVA_LONG, i, bits);
        }
      }
      case 4 -> {
        int bits = bytes.getAtIndex(ValueLayout.JAVA_INT, 0);
        for (long i = from; i < to; i++) {
          bytes.setAtIndex(ValueLayout.JAVA_INT, i, bits);
        }
      }
      case 2 -> {
        short bits = bytes.getAtIndex(ValueLayout.JAVA_SHORT, 0);
        for (long i = from; i < to; i++) {
          bytes.setAtIndex(ValueLayout.JAVA_SHORT, i, bits);
        }
      }
      default -> bytes.asSlice(from, to - from).fill(bytes.get(ValueLayout.JAVA_BYTE, 0));
    }
  }
}
