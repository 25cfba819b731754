package org.deft4j.tensor.internal.cuda;

import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Unary;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/** What tests of the card share: whether there is one, and how far its results are from the CPU's. */
public final class CudaTests {
  private CudaTests() {}

  /** Skips the test, and says why, where there is neither a card nor a compiler for its stand-in. */
  public static void assumeCard() {
    boolean emulated = System.getProperty("deft4j.cuda.card", "").endsWith("EmulatedCard");
    Assumptions.assumeTrue(!emulated || EmulatedCard.isPossible(), "no g++ here: the kernels of CUDA cannot run on this processor");
  }

  /**
   * Runs {@code op} on the CPU and on the card, in {@code dtype} where the inputs are F32 (BF16 only what is not F32 beside it), and says where
   * results differ too much.
   */
  public static Optional<String> differences(Op op, DType dtype, Tensor... given) {
    Tensor[] here = converted(op, dtype, given);
    Tensor[] there = Arrays.stream(here).map(CudaTests::moved).toArray(Tensor[]::new);
    Tensor[] expected = Dispatch.run(op, here);
    Tensor[] actual = Dispatch.run(op, there);
    if (op instanceof InPlace) {
      expected = here;
      actual = there;
    }
    for (int i = 0; i < expected.length; i++) {
      Optional<String> difference = difference(op, here, expected[i], actual[i].to(Device.CPU), scales(op, here));
      if (difference.isPresent()) {
        return Optional.of("output " + i + " " + difference.get());
      }
    }
    return Optional.empty();
  }

  /** Runs {@code program} on the CPU and on the card, and fails where the results are further apart than sums in another order are. */
  public static void same(String what, Function<Tensor[], Tensor> program, Tensor... in) {
    try (Scope _ = Scope.open()) {
      Tensor expected = program.apply(in);
      Tensor actual = program.apply(Arrays.stream(in).map(x -> x.to(Device.CUDA)).toArray(Tensor[]::new)).to(Device.CPU);
      difference(new Contraction.MatMul(), in, expected, actual, null).ifPresent(text -> Assertions.fail(what + ": " + text));
    }
  }

  /** Runs {@code work} with the card multiplying in {@code precision}. */
  public static <T> T with(Precision precision, Supplier<T> work) {
    Precision before = Precision.current();
    Precision.use(precision);
    try {
      return work.get();
    } finally {
      Precision.use(before);
    }
  }

  /** Runs {@code work} with the threads of a block in either order, and asks for the same bits: else a kernel lacks a barrier. */
  public static void assertOrderOfLanesIsFree(Supplier<Tensor[]> work) {
    byte[][] usual = bits(work.get());
    byte[][] turned = inTurnedOrder(() -> bits(work.get()));
    for (int i = 0; i < usual.length; i++) {
      Assertions.assertArrayEquals(usual[i], turned[i], "output " + i);
    }
  }

  /** The same for an operation, in {@code dtype} where the inputs are F32; says which output has other bits. */
  public static Optional<String> changesWithOrder(Op op, DType dtype, Tensor... given) {
    byte[][] usual = bits(results(op, dtype, given));
    byte[][] turned = inTurnedOrder(() -> bits(results(op, dtype, given)));
    return IntStream.range(0, usual.length).filter(i -> !Arrays.equals(usual[i], turned[i])).mapToObj(i -> "output " + i).findFirst();
  }

  private static Tensor[] results(Op op, DType dtype, Tensor... given) {
    Tensor[] in = Arrays.stream(converted(op, dtype, given)).map(CudaTests::moved).toArray(Tensor[]::new);
    Tensor[] out = Dispatch.run(op, in);
    return op instanceof InPlace ? in : out;
  }

  /** Runs {@code work} with the threads of a block from the last to the first, where the card can: one of silicon has an order of its own. */
  static <T> T inTurnedOrder(Supplier<T> work) {
    EmulatedCard card = EmulatedCard.instance();
    if (card == null) {
      return work.get();
    }
    card.turnLanes(true);
    try {
      return work.get();
    } finally {
      card.turnLanes(false);
    }
  }

  /** The bytes of each, wherever they are. */
  static byte[][] bits(Tensor... tensors) {
    return Arrays.stream(tensors).map(x -> x.contiguous().to(Device.CPU).bytes().toArray(ValueLayout.JAVA_BYTE)).toArray(byte[][]::new);
  }

  /** Inputs in {@code dtype} where they are F32, but for those that stay F32 beside BF16. */
  public static Tensor[] converted(Op op, DType dtype, Tensor... given) {
    return IntStream.range(0, given.length)
        .mapToObj(i -> converted(given[i], dtype == DType.BF16 && !isActivation(op, i) ? DType.F32 : dtype)).toArray(Tensor[]::new);
  }

  /** Whether an input is BF16 where the first is: not the weights of norms, statistics and biases, which stay F32. */
  private static boolean isActivation(Op op, int input) {
    return switch (op) {
      case Norm norm -> input == 0 || (input == 1 && (norm.label().endsWith("grad") || norm instanceof Norm.LayerNormOfSum));
      case Fused.Rotary _ -> input == 0;
      case Contraction.RankUpdate _ -> input == 0 || input == 3;
      case Contraction.Linear _ -> input < 2;
      case Contraction.Conv2d _ -> input < 2;
      case Contraction.Attention _ -> input < 3;
      case Contraction.AttentionGrad _ -> input < 5;
      default -> true;
    };
  }

  private static Tensor converted(Tensor x, DType dtype) {
    if (x.dtype() != DType.F32 || dtype == DType.F32) {
      return strided(x, x);
    }
    return strided(x, x.cast(dtype));
  }

  /** A copy of {@code values} with the strides of {@code like}, as far as a permutation of dimensions makes them. */
  private static Tensor strided(Tensor like, Tensor values) {
    int[] order = inMemory(like);
    return values.permute(order).copy().permute(inverse(order));
  }

  private static Tensor moved(Tensor x) {
    int[] order = inMemory(x);
    return x.permute(order).to(Device.CUDA).permute(inverse(order));
  }

  /** The dimensions of {@code x} in the order in which they lie in memory. */
  private static int[] inMemory(Tensor x) {
    long[] strides = x.strides();
    return IntStream.range(0, strides.length).boxed().sorted((a, b) -> Long.compare(strides[b], strides[a])).mapToInt(d -> d).toArray();
  }

  private static int[] inverse(int[] order) {
    int[] back = new int[order.length];
    for (int d = 0; d < order.length; d++) {
      back[order[d]] = d;
    }
    return back;
  }

  /** Normal numbers, F32. */
  public static Tensor normal(Random random, long... sizes) {
    float[] values = new float[(int) Shape.of(sizes).elementCount()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(values, sizes);
  }

  /** What a function's rounding is multiplied by in each element of the result, where it is multiplied; else null. */
  private static double[] scales(Op op, Tensor[] in) {
    return switch (op) {
      case Fused.ActivationGrad _ -> in[0].abs().toDoubles();
      case Fused.Gated gated -> half(in[0], gated.value(in[0].size(-1) / 2)).abs().toDoubles();
      case Fused.GatedGrad(var gated) -> {
        Tensor ofValue = in[0].abs();
        Tensor ofGate = ofValue.mul(half(in[1], gated.value(in[0].size(-1))).abs());
        yield (gated.gateFirst() ? Tensor.concat(-1, ofGate, ofValue) : Tensor.concat(-1, ofValue, ofGate)).toDoubles();
      }
      default -> null;
    };
  }

  private static Tensor half(Tensor x, long start) {
    return x.slice(-1, start, start + x.size(-1) / 2);
  }

  /** Elements are compared one by one; where results are sums, to a part of the largest. */
  private static Optional<String> difference(Op op, Tensor[] in, Tensor expected, Tensor actual, double[] scales) {
    if (!expected.dtype().isFloating()) {
      long[] e = expected.toLongs();
      long[] a = actual.toLongs();
      int at = Arrays.mismatch(e, a);
      return at < 0 ? Optional.empty() : Optional.of("element " + at + " is " + a[at] + ", expected " + e[at]);
    }
    boolean wide = expected.dtype() == DType.F64 && !(op instanceof Fused.GlobalNorm);
    boolean rounded = expected.dtype() == DType.BF16;
    // Where sums in another order fall to the two sides of a tie, BF16 differs by a unit in the last of its places.
    double relative = wide ? 1e-13 : rounded ? 0x1p-7 : 8e-6;
    double absolute = wide ? 1e-14 : 1e-6;
    double[] e = expected.toDoubles();
    double[] a = actual.toDoubles();
    if (op instanceof Reduction.Sum) {
      // Numbers that cancel leave the rounding of those that did not.
      double sizes = Arrays.stream(in[0].toDoubles()).map(Math::abs).filter(x -> x < 1e3).sum() / Math.max(1, e.length);
      absolute = Math.max(absolute, (wide ? 1e-16 : 1e-7) * sizes);
    }
    if (isSum(op)) {
      double largest = Arrays.stream(e).filter(Double::isFinite).map(Math::abs).max().orElse(0);
      absolute = Math.max(absolute, (wide ? 1e-13 : roundsWithin(op, in, expected) ? 0x1p-7 : 2e-5) * largest);
    }
    for (int i = 0; i < e.length; i++) {
      if (scales != null && !Double.isFinite(scales[i])) {
        // What is infinitely large may be multiplied by zero, or by what rounds to it.
        continue;
      }
      double allowed = relative * Math.abs(e[i]) + absolute * (scales == null ? 1 : Math.max(1, scales[i]));
      if (e[i] != a[i] && !(Double.isNaN(e[i]) && Double.isNaN(a[i])) && !(Math.abs(e[i] - a[i]) <= allowed)) {
        return Optional.of("element " + i + " is " + a[i] + ", expected " + e[i]);
      }
    }
    return Optional.empty();
  }

  /** Whether what is between is BF16 on a card: what a product is added to, the thin side of a rank update. */
  private static boolean roundsWithin(Op op, Tensor[] in, Tensor expected) {
    return in[0].dtype() == DType.BF16 && op instanceof Contraction && expected.dtype() == DType.BF16;
  }

  private static boolean isSum(Op op) {
    return !(op instanceof Unary || op instanceof Binary || op instanceof Layout || op instanceof Fused.ActivationGrad
        || op instanceof Fused.Gated || op instanceof Fused.GatedGrad);
  }
}
