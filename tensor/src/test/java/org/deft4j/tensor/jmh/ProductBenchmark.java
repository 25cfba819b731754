package org.deft4j.tensor.jmh;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.infra.Blackhole;

/** {@code x [m,k]} times a linear layer's weight {@code [n,k]} in each type, and the products of the way back. */
public class ProductBenchmark extends KernelState {
  /** m x k x n. */
  @Param({"1024x1024x1024", "4096x320x2560", "1024x640x5120", "77x2048x640"})
  public String shape;

  /** The weight's type. */
  @Param({"F32", "BF16", "F16"})
  public String weights;

  private Tensor x;
  private Tensor w;
  private Tensor dy;

  /** Draws the inputs. */
  @Setup(Level.Trial)
  public void draw() {
    long[] sizes = sizes(shape);
    x = draw(sizes[0], sizes[1]);
    w = draw(sizes[2], sizes[1]).cast(DType.valueOf(weights));
    dy = draw(sizes[0], sizes[2]);
  }

  /** {@code x W^T}. */
  @Benchmark
  public void linear(Blackhole hole) {
    measure(hole, () -> x.linear(w));
  }

  /** {@code dy W}. */
  @Benchmark
  public void inputGradient(Blackhole hole) {
    measure(hole, () -> dy.matmul(w));
  }

  /** {@code dy^T x}. */
  @Benchmark
  public void weightGradient(Blackhole hole) {
    measure(hole, () -> dy.t().matmul(x));
  }
}
