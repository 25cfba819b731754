package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.internal.StridedGradient.Part;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/**
 * Convolutions in float32 as products ({@link Product}) with the matrix of {@link Patches}, whose panels are made as they
 * are needed:
 *
 * <pre>
 *   forward           y [O, positions of y]  =  w [O, (C, taps)]         x patches [(C, taps), positions of y]
 *   input's gradient  dx [C, positions of x] =  w [(O, taps), C]^T      dy patches [(O, taps), positions of x]
 *   weights' gradient dw [O, (C, taps)]      = dy [O, positions of y]    x patches [(C, taps), positions of y]^T
 * </pre>
 *
 * <p>With a stride s, the input's gradient falls apart into s x s products: the positions of x with the same remainder meet the same
 * taps of the kernel, and neighbours among them meet neighbours in dy ({@link StridedGradient} computes them together).
 *
 * <p>Forward and for the input's gradient, most kernels of 3 x 3 without stride go another way: {@link VectorWinograd}.
 */
final class VectorConvolution {
  /** Below so many multiplications the plain loops are as fast, and do not wait for the compiler. */
  private static final long SMALL = 1 << 11;

  private VectorConvolution() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Contraction op, Tensor[] in, Tensor[] out) {
    Tensor result = out[0];
    long depth = switch (op) {
      case Contraction.Conv2d ignored -> in[1].elementCount() / Math.max(1, in[1].size(0));
      case Contraction.Conv2dInputGrad ignored -> in[1].elementCount() / Math.max(1, in[1].size(1));
      default -> in[0].elementCount() / Math.max(1, in[0].size(1));
    };
    if (result.dtype() != DType.F32 || result.elementCount() * depth < SMALL) {
      return false;
    }
    compute(op, in, result);
    return true;
  }

  /** Computes {@code op}, of any size. */
  static void compute(Contraction op, Tensor[] in, Tensor result) {
    switch (op) {
      case Contraction.Conv2d(var spec) -> forward(spec, in, result);
      case Contraction.Conv2dInputGrad(var spec, var ignored) -> inputGrad(spec, in[0], in[1], result);
      case Contraction.Conv2dWeightGrad(var spec, var ignored) -> weightGrad(spec, in[0], in[1], result);
      default -> throw new IllegalArgumentException(op.label());
    }
  }

  private static void forward(ConvSpec s, Tensor[] in, Tensor y) {
    Tensor w = in[1];
    long filters = w.size(0) / s.groups();
    long depth = w.size(1) * w.size(2) * w.size(3);
    Winograd form = Winograd.of(s, w, in[0], y);
    if (form != null) {
      Panels lines = MatrixPanels.of(w.memory(), w.dtype(), w.offset(), filters, depth, 1);
      Product.Bias bias = in.length < 3 ? null : new Product.Bias(in[2].memory(), Float.BYTES * in[2].offset(), Float.BYTES, true);
      VectorWinograd.run(form, in[0], lines, false, s.top(), s.left(), bias, y);
      return;
    }
    forGroups(s.groups(), y.elementCount() * depth, group -> {
      Panels left = MatrixPanels.of(w.memory(), w.dtype(), w.offset() + group * filters * depth, filters, depth, 1);
      Panels right = pointwise(s, w) ? pictures(in[0], group * w.size(1))
          : patches(s, in[0], group * w.size(1), w, y).columns();
      Product.Bias bias = in.length < 3 ? null : new Product.Bias(in[2].memory(),
          Float.BYTES * (in[2].offset() + group * filters), Float.BYTES, true);
      Target target = Pictures.of(y, group * filters);
      Product.run(left, right, filters, y.size(0) * y.size(2) * y.size(3), depth, target, bias);
    });
  }

  /** The patches of {@code x}, from one channel on, that the kernel of {@code w} meets at the positions of {@code y}. */
  private static Patches patches(ConvSpec s, Tensor x, long channel, Tensor w, Tensor y) {
    long height = x.size(2);
    long width = x.size(3);
    long offset = x.offset() + channel * height * width;
    long imageStep = x.size(1) * height * width;
    if (pointwise(s, w)) {
      // One row as long as the picture, so that runs are long.
      return new Patches(x.memory(), offset, imageStep, 1, height * width, 1, height * width, 1, 1, new long[1], new long[1]);
    }
    int kw = (int) w.size(3);
    int taps = (int) w.size(2) * kw;
    long[] down = IntStream.range(0, taps).mapToLong(t -> (long) t / kw * s.dilationH() - s.top()).toArray();
    long[] right = IntStream.range(0, taps).mapToLong(t -> (long) t % kw * s.dilationW() - s.left()).toArray();
    return new Patches(x.memory(), offset, imageStep, height, width, y.size(2), y.size(3), s.strideH(), s.strideW(), down,
        right);
  }

  /** Whether each position meets just itself: then pictures are matrices already. */
  private static boolean pointwise(ConvSpec s, Tensor w) {
    return w.size(2) * w.size(3) == 1 && s.strideH() == 1 && s.strideW() == 1 && s.top() == 0 && s.bottom() == 0
        && s.left() == 0 && s.right() == 0;
  }

  /** The positions of pictures [N, C, H, W] as lines, which run along the channels from one on. */
  private static Panels pictures(Tensor x, long channel) {
    long plane = x.size(2) * x.size(3);
    return new MatrixPanels(x.memory(), x.dtype(), x.offset() + channel * plane, new long[] {x.size(0), plane},
        new long[] {x.size(1) * plane, 1}, plane);
  }

  private static void inputGrad(ConvSpec s, Tensor dy, Tensor w, Tensor dx) {
    int size = (int) (w.size(2) * w.size(3));
    long channels = w.size(1);
    long filters = w.size(0) / s.groups();
    Winograd form = Winograd.of(s, w, dy, dx);
    if (form != null) {
      Panels lines = new FilterPanels(w.memory(), w.dtype(), w.offset(), channels, size);
      VectorWinograd.run(form, dy, lines, true, 2 - s.top(), 2 - s.left(), null, dx);
      return;
    }
    forGroups(s.groups(), dx.elementCount() * filters * Math.ceilDiv(size, s.strideH() * s.strideW()), group -> {
      List<Part> parts = new ArrayList<>();
      for (int h = 0; h < Math.min(s.strideH(), dx.size(2)); h++) {
        for (int v = 0; v < Math.min(s.strideW(), dx.size(3)); v++) {
          parts.add(part(s, dy, w, dx, group, h, v));
        }
      }
      long first = w.offset() + group * filters * channels * size;
      if (StridedGradient.pays(parts, channels, size)) {
        StridedGradient.run(new FilterPanels(w.memory(), w.dtype(), first, channels, size), parts, channels, filters);
        return;
      }
      for (Part part : parts) {
        Panels left = size == 1 ? MatrixPanels.of(w.memory(), w.dtype(), first, channels, 1, channels)
            : new FilterPanels(w.memory(), w.dtype(), first, channels, size, part.taps());
        Product.run(left, part.patches(), channels, part.count(), filters * part.taps().length, part.target(), null);
      }
    });
  }

  /** The gradient of a group at rows h, h + strideH, ... and columns v, v + strideW, .... */
  private static Part part(ConvSpec s, Tensor dy, Tensor w, Tensor dx, long group, int h, int v) {
    int kw = (int) w.size(3);
    int[] taps = IntStream.range(0, (int) w.size(2) * kw)
        .filter(t -> (h + s.top() - t / kw * s.dilationH()) % s.strideH() == 0)
        .filter(t -> (v + s.left() - t % kw * s.dilationW()) % s.strideW() == 0).toArray();
    long[] below = IntStream.of(taps).mapToLong(t -> (h + s.top() - t / kw * s.dilationH()) / s.strideH()).toArray();
    long[] beside = IntStream.of(taps).mapToLong(t -> (v + s.left() - t % kw * s.dilationW()) / s.strideW()).toArray();
    long gridHeight = (dx.size(2) - h + s.strideH() - 1) / s.strideH();
    long gridWidth = (dx.size(3) - v + s.strideW() - 1) / s.strideW();
    long filters = w.size(0) / s.groups();
    long plane = dy.size(2) * dy.size(3);
    Panels patches = pointwise(s, w) ? pictures(dy, group * filters)
        : new Patches(dy.memory(), dy.offset() + group * filters * plane, dy.size(1) * plane, dy.size(2), dy.size(3), gridHeight, gridWidth,
            1, 1, below, beside).columns();
    return new Part(taps, patches, dx.size(0) * gridHeight * gridWidth,
        Pictures.of(dx, group * w.size(1)).every(s.strideH(), s.strideW(), h, v));
  }

  private static void weightGrad(ConvSpec s, Tensor dy, Tensor x, Tensor dw) {
    long filters = dw.size(0) / s.groups();
    long width = dw.size(1) * dw.size(2) * dw.size(3);
    long plane = dy.size(2) * dy.size(3);
    long positions = dy.size(0) * plane;
    forGroups(s.groups(), dw.elementCount() * positions, group -> {
      // The positions of dy themselves, as a kernel of one tap meets them.
      Panels left = new Patches(dy.memory(), dy.offset() + group * filters * plane, dy.size(1) * plane, 1, plane, 1, plane, 1,
          1, new long[1], new long[1]).rows();
      Panels right = patches(s, x, group * dw.size(1), dw, dy).rows();
      Target target = new Target.Matrix(dw.memory(), Float.BYTES * (dw.offset() + group * filters * width),
          Float.BYTES * width, Float.BYTES);
      Product.run(left, right, filters, width, positions, target, null);
    });
  }

  /** Many groups are dealt out to the threads; few are computed one after another by all. */
  private static void forGroups(int groups, long work, LongConsumer body) {
    Parallel.Range all = (from, to) -> {
      for (long group = from; group < to; group++) {
        body.accept(group);
      }
    };
    if (groups >= 4L * Threads.count() || work / groups < VectorProducts.LARGE) {
      Parallel.forRange(groups, Math.max(1, groups / (8L * Threads.count())), all);
    } else {
      all.run(0, groups);
    }
  }

  /**
   * Pictures [N, C, H, W] as the result of a product: a row for each channel, a column for each position of all pictures, or of
   * every few.
   *
   * @param start the byte of the first row's first element
   * @param strideH rows from position to position
   * @param strideW columns from position to position
   */
  private record Pictures(MemorySegment memory, long start, long channels, long height, long width, int strideH, int strideW,
      long gridHeight, long gridWidth) implements Target {

    static Pictures of(Tensor y, long channel) {
      long start = Float.BYTES * (y.offset() + channel * y.size(2) * y.size(3));
      return new Pictures(y.memory(), start, y.size(1), y.size(2), y.size(3), 1, 1, y.size(2), y.size(3));
    }

    Pictures every(int rows, int columns, int h, int v) {
      return new Pictures(memory, start + Float.BYTES * (h * width + v), channels, height, width, rows, columns,
          (height - h + rows - 1) / rows, (width - v + columns - 1) / columns);
    }

    @Override
    public long at(long row, long column) {
      long q = column % gridWidth;
      long p = column / gridWidth % gridHeight;
      long image = column / gridWidth / gridHeight;
      return start + Float.BYTES * (((image * channels + row) * height + p * strideH) * width + q * strideW);
    }

    @Override
    public long rowStep() {
      return Float.BYTES * height * width;
    }

    @Override
    public long columnStep() {
      return (long) Float.BYTES * strideW;
    }

    @Override
    public long run(long column) {
      return strideH == 1 && strideW == 1 ? gridHeight * gridWidth - column % (gridHeight * gridWidth) : gridWidth - column % gridWidth;
    }
  }
}
