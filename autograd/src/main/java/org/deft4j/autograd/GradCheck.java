package org.deft4j.autograd;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * Compares a function's gradients with central differences, {@code (f(x + h) - f(x - h)) / 2h}, in float64. With h = 1e-6 the
 * truncation error is of the order 1e-12 and the rounding error 1e-10, far below the tolerance; float32 could not do that.
 * The steps and tolerances are those of {@code torch.autograd.gradcheck}.
 */
public final class GradCheck {
  /** h. */
  public static final double STEP = 1e-6;
  /** Allowed difference, absolute ... */
  public static final double ATOL = 1e-5;
  /** ... plus this much of the central difference. */
  public static final double RTOL = 1e-3;

  private GradCheck() {}

  /**
   * Checks the gradient of {@code f} by every element of every F64 input, others being constants. A fixed random gradient is
   * sent back through f: twice, which must give equal bits, and once laid out with other strides.
   *
   * @param f a function of its inputs alone; must be smooth at them
   * @param inputs small; no element may share its memory with another; they are changed during the check and restored
   * @throws AssertionError if a gradient is wrong, saying which element of which input, and both values
   */
  public static void check(Function<Tensor[], Tensor> f, Tensor... inputs) {
    if (Arrays.stream(inputs).noneMatch(GradCheck::isChecked)) {
      throw new IllegalArgumentException("gradient check: at least one input must be F64, found " + Arrays.toString(inputs));
    }
    double[] upstream = upstream(f, inputs);
    double[][] expected = numeric(f, upstream, inputs);
    double[][] first = analytic(Rules::of, f, upstream, false, inputs);
    double[][] second = analytic(Rules::of, f, upstream, false, inputs);
    if (!Arrays.deepEquals(first, second)) {
      throw new AssertionError("gradient check: walking back twice gave different bits");
    }
    List<String> problems = new ArrayList<>(differences(expected, first, inputs));
    if (problems.isEmpty()) {
      for (String problem : differences(expected, analytic(Rules::of, f, upstream, true, inputs), inputs)) {
        problems.add("with a gradient of the output that is not contiguous, " + problem);
      }
    }
    if (!problems.isEmpty()) {
      throw new AssertionError("gradient check: " + String.join("; ", problems));
    }
  }

  /** A fixed random gradient for the output of {@code f}, in row-major order, between -1 and 1. */
  static double[] upstream(Function<Tensor[], Tensor> f, Tensor... inputs) {
    SplittableRandom random = new SplittableRandom(7);
    return Arrays.stream(values(f, inputs)).map(ignored -> random.nextDouble(-1, 1)).toArray();
  }

  private static double[] values(Function<Tensor[], Tensor> f, Tensor... inputs) {
    try (Scope _ = Scope.open()) {
      return f.apply(inputs).toDoubles();
    }
  }

  // ------------------------------------------------------------------------------------------ central differences

  /** By input and element, the derivative of {@code sum(upstream * f)}; empty for inputs that are constants. */
  static double[][] numeric(Function<Tensor[], Tensor> f, double[] upstream, Tensor... inputs) {
    double[][] derivatives = new double[inputs.length][0];
    for (int i = 0; i < inputs.length; i++) {
      if (isChecked(inputs[i])) {
        requireNoneShared(i, inputs[i]);
        derivatives[i] = new double[Math.toIntExact(inputs[i].elementCount())];
        for (int e = 0; e < derivatives[i].length; e++) {
          try (Scope _ = Scope.open()) {
            derivatives[i][e] = derivative(f, upstream, inputs, element(inputs[i], e));
          }
        }
      }
    }
    return derivatives;
  }

  /** {@code x} is a view of one element of an input. */
  private static double derivative(Function<Tensor[], Tensor> f, double[] upstream, Tensor[] inputs, Tensor x) {
    double value = x.item();
    try {
      set(x, value + STEP);
      double[] above = values(f, inputs);
      set(x, value - STEP);
      double[] below = values(f, inputs);
      double sum = 0;
      for (int i = 0; i < upstream.length; i++) {
        sum += upstream[i] * (above[i] - below[i]);
      }
      return sum / ((value + STEP) - (value - STEP));
    } finally {
      set(x, value);
    }
  }

  private static void set(Tensor x, double value) {
    x.write(memory -> memory.set(ValueLayout.JAVA_DOUBLE, 0, value));
  }

  /** A view of one element, by its place in row-major order. */
  private static Tensor element(Tensor tensor, int place) {
    long[] index = index(tensor.shape(), place);
    Tensor view = tensor;
    for (int d = 0; d < index.length; d++) {
      view = view.slice(d, index[d], index[d] + 1);
    }
    return view;
  }

  private static boolean isChecked(Tensor input) {
    return input.dtype() == DType.F64;
  }

  private static void requireNoneShared(int input, Tensor tensor) {
    long[] strides = tensor.strides();
    long[] places = new long[Math.toIntExact(tensor.elementCount())];
    for (int e = 0; e < places.length; e++) {
      long[] index = index(tensor.shape(), e);
      places[e] = IntStream.range(0, strides.length).mapToLong(d -> index[d] * strides[d]).sum();
    }
    if (Arrays.stream(places).distinct().count() != places.length) {
      throw new IllegalArgumentException("gradient check: elements of input " + input + ", " + tensor
          + ", share memory, so they cannot be changed one by one; give a copy()");
    }
  }

  private static long[] index(Shape shape, long element) {
    long[] index = new long[shape.rank()];
    long rest = element;
    for (int d = index.length - 1; d >= 0; d--) {
      index[d] = rest % shape.size(d);
      rest /= shape.size(d);
    }
    return index;
  }

  // --------------------------------------------------------------------------------------------------- by the tape

  /** The same by a tape with these rules; zero where nothing came back. */
  static double[][] analytic(Tape.RuleBook rules, Function<Tensor[], Tensor> f, double[] upstream, boolean strided,
      Tensor... inputs) {
    List<Tensor> checked = Arrays.stream(inputs).filter(GradCheck::isChecked).toList();
    try (Scope _ = Scope.open(); Tape tape = Tape.watch(rules, checked)) {
      Tensor y = f.apply(inputs);
      Tensor dy = Tensor.of(upstream).reshape(y.shape().toArray());
      Gradients gradients = tape.gradients(y, strided ? strided(dy) : dy);
      double[][] result = new double[inputs.length][0];
      for (int i = 0; i < inputs.length; i++) {
        if (gradients.has(inputs[i])) {
          result[i] = gradients.of(inputs[i]).toDoubles();
        } else if (isChecked(inputs[i])) {
          result[i] = new double[Math.toIntExact(inputs[i].elementCount())];
        }
      }
      return result;
    }
  }

  /** The same elements, in memory last dimension first and with a gap after each. */
  private static Tensor strided(Tensor x) {
    if (x.rank() == 0) {
      return x;
    }
    int[] reversed = IntStream.range(0, x.rank()).map(i -> x.rank() - 1 - i).toArray();
    Tensor turned = x.permute(reversed);
    Tensor doubled = Tensor.stack(x.rank(), turned, turned).flatten(-2, -1);
    return doubled.slice(-1, 0, doubled.size(-1), 2).permute(reversed);
  }

  // ------------------------------------------------------------------------------------------------------ verdict

  /** One sentence for each input whose gradient is wrong. */
  static List<String> differences(double[][] expected, double[][] actual, Tensor... inputs) {
    List<String> problems = new ArrayList<>();
    for (int i = 0; i < inputs.length; i++) {
      int worst = -1;
      int wrong = 0;
      for (int e = 0; e < expected[i].length; e++) {
        if (excess(expected[i][e], actual[i][e]) > 0) {
          wrong++;
          worst = worst < 0 || excess(expected[i][e], actual[i][e]) > excess(expected[i][worst], actual[i][worst]) ? e : worst;
        }
      }
      if (wrong > 0) {
        problems.add("input " + i + ", " + inputs[i] + ": " + wrong + " of " + expected[i].length
            + " elements differ, most at " + Arrays.toString(index(inputs[i].shape(), worst)) + ", where the tape gives "
            + actual[i][worst] + " and central differences " + expected[i][worst]);
      }
    }
    return problems;
  }

  /** By how much a difference is more than allowed; infinite for NaN. */
  private static double excess(double expected, double actual) {
    double excess = Math.abs(actual - expected) - (ATOL + RTOL * Math.abs(expected));
    return Double.isNaN(excess) ? Double.POSITIVE_INFINITY : excess;
  }
}
