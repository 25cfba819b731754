package org.deft4j.autograd;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Unary;

/**
 * Measures what moves memory more than it computes against a copy of as many bytes by as many threads, taken right before, at
 * the shapes of SD 1.5 and SDXL.
 *
 * <pre>
 *   mvn -q -pl autograd -am test-compile
 *   java --add-modules jdk.incubator.vector -cp {tensor,autograd}/target/classes, {tensor,autograd}/target/test-classes \
 *       org.deft4j.autograd.RowBenchmark [seconds for each line, default 0.5] [part of a name]
 * </pre>
 *
 * <p>Counted are the bytes that must move: each input read once, each output written once. Printed are microseconds for one call,
 * GB/s, GB/s of the copy (read and written bytes), the share of it; medians over the rounds, then
 * the shortest call, and the shortest copy's share of it.
 */
public final class RowBenchmark {
  private static final int WARM_UP = 30;
  private static final long ROUND_NANOS = 4_000_000;

  private final double seconds;
  private final String part;
  private final Random random = new Random(1);

  private RowBenchmark(double seconds, String part) {
    this.seconds = seconds;
    this.part = part;
  }

  /** Runs it. */
  public static void main(String[] args) {
    new RowBenchmark(args.length > 0 ? Double.parseDouble(args[0]) : 0.5, args.length > 1 ? args[1] : "").run();
  }

  private void run() {
    System.out.printf(Locale.ROOT, "%d threads%n%-48s %9s %7s %7s %6s %9s %6s%n", Threads.count(), "", "us", "GB/s", "copy",
        "share", "best us", "share");
    section(this::norms);
    section(this::activations);
    section(this::softmax);
    section(this::meetings);
    section(this::additions);
    section(this::layouts);
    section(this::resampling);
    section(this::casts);
    section(this::choices);
    section(this::updates);
    section(this::slices);
  }

  private static void section(Runnable lines) {
    try (Scope _ = Scope.open()) {
      lines.run();
    }
  }

  // ------------------------------------------------------------------------------------------------------- lines

  private void norms() {
    for (long[] s : new long[][] {{2, 320, 64, 64}, {2, 1280, 16, 16}, {1, 128, 512, 512}}) {
      Tensor x = draw(s);
      Tensor w = draw(s[1]);
      op("group norm", new Norm.GroupNorm(32, 1e-5), x, w, w);
      Tensor[] y = Dispatch.run(new Norm.GroupNorm(32, 1e-5), x, w, w);
      op("group norm grad", new Norm.GroupNormGrad(32), y[0], x, y[1], y[2], w);
      line("group norm, silu", x, 2 * bytes(x), () -> x.groupNorm(32, 1e-5, w, w).silu());
      op("group norm silu", new Norm.GroupNormSilu(32, 1e-5), x, w, w);
      op("group norm silu grad", new Norm.GroupNormSiluGrad(32), y[0], x, y[1], y[2], w, w);
    }
    for (long[] s : new long[][] {{2, 4096, 320}, {2, 1024, 640}, {2, 256, 1280}}) {
      Tensor x = draw(s);
      Tensor w = draw(s[2]);
      op("layer norm", new Norm.LayerNorm(1, 1e-5), x, w, w);
      Tensor[] y = Dispatch.run(new Norm.LayerNorm(1, 1e-5), x, w, w);
      op("layer norm grad", new Norm.LayerNormGrad(1), y[0], x, y[1], y[2], w);
    }
    Tensor x = draw(2, 1024, 3072);
    op("rms norm", new Norm.RmsNorm(1e-5), x, draw(3072));
  }

  private void activations() {
    for (long[] s : new long[][] {{2, 4096, 2560}, {2, 256, 10240}}) {
      Tensor x = draw(s);
      op("geglu", new Fused.Geglu(), x);
      op("geglu grad", new Fused.GegluGrad(), draw(s[0], s[1], s[2] / 2), x);
    }
    Tensor x = draw(2, 320, 64, 64);
    for (Unary f : List.of(new Unary.Silu(), new Unary.Gelu(), new Unary.QuickGelu(), new Unary.GeluTanh())) {
      op(f.label(), f, x);
      op(f.label() + " grad", new Fused.ActivationGrad(f), x, x);
    }
    op("exp", new Unary.Exp(), x);
  }

  /** What could run in one pass with its neighbour, and does not. */
  private void meetings() {
    Tensor x = draw(2, 4096, 320);
    Tensor w = draw(320);
    line("residual", x, 3 * bytes(x), () -> x.add(x));
    line("residual, layer norm", x, 4 * bytes(x), () -> x.add(x).layerNorm(1, 1e-5, w, w));
    Tensor wide = draw(2560, 320);
    Tensor b = draw(2560);
    line("linear without bias", x, 9 * bytes(x), () -> x.linear(wide));
    line("linear with bias", x, 9 * bytes(x), () -> x.linear(wide, b));
  }

  private void softmax() {
    for (long[] s : new long[][] {{2, 8, 1024, 77}, {8, 1024, 1024}, {1, 4096, 4096}}) {
      Tensor x = draw(s);
      op("softmax", new Reduction.Softmax(s.length - 1), x);
      op("softmax grad", new Fused.SoftmaxGrad(s.length - 1), x, x);
    }
    Tensor x = draw(16, 256, 320);
    op("softmax dim 1", new Reduction.Softmax(1), x);
    op("softmax grad dim 1", new Fused.SoftmaxGrad(1), x, x);
    op("log softmax dim 1", new Reduction.LogSoftmax(1), x);
    op("max dim 1", new Reduction.Max(List.of(1), false), x);
    op("max dim 2", new Reduction.Max(List.of(2), false), x);
    op("arg max dim 2", new Reduction.ArgMax(2, false), x);
  }

  private void additions() {
    for (long[] s : new long[][] {{2, 320, 64, 64}, {2, 1280, 16, 16}, {1, 128, 512, 512}}) {
      Tensor x = draw(s);
      line("add", x, 3 * bytes(x), () -> x.add(x));
      Tensor channels = draw(s[0], s[1], 1, 1);
      line("add a channel's number", x, 2 * bytes(x), () -> x.add(channels));
      line("sum over pixels and batch", x, bytes(x), () -> x.sum(0, 2, 3));
      line("sum over pixels", x, bytes(x), () -> x.sum(2, 3));
    }
    for (long[] s : new long[][] {{2, 4096, 320}, {2, 256, 1280}}) {
      Tensor x = draw(s);
      Tensor bias = draw(s[2]);
      line("add bias", x, 2 * bytes(x), () -> x.add(bias));
      line("sum over rows", x, bytes(x), () -> x.sum(0, 1));
      line("mul by a column", x, 2 * bytes(x), () -> x.mul(x.slice(2, 0, 1)));
      line("square mean", x, bytes(x), x::mean);
    }
  }

  private void layouts() {
    for (long[] s : new long[][] {{2, 320, 64, 64}, {2, 1280, 16, 16}, {2, 1280, 8, 8}, {1, 512, 64, 64}}) {
      Tensor x = draw(s);
      line("picture to tokens", x, 2 * bytes(x), () -> x.flatten(2, 3).transpose(1, 2).contiguous());
      Tensor t = draw(s[0], s[2] * s[3], s[1]);
      line("tokens to picture", t, 2 * bytes(t), () -> t.transpose(1, 2).contiguous());
    }
    for (long[] s : new long[][] {{2, 4096, 8, 40}, {2, 1024, 10, 64}, {2, 256, 20, 64}}) {
      Tensor x = draw(s);
      line("split heads", x, 2 * bytes(x), () -> x.transpose(1, 2).contiguous());
      Tensor y = draw(s[0], s[2], s[1], s[3]);
      line("join heads", y, 2 * bytes(y), () -> y.transpose(1, 2).contiguous());
    }
    Tensor w = draw(1280, 1280);
    line("transpose", w, 2 * bytes(w), () -> w.t().contiguous());
    Tensor h = w.cast(DType.BF16);
    line("transpose bf16", h, 2 * bytes(h), () -> h.t().contiguous());
    Tensor a = draw(2, 640, 32, 32);
    line("concat channels", a, 4 * bytes(a), () -> Tensor.concat(1, a, a));
    Tensor b = draw(2, 4096, 2560);
    line("second half of each row", b, bytes(b), () -> b.slice(2, 1280, 2560).contiguous());
    line("every second", b, bytes(b), () -> b.slice(2, 0, 2560, 2).contiguous());
    op("pad", new Layout.Pad(List.of(0L, 0L, 0L, 0L), List.of(0L, 0L, 1L, 1L), 0), draw(2, 320, 64, 64));
    line("flip", b, 2 * bytes(b), () -> b.flip(2));
    line("fill", b, bytes(b), () -> Tensor.full(DType.F32, 1, 2, 4096, 2560));
    Tensor tokens = draw(2, 1024, 640);
    line("add turned tokens", a, 3 * bytes(a), () -> a.add(tokens.transpose(1, 2).reshape(2, 640, 32, 32)));
  }

  private void resampling() {
    for (long[] s : new long[][] {{2, 640, 32, 32}, {1, 256, 256, 256}}) {
      Tensor x = draw(s);
      op("upsample nearest", new Spatial.UpsampleNearest(2 * s[2], 2 * s[3]), x);
      op("upsample nearest grad", new Spatial.UpsampleNearestGrad(s[2] / 2, s[3] / 2), draw(s));
    }
    op("upsample bilinear", new Spatial.UpsampleBilinear(64, 64), draw(2, 640, 32, 32));
  }

  private void casts() {
    Tensor x = draw(2, 4096, 1280);
    for (DType type : List.of(DType.BF16, DType.F16, DType.F64)) {
      op("cast to " + type, new Layout.Cast(type), x);
      op("cast from " + type, new Layout.Cast(DType.F32), x.cast(type));
    }
    op("cast from U8", new Layout.Cast(DType.F32), x.cast(DType.U8));
  }

  private void choices() {
    Tensor x = draw(2, 320, 64, 64);
    Tensor y = draw(2, 320, 64, 64);
    line("less", x, 2 * bytes(x) + x.elementCount(), () -> x.less(y));
    Tensor c = x.less(y);
    line("where", x, 3 * bytes(x) + x.elementCount(), () -> c.where(x, y));
    Tensor zero = Tensor.full(DType.F32, 0);
    line("where, else 0", x, 2 * bytes(x) + x.elementCount(), () -> c.where(x, zero));
    Tensor table = draw(49408, 768);
    Tensor ids = Tensor.of(random.longs(154, 0, 49408).toArray()).reshape(2, 77);
    line("embedding", ids, 2 * 154 * 768 * 4, () -> table.embedding(ids));
    Tensor rows = draw(154, 768);
    Tensor flat = ids.reshape(154);
    line("index add", rows, 2 * bytes(table), () -> Dispatch.run(new Indexing.IndexAdd(0), table, flat, rows));
    Tensor wide = draw(1024, 1024);
    Tensor columns = Tensor.of(random.longs(1024 * 256, 0, 1024).toArray()).reshape(1024, 256);
    line("gather", columns, 256 * 1024 * 16, () -> wide.gather(1, columns));
  }

  private void updates() {
    for (long n : new long[] {1 << 18, 1 << 22}) {
      Tensor p = draw(n);
      Tensor g = draw(n);
      Tensor m = draw(n);
      Tensor v = draw(n).square();
      line("add scaled into", p, 3 * bytes(p), () -> Dispatch.run(new InPlace.AddScaledInto(1e-6), p, g));
      line("adam", p, 7 * bytes(p),
          () -> Dispatch.run(new InPlace.AdamUpdate(1e-3, 0.9, 0.999, 1e-8, 0.01, true, 3), p, g, m, v));
    }
  }

  private void slices() {
    Tensor x = draw(2, 1024, 3 * 640);
    line("gradient of three slices", x, 2 * bytes(x), () -> {
      try (Tape tape = Tape.watch(x)) {
        List<Tensor> parts = x.chunk(2, 3);
        Tensor y = Tensor.concat(2, parts.get(2), parts.get(0), parts.get(1));
        tape.gradients(y, x);
      }
    });
    Tensor b = draw(1280);
    Tensor h = draw(2, 1024, 1280);
    line("gradient of a bias", h, 2 * bytes(h), () -> {
      try (Tape tape = Tape.watch(b)) {
        tape.gradients(h.add(b), h);
      }
    });
  }

  // --------------------------------------------------------------------------------------------------- measuring

  private static long bytes(Tensor x) {
    return x.elementCount() * x.dtype().bytes();
  }

  private Tensor draw(long... sizes) {
    float[] values = new float[(int) Shape.of(sizes).elementCount()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(values, sizes);
  }

  private void op(String name, Op op, Tensor... in) {
    Tensor largest = Arrays.stream(in).max((a, b) -> Long.compare(bytes(a), bytes(b))).orElseThrow();
    long count = Arrays.stream(in).mapToLong(RowBenchmark::bytes).sum();
    try (Scope _ = Scope.open()) {
      count += Arrays.stream(Dispatch.run(op, in)).mapToLong(RowBenchmark::bytes).sum();
    }
    line(name, largest, count, () -> Dispatch.run(op, in));
  }

  private void line(String what, Tensor of, long bytes, Runnable call) {
    String name = what + " " + of.shape();
    if (!name.contains(part)) {
      return;
    }
    try (Scope _ = Scope.open()) {
      Tensor from = Tensor.full(DType.F32, 1, Math.max(1, bytes / 8));
      Tensor to = Tensor.empty(Device.CPU, DType.F32, from.shape());
      List<Double> times = new ArrayList<>();
      List<Double> copies = new ArrayList<>();
      long start = System.nanoTime();
      for (int round = 0; round < 2 * WARM_UP || System.nanoTime() - start < seconds * 1e9; round++) {
        double copy = nanos(() -> Dispatch.run(new InPlace.CopyInto(), to, from));
        double time = nanos(call);
        if (round >= WARM_UP) {
          copies.add(copy);
          times.add(time);
        }
      }
      double time = median(times);
      double copy = median(copies);
      double best = Collections.min(times);
      System.out.printf(Locale.ROOT, "%-48s %9.1f %7.1f %7.1f %5.0f%% %9.1f %5.0f%%%n", name, time / 1000, bytes / time,
          bytes / copy, 100 * copy / time, best / 1000, 100 * Collections.min(copies) / best);
    }
  }

  private static double median(List<Double> values) {
    return values.stream().sorted().skip(values.size() / 2).findFirst().orElseThrow();
  }

  /** Nanoseconds of a call, over at least {@link #ROUND_NANOS}. */
  private static double nanos(Runnable call) {
    long start = System.nanoTime();
    int count = 0;
    do {
      try (Scope _ = Scope.open()) {
        call.run();
      }
      count++;
    } while (System.nanoTime() - start < ROUND_NANOS);
    return (double) (System.nanoTime() - start) / count;
  }
}
