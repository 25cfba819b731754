package org.deft4j.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/**
 * Measures the products against what the processor can do: the peak is measured right before each round of each product, by a
 * loop of independent fused multiply-adds on as many threads, so that a slower clock or a busy neighbour slows both.
 *
 * <pre>
 *   mvn -q -pl tensor test-compile
 *   java --add-modules jdk.incubator.vector -cp tensor/target/classes:tensor/target/test-classes \
 *       org.deft4j.tensor.ProductBenchmark [seconds for each product, default 2] [part of a name]
 * </pre>
 *
 * <p>Printed are the median of GFLOP/s, the median of the peak, and the median and the best share of it. A multiply-add counts as
 * two; attention as two products, its gradient as five.
 */
public final class ProductBenchmark {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int CHAINS = 12;
  private static final int PEAK_STEPS = 3_000_000;
  private static final int WARM_UP = 8;

  private final double seconds;
  private final String part;
  private final Random random = new Random(1);

  private ProductBenchmark(double seconds, String part) {
    this.seconds = seconds;
    this.part = part;
  }

  /** Runs it. */
  public static void main(String[] args) throws Exception {
    new ProductBenchmark(args.length > 0 ? Double.parseDouble(args[0]) : 2, args.length > 1 ? args[1] : "").run();
  }

  private void run() throws Exception {
    System.out.printf(Locale.ROOT, "%d threads, vectors of %d bits%n%-44s %9s %9s %8s %6s%n", Threads.count(),
        SPECIES.vectorBitSize(), "", "GFLOP/s", "peak", "median", "best");
    try (Scope _ = Scope.open()) {
      for (int n : new int[] {256, 512, 1024, 2048}) {
        Tensor a = draw(n, n);
        Tensor b = draw(n, n);
        measure("matmul " + n, 2.0 * n * n * n, () -> a.matmul(b));
      }
      for (int[] s : new int[][] {{4096, 320, 2560}, {1024, 640, 5120}, {77, 2048, 640}, {4096, 320, 320}, {2, 1280, 1280}}) {
        Tensor x = draw(s[0], s[1]);
        Tensor w = draw(s[2], s[1]);
        Tensor b = draw(s[2]);
        measure("linear " + Arrays.toString(s), 2.0 * s[0] * s[1] * s[2], () -> x.linear(w, b));
      }
      for (int[] s : new int[][] {{320, 64, 3}, {320, 64, 1}, {640, 32, 3}, {1280, 16, 3}, {1280, 8, 3}}) {
        convolution(s[0], s[1], s[2]);
      }
      for (int[] s : new int[][] {{8, 4096, 4096, 40}, {8, 4096, 77, 40}, {8, 1024, 1024, 80}, {10, 1024, 1024, 64}}) {
        attention(s[0], s[1], s[2], s[3]);
      }
    }
  }

  private void convolution(long channels, long size, long kernel) throws Exception {
    ConvSpec spec = ConvSpec.of(1, (int) kernel / 2);
    Tensor x = draw(2, channels, size, size);
    Tensor w = draw(channels, channels, kernel, kernel);
    String shape = " " + kernel + "x" + kernel + ", " + channels + " channels, 2 x " + size + "x" + size;
    double flop = 4.0 * channels * channels * size * size * kernel * kernel;
    measure("conv" + shape, flop, () -> x.conv2d(spec, w));
    measure("conv input grad" + shape, flop, () -> Dispatch.run(new Contraction.Conv2dInputGrad(spec, x.shape()), x, w));
    measure("conv weight grad" + shape, flop, () -> Dispatch.run(new Contraction.Conv2dWeightGrad(spec, w.shape()), x, x));
  }

  private void attention(long heads, long queries, long keys, long width) throws Exception {
    Tensor q = draw(2, queries, heads, width).permute(0, 2, 1, 3);
    Tensor k = draw(2, keys, heads, width).permute(0, 2, 1, 3);
    Tensor v = draw(2, keys, heads, width).permute(0, 2, 1, 3);
    double scale = 1 / Math.sqrt((double) width);
    Tensor[] forward = Dispatch.run(new Contraction.Attention(scale, false), q, k, v);
    Tensor dO = draw(2, heads, queries, width);
    String shape = " 2 x " + heads + " x " + queries + " x " + keys + " x " + width;
    double flop = 4.0 * heads * queries * keys * width;
    measure("attention" + shape, 2 * flop, () -> q.attention(k, v, scale, false));
    measure("attention grad" + shape, 5 * flop,
        () -> Dispatch.run(new Contraction.AttentionGrad(scale, false), dO, q, k, v, forward[0], forward[1]));
  }

  private Tensor draw(long... sizes) {
    float[] values = new float[(int) Shape.of(sizes).elementCount()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(values, sizes);
  }

  private void measure(String name, double flop, Runnable product) throws Exception {
    if (!name.contains(part)) {
      return;
    }
    List<Double> rates = new ArrayList<>();
    List<Double> peaks = new ArrayList<>();
    List<Double> shares = new ArrayList<>();
    long start = System.nanoTime();
    for (int round = 0; round < 2 * WARM_UP || System.nanoTime() - start < seconds * 1e9; round++) {
      double peak = peak();
      double rate = rate(flop, product);
      if (round >= WARM_UP) {
        peaks.add(peak);
        rates.add(rate);
        shares.add(rate / peak);
      }
    }
    System.out.printf(Locale.ROOT, "%-44s %9.1f %9.1f %7.0f%% %5.0f%%%n", name, median(rates), median(peaks),
        100 * median(shares), 100 * Collections.max(shares));
  }

  private static double median(List<Double> values) {
    return values.stream().sorted().skip(values.size() / 2).findFirst().orElseThrow();
  }

  /** GFLOP/s of a product, over at least 20 milliseconds. */
  private static double rate(double flop, Runnable product) {
    long start = System.nanoTime();
    int count = 0;
    do {
      try (Scope _ = Scope.open()) {
        product.run();
      }
      count++;
    } while (System.nanoTime() - start < 20_000_000);
    return flop * count / (System.nanoTime() - start);
  }

  /** GFLOP/s of fused multiply-adds that do not wait for each other, on all threads. */
  private static double peak() throws Exception {
    try (ExecutorService threads = Executors.newFixedThreadPool(Threads.count())) {
      long start = System.nanoTime();
      List<Future<Float>> sums = threads.invokeAll(Collections.nCopies(Threads.count(), (Callable<Float>) ProductBenchmark::chains));
      for (Future<Float> sum : sums) {
        if (!(sum.get() > 0)) {
          throw new IllegalStateException("the chains must not be optimised away");
        }
      }
      return 2.0 * CHAINS * SPECIES.length() * PEAK_STEPS * Threads.count() / (System.nanoTime() - start);
    }
  }

  private static float chains() {
    FloatVector x = FloatVector.broadcast(SPECIES, 0.999f);
    FloatVector y = FloatVector.broadcast(SPECIES, 0.001f);
    FloatVector a = x;
    FloatVector b = x;
    FloatVector c = x;
    FloatVector d = x;
    FloatVector e = x;
    FloatVector f = x;
    FloatVector g = x;
    FloatVector h = x;
    FloatVector i = x;
    FloatVector j = x;
    FloatVector k = x;
    FloatVector l = x;
    for (int n = 0; n < PEAK_STEPS; n++) {
      a = a.fma(x, y);
      b = b.fma(x, y);
      c = c.fma(x, y);
      d = d.fma(x, y);
      e = e.fma(x, y);
      f = f.fma(x, y);
      g = g.fma(x, y);
      h = h.fma(x, y);
      i = i.fma(x, y);
      j = j.fma(x, y);
      k = k.fma(x, y);
      l = l.fma(x, y);
    }
    return a.add(b).add(c).add(d).add(e).add(f).add(g).add(h).add(i).add(j).add(k).add(l).lane(0);
  }
}
