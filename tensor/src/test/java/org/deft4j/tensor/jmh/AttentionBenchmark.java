package org.deft4j.tensor.jmh;

import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.Attention;
import org.deft4j.tensor.op.Contraction.AttentionGrad;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.infra.Blackhole;

/** Attention of heads that a view splits off tokens, and its gradient. */
public class AttentionBenchmark extends KernelState {
  /** Batch, heads, queries, keys, width of a head. */
  @Param({"1x8x4096x4096x40", "2x8x4096x77x40", "1x10x1024x1024x64", "2x8x1024x1024x80", "2x8x256x256x160"})
  public String shape;

  private double scale;
  private Tensor q;
  private Tensor k;
  private Tensor v;
  private Tensor dO;
  private Tensor[] forward;

  /** Draws the inputs. */
  @Setup(Level.Trial)
  public void draw() {
    long[] sizes = sizes(shape);
    scale = 1 / Math.sqrt((double) sizes[4]);
    q = split(sizes, sizes[2]);
    k = split(sizes, sizes[3]);
    v = split(sizes, sizes[3]);
    dO = split(sizes, sizes[2]);
    forward = Dispatch.run(new Attention(scale, false), q, k, v);
  }

  private Tensor split(long[] sizes, long tokens) {
    return draw(sizes[0], tokens, sizes[1], sizes[4]).transpose(1, 2);
  }

  /** Attention. */
  @Benchmark
  public void forward(Blackhole hole) {
    measure(hole, () -> q.attention(k, v, scale, false));
  }

  /** Its gradients by q, k and v. */
  @Benchmark
  public void gradient(Blackhole hole) {
    measure(hole, () -> Dispatch.run(new AttentionGrad(scale, false), dO, q, k, v, forward[0], forward[1]));
  }
}
