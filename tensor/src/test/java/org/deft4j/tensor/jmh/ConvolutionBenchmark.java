package org.deft4j.tensor.jmh;

import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.Conv2dInputGrad;
import org.deft4j.tensor.op.Contraction.Conv2dWeightGrad;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.infra.Blackhole;

/** Convolutions of SD's UNet, batch 2, as many channels out as in, and their gradients. */
public class ConvolutionBenchmark extends KernelState {
  /** Channels, side of the picture, side of the kernel, stride. */
  @Param({"320x64x3x1", "320x64x3x2", "320x64x1x1", "640x32x3x1", "1280x16x3x1", "1280x8x3x1"})
  public String shape;

  private ConvSpec spec;
  private Tensor x;
  private Tensor w;
  private Tensor dy;

  /** Draws the inputs. */
  @Setup(Level.Trial)
  public void draw() {
    long[] sizes = sizes(shape);
    long kernel = sizes[2];
    spec = ConvSpec.of((int) sizes[3], (int) kernel / 2);
    x = draw(2, sizes[0], sizes[1], sizes[1]);
    w = draw(sizes[0], sizes[0], kernel, kernel);
    dy = draw(2, sizes[0], spec.outHeight(sizes[1], kernel), spec.outWidth(sizes[1], kernel));
  }

  /** The convolution. */
  @Benchmark
  public void forward(Blackhole hole) {
    measure(hole, () -> x.conv2d(spec, w));
  }

  /** Its gradient by x. */
  @Benchmark
  public void inputGradient(Blackhole hole) {
    measure(hole, () -> Dispatch.run(new Conv2dInputGrad(spec, x.shape()), dy, w));
  }

  /** Its gradient by w. */
  @Benchmark
  public void weightGradient(Blackhole hole) {
    measure(hole, () -> Dispatch.run(new Conv2dWeightGrad(spec, w.shape()), dy, x));
  }
}
