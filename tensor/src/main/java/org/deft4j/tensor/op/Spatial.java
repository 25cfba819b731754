package org.deft4j.tensor.op;

import org.deft4j.tensor.ShapeException;

/** Resampling of pictures [N,C,H,W] in their last two dimensions. */
public sealed interface Spatial extends Op {
  /** Nearest neighbour: source index = floor(target * in / out). */
  record UpsampleNearest(long height, long width) implements Spatial {}

  /** Adjoint of {@link UpsampleNearest}: {@code dy -> dx [N,C,height,width]}, the sum over the copies of each pixel. */
  record UpsampleNearestGrad(long height, long width) implements Spatial {}

  /** Bilinear, corners not aligned: source = (target + 0.5) * in / out - 0.5, clamped at 0. */
  record UpsampleBilinear(long height, long width) implements Spatial {}

  /** Adjoint of {@link UpsampleBilinear}: {@code dy -> dx [N,C,height,width]}. */
  record UpsampleBilinearGrad(long height, long width) implements Spatial {}

  /** A square window: kernel, stride, padding on all sides. */
  record Window(int kernel, int stride, int padding) {
    /** Refuses a window that some position would see nothing through. */
    public Window {
      if (kernel < 1 || stride < 1 || padding < 0 || padding > kernel / 2) {
        throw new ShapeException("window: kernel " + kernel + " and stride " + stride
            + " must be at least 1, padding " + padding + " from 0 to half the kernel");
      }
    }

    /** The size of the result along a dimension of {@code size}. */
    public long out(long size) {
      return (size + 2L * padding - kernel) / stride + 1;
    }
  }

  /** The mean of a window; with {@code countPadding} the divisor is always kernel^2, else the pixels inside the picture. */
  record AvgPool2d(Window window, boolean countPadding) implements Spatial {}

  /** Adjoint of {@link AvgPool2d}: {@code dy -> dx [N,C,height,width]}. */
  record AvgPool2dGrad(Window window, boolean countPadding, long height, long width) implements Spatial {}

  /** Two outputs: the largest of a window, and its index (I64) in the flattened H x W picture. */
  record MaxPool2d(Window window) implements Spatial {}

  /** {@code dy, index -> dx [N,C,height,width]}. */
  record MaxPool2dGrad(long height, long width) implements Spatial {}
}
