package org.deft4j.tensor.jmh;

import org.deft4j.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.infra.Blackhole;

/** What the memory's speed bounds, at the sizes of SD 1.5's first level: 2 x 320 x 64 x 64, and 2 x 4096 tokens of 320. */
public class RowsBenchmark extends KernelState {
  private static final long CHANNELS = 320;
  private static final double EPS = 1e-5;

  private Tensor picture;
  private Tensor tokens;
  private Tensor gated;
  private Tensor weight;
  private Tensor bias;

  /** Draws the inputs. */
  @Setup(Level.Trial)
  public void draw() {
    picture = draw(2, CHANNELS, 64, 64);
    tokens = draw(2, 4096, CHANNELS);
    gated = draw(2, 4096, 8 * CHANNELS);
    weight = draw(CHANNELS);
    bias = draw(CHANNELS);
  }

  /** Group norm. */
  @Benchmark
  public void groupNorm(Blackhole hole) {
    measure(hole, () -> picture.groupNorm(32, EPS, weight, bias));
  }

  /** Layer norm. */
  @Benchmark
  public void layerNorm(Blackhole hole) {
    measure(hole, () -> tokens.layerNorm(1, EPS, weight, bias));
  }

  /** RMS norm. */
  @Benchmark
  public void rmsNorm(Blackhole hole) {
    measure(hole, () -> tokens.rmsNorm(EPS, weight));
  }

  /** SiLU. */
  @Benchmark
  public void silu(Blackhole hole) {
    measure(hole, picture::silu);
  }

  /** GELU. */
  @Benchmark
  public void gelu(Blackhole hole) {
    measure(hole, tokens::gelu);
  }

  /** A gated GELU of 8 x 320. */
  @Benchmark
  public void geglu(Blackhole hole) {
    measure(hole, gated::geglu);
  }

  /** Softmax. */
  @Benchmark
  public void softmax(Blackhole hole) {
    measure(hole, () -> tokens.softmax(-1));
  }

  /** A sum. */
  @Benchmark
  public void add(Blackhole hole) {
    measure(hole, () -> tokens.add(tokens));
  }

  /** Channels first to channels last. */
  @Benchmark
  public void toTokens(Blackhole hole) {
    measure(hole, () -> picture.flatten(2, 3).transpose(1, 2).contiguous());
  }
}
