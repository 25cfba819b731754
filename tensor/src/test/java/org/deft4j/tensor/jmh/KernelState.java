package org.deft4j.tensor.jmh;

import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;

/** Made-up inputs that live through a trial, and the time of an operation in microseconds; its result is closed at once. */
@State(org.openjdk.jmh.annotations.Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public abstract class KernelState {
  private final RandomSource random = new TorchRandom(0);
  private final Scope inputs = Scope.open();

  /** What is measured; its result is a tensor that the innermost scope owns, or several. */
  @FunctionalInterface
  protected interface Kernel {
    /** Runs it. */
    Object run();
  }

  /** For the classes that measure. */
  protected KernelState() {}

  /** F32 from the standard normal distribution. */
  protected Tensor draw(long... sizes) {
    return random.normal(DType.F32, sizes);
  }

  /** The numbers in a parameter such as {@code 4096x320x2560}. */
  protected static long[] sizes(String text) {
    return Arrays.stream(text.split("x", -1)).mapToLong(Long::parseLong).toArray();
  }

  /** Runs once. */
  protected void measure(Blackhole hole, Kernel kernel) {
    try (Scope _ = Scope.open()) {
      hole.consume(kernel.run());
    }
  }

  /** Closes the inputs. */
  @TearDown(Level.Trial)
  public void close() {
    inputs.close();
  }
}
