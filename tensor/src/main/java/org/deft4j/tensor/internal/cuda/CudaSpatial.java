package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Spatial.Window;

/** {@link Spatial}: {@code spatial.cu}. In the names of its parameters, in is the picture's side, out that of its resampling. */
final class CudaSpatial {
  private static final String SOURCE = "spatial";

  private final Launcher launcher;
  private final CudaCopies copies;
  private final CudaIndexing indexing;

  CudaSpatial(Launcher launcher, CudaCopies copies, CudaIndexing indexing) {
    this.launcher = launcher;
    this.copies = copies;
    this.indexing = indexing;
  }

  void run(Spatial op, Tensor[] in, Tensor[] out) {
    Tensor x = in[0];
    Tensor y = out[0];
    switch (op) {
      case Spatial.UpsampleNearest ignored -> resample(Launcher.vectors(y), "upsample_nearest", x, y, x, y);
      case Spatial.UpsampleNearestGrad ignored -> resample(y.elementCount(), "upsample_nearest_grad", x, y, y, x);
      case Spatial.UpsampleBilinear ignored -> resample(y.elementCount(), "upsample_bilinear", x, y, x, y);
      case Spatial.UpsampleBilinearGrad ignored -> resample(y.elementCount(), "upsample_bilinear_grad", x, y, y, x);
      case Spatial.AvgPool2d(var window, var count) -> average("avg_pool", x, y, x, y, window, count);
      case Spatial.AvgPool2dGrad(var window, var count, var h, var w) -> average("avg_pool_grad", x, y, y, x, window, count);
      case Spatial.MaxPool2d(var window) -> launcher.each(y.elementCount(), SOURCE, Launcher.variant("max_pool", y.dtype()), x, y, out[1],
          y.elementCount(), x.size(2), x.size(3), y.size(2), y.size(3), window.kernel(), window.stride(), window.padding());
      case Spatial.MaxPool2dGrad ignored -> largestGrad(x, in[1], y);
    }
  }

  private void resample(long threads, String kernel, Tensor from, Tensor to, Tensor picture, Tensor resampled) {
    launcher.each(threads, SOURCE, Launcher.variant(kernel, to.dtype()), from, to, to.elementCount(), picture.size(2), picture.size(3),
        resampled.size(2), resampled.size(3));
  }

  private void average(String kernel, Tensor from, Tensor to, Tensor picture, Tensor means, Window window, boolean countPadding) {
    launcher.each(to.elementCount(), SOURCE, Launcher.variant(kernel, to.dtype()), from, to, to.elementCount(), picture.size(2),
        picture.size(3), means.size(2), means.size(3), window.kernel(), window.stride(), window.padding(), countPadding);
  }

  /** Windows overlap, and the index alone says whose largest a pixel was: an addition by index, in each plane. */
  private void largestGrad(Tensor dy, Tensor index, Tensor dx) {
    copies.fill(dx.shape(), CudaCopies.Side.of(dx, dx.shape()), dx.dtype(), 0);
    long pixels = dx.size(2) * dx.size(3);
    Walk planes = Walk.over(Shape.of(dx.size(0) * dx.size(1)), new long[] {pixels});
    indexing.addLines(index, dy, dy.size(2) * dy.size(3), 1, dx, pixels, 1, planes);
  }
}
