package org.deft4j.tensor.internal.cuda;

import java.util.Arrays;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.Strides;

/**
 * Copies between any two layouts of one shape, and fills of one: {@code layout.cu}. The target is walked in the order of its memory. Dense
 * copies are the card's; where both sides lie dense along one dimension, as many bytes at a time are moved as everything is a multiple of;
 * where each lies dense along a dimension of its own, squares of these two are turned.
 */
final class CudaCopies {
  static final String SOURCE = "layout";
  /** Sizes of both dimensions from which squares are turned; with fewer they would be mostly empty. */
  private static final int TURNED = 8;
  /** {@code TILE} of {@code layout.cu}. */
  private static final long TILE = 32;

  private final Launcher launcher;

  CudaCopies(Launcher launcher) {
    this.launcher = launcher;
  }

  /** Elements of a side: the address of the first, and steps for each dimension of the shape that is copied. */
  record Side(long address, long[] strides) {
    /** A whole tensor, which broadcasts to {@code shape}. */
    static Side of(Tensor tensor, Shape shape) {
      return new Side(tensor.address(), Strides.stretched(tensor, shape.rank()));
    }

    /** The same steps from an element that is {@code elements} further on. */
    Side after(long elements, int bytes) {
      return new Side(address + elements * bytes, strides);
    }

    boolean isAt(int multiple) {
      return address % multiple == 0;
    }
  }

  /** Copies elements of so many bytes. */
  void copy(Shape shape, Side from, Side to, int bytes) {
    long count = shape.elementCount();
    if (count == 0) {
      return;
    }
    Walk walk = inOrder(shape, to, from);
    if (isDense(walk, 0) && isDense(walk, 1)) {
      launcher.card().copy(from.address(), to.address(), count * bytes);
      return;
    }
    int last = walk.rank() - 1;
    int turned = unit(walk);
    if (walk.stride(1, last) == 1 && turned >= 0 && walk.size(turned) >= TURNED && walk.size(last) >= TURNED) {
      turn(walk, turned, from, to, bytes);
      return;
    }
    int unit = widest(walk, 2, bytes, from, to);
    launcher.each(count * bytes / unit, SOURCE, "copy_" + unit, from.address(), to.address(), count * bytes / unit,
        widened(walk, 2, unit / bytes));
  }

  /** Copies the whole of {@code source}, broadcast, to {@code target}, of one type. */
  void copy(Tensor source, Tensor target) {
    copy(target.shape(), Side.of(source, target.shape()), Side.of(target, target.shape()), target.dtype().bytes());
  }

  /** Sets all elements to {@code value}, as the type has it. */
  void fill(Shape shape, Side to, DType dtype, double value) {
    long count = shape.elementCount();
    if (count == 0) {
      return;
    }
    Walk walk = inOrder(shape, to);
    int bytes = dtype.bytes();
    int unit = widest(walk, 1, bytes, to);
    launcher.each(count * bytes / unit, SOURCE, "fill_" + unit, CudaFunctions.code(dtype), value, to.address(), count * bytes / unit,
        widened(walk, 1, unit / bytes));
  }

  /** Over the dimensions of {@code shape} in the order in which {@code to} has them in memory; the walk's last tensor is {@code to}. */
  static Walk inOrder(Shape shape, Side to, Side... from) {
    Integer[] order = new Integer[shape.rank()];
    Arrays.setAll(order, d -> d);
    Arrays.sort(order, (a, b) -> Long.compare(Math.abs(to.strides()[b]), Math.abs(to.strides()[a])));
    long[][] steps = new long[from.length + 1][order.length];
    Shape ordered = Shape.of();
    for (int d = 0; d < order.length; d++) {
      ordered = ordered.append(shape.size(order[d]));
      for (int t = 0; t < from.length; t++) {
        steps[t][d] = from[t].strides()[order[d]];
      }
      steps[from.length][d] = to.strides()[order[d]];
    }
    return Walk.over(ordered, steps);
  }

  /** Whether tensor {@code t}'s elements lie side by side in the order of the walk. */
  static boolean isDense(Walk walk, int t) {
    return walk.rank() == 0 || (walk.rank() == 1 && walk.stride(t, 0) == 1);
  }

  /** The dimension before the last along which the source lies dense, or -1. */
  private static int unit(Walk walk) {
    for (int d = walk.rank() - 2; d >= 0; d--) {
      if (walk.stride(0, d) == 1) {
        return d;
      }
    }
    return -1;
  }

  /** The most bytes of which all addresses and steps and the runs along the last dimension are multiples. */
  private static int widest(Walk walk, int tensors, int bytes, Side... sides) {
    int unit = Walk.WIDE;
    while (unit > bytes && !fits(walk, tensors, unit / bytes, unit, sides)) {
      unit /= 2;
    }
    return unit;
  }

  private static boolean fits(Walk walk, int tensors, int elements, int unit, Side... sides) {
    int last = walk.rank() - 1;
    boolean fits = last >= 0 && walk.size(last) % elements == 0 && Arrays.stream(sides).allMatch(side -> side.isAt(unit));
    for (int t = 0; t < tensors && fits; t++) {
      fits = walk.stride(t, last) == 1;
      for (int d = 0; d < last && fits; d++) {
        fits = walk.stride(t, d) % elements == 0;
      }
    }
    return fits;
  }

  /** The walk in units of so many elements. */
  private static Walk widened(Walk walk, int tensors, int elements) {
    int last = walk.rank() - 1;
    if (elements == 1) {
      return walk;
    }
    Shape shape = Shape.of();
    long[][] steps = new long[tensors][walk.rank()];
    for (int d = 0; d <= last; d++) {
      shape = shape.append(d == last ? walk.size(d) / elements : walk.size(d));
      for (int t = 0; t < tensors; t++) {
        steps[t][d] = d == last ? 1 : walk.stride(t, d) / elements;
      }
    }
    return Walk.over(shape, steps);
  }

  /** Matrices of the dimensions p, along which the source lies dense, and the last, along which the target does. */
  private void turn(Walk walk, int p, Side from, Side to, int bytes) {
    int last = walk.rank() - 1;
    Shape outer = Shape.of();
    long[][] steps = new long[2][walk.rank() - 2];
    for (int d = 0; d < last; d++) {
      if (d != p) {
        steps[0][outer.rank()] = walk.stride(0, d);
        steps[1][outer.rank()] = walk.stride(1, d);
        outer = outer.append(walk.size(d));
      }
    }
    long squares = outer.elementCount() * ((walk.size(p) + TILE - 1) / TILE) * ((walk.size(last) + TILE - 1) / TILE);
    launcher.rows(squares, Launcher.THREADS, SOURCE, "turn_" + bytes, from.address(), to.address(), walk.size(p), walk.size(last),
        walk.stride(0, last), walk.stride(1, p), outer.elementCount(), Walk.over(outer, steps));
  }
}
