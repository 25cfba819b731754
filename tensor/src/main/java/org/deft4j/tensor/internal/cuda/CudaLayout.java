package org.deft4j.tensor.internal.cuda;

import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.CudaCopies.Side;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Layout;

/** {@link Layout}, and the {@link InPlace} operations that copy: {@code layout.cu}. */
final class CudaLayout {
  private final Launcher launcher;
  private final CudaCopies copies;
  private final Faults faults;

  CudaLayout(Launcher launcher, CudaCopies copies, Faults faults) {
    this.launcher = launcher;
    this.copies = copies;
    this.faults = faults;
  }

  void run(Layout op, Tensor[] in, Tensor y) {
    Tensor x = in[0];
    switch (op) {
      case Layout.Contiguous() -> copies.copy(x, y);
      case Layout.Transfer ignored -> throw new IllegalStateException(op.label() + ": between devices, not on one");
      case Layout.Cast ignored -> convert(x, y);
      case Layout.Concat(var dim) -> concat(dim, in, y);
      case Layout.Pad(var before, var after, var value) -> pad(before, after, value, x, y);
      case Layout.Flip(var dims) -> flip(dims, x, y);
      case Layout.Triangle(var upper, var diagonal) -> launcher.each(y.elementCount(), CudaCopies.SOURCE, "triangle_" + y.dtype().bytes(),
          upper, diagonal, x, y, y.elementCount(), y.size(-2), y.size(-1), Walk.over(y.shape(), x));
    }
  }

  /** {@code target = source}, broadcast, as the target's type. */
  void convert(Tensor source, Tensor target) {
    DType from = source.dtype();
    DType to = target.dtype();
    if (from == to) {
      copies.copy(source, target);
      return;
    }
    Side x = Side.of(source, target.shape());
    Side y = Side.of(target, target.shape());
    Walk walk = CudaCopies.inOrder(target.shape(), y, x);
    boolean dense = CudaCopies.isDense(walk, 0) && CudaCopies.isDense(walk, 1) && x.isAt(Walk.WIDE) && y.isAt(Walk.WIDE);
    if (dense && isFrequent(from, to)) {
      String kernel = Launcher.variant(Launcher.variant("cast", from), to);
      launcher.each((target.elementCount() + 3) / 4, CudaCopies.SOURCE, kernel, source, target, target.elementCount());
    } else {
      launcher.each(target.elementCount(), CudaCopies.SOURCE, "cast", CudaFunctions.code(from), CudaFunctions.code(to), source, target,
          target.elementCount(), walk, faults.address());
    }
  }

  /** The pairs for which there is a kernel: those of weights and of pictures. */
  private static boolean isFrequent(DType from, DType to) {
    return switch (from) {
      case F32 -> to == DType.BF16 || to == DType.F16 || to == DType.F64;
      case F64, U8 -> to == DType.F32;
      case BF16 -> to == DType.F32 || to == DType.F16;
      case F16 -> to == DType.F32 || to == DType.BF16;
      default -> false;
    };
  }

  private void concat(int dim, Tensor[] in, Tensor y) {
    Side part = new Side(y.address(), y.strides());
    int bytes = y.dtype().bytes();
    for (Tensor x : in) {
      copies.copy(x.shape(), new Side(x.address(), x.strides()), part, bytes);
      part = part.after(x.size(dim) * y.strides()[dim], bytes);
    }
  }

  /** The copy, and around it, for each dimension, what lies before and after along that one, within along those before it. */
  private void pad(List<Long> before, List<Long> after, double value, Tensor x, Tensor y) {
    long[] strides = y.strides();
    int bytes = y.dtype().bytes();
    Side start = new Side(y.address(), strides);
    Shape shape = y.shape();
    for (int d = 0; d < strides.length; d++) {
      copies.fill(shape.with(d, before.get(d)), start, y.dtype(), value);
      long end = before.get(d) + x.size(d);
      copies.fill(shape.with(d, after.get(d)), start.after(end * strides[d], bytes), y.dtype(), value);
      start = start.after(before.get(d) * strides[d], bytes);
      shape = shape.with(d, x.size(d));
    }
    copies.copy(shape, new Side(x.address(), x.strides()), start, bytes);
  }

  /** Starts at the last element of each flipped dimension and steps backwards. */
  private void flip(List<Integer> dims, Tensor x, Tensor y) {
    long[] strides = x.strides();
    long last = 0;
    for (int d : dims) {
      last += (x.size(d) - 1) * strides[d];
      strides[d] = -strides[d];
    }
    copies.copy(y.shape(), new Side(x.address(), strides).after(last, x.dtype().bytes()), Side.of(y, y.shape()), y.dtype().bytes());
  }

  /** Sets all elements of a tensor of any strides. */
  void fill(Tensor target, double value) {
    copies.fill(target.shape(), Side.of(target, target.shape()), target.dtype(), value);
  }
}
