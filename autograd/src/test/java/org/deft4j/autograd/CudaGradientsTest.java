package org.deft4j.autograd;

import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.deft4j.tensor.op.Layout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Every sample of every operation, and its gradients, on a card (or on the processor in its place): what the CPU gives, in float64. */
@ExtendWith(OnCard.class)
class CudaGradientsTest {
  private static final double ROUNDING = 1e-12;

  static Stream<Sample> all() {
    return Stream.of(OpSamples.differentiable(), OtherSamples.constant(), OtherSamples.firstOrderOnly(), OtherSamples.inPlace())
        .flatMap(List::stream);
  }

  static List<Sample> differentiable() {
    return OpSamples.differentiable();
  }

  private static <T> T on(Device device, Supplier<T> work) {
    Device before = Device.current();
    Device.use(device);
    try {
      return work.get();
    } finally {
      Device.use(before);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void valuesAreTheCpus(Sample sample) {
    double[] expected = on(Device.CPU, () -> value(sample));
    double[] actual = on(Device.CUDA, () -> value(sample));
    assertClose(expected, actual, "result");
  }

  private static double[] value(Sample sample) {
    try (Scope _ = Scope.open()) {
      Tensor[] inputs = sample.make();
      Tensor y = sample.function().apply(inputs);
      assertEquals(sample.op() == Layout.Transfer.class ? Device.CPU : Device.current(), y.device());
      return y.toDoubles();
    }
  }

  @ParameterizedTest
  @MethodSource("differentiable")
  void gradientsAreTheCpus(Sample sample) {
    double[][] expected = on(Device.CPU, () -> gradients(sample));
    double[][] actual = on(Device.CUDA, () -> gradients(sample));
    for (int i = 0; i < expected.length; i++) {
      assertClose(expected[i], actual[i], "gradient of input " + i);
    }
  }

  private static double[][] gradients(Sample sample) {
    try (Scope _ = Scope.open()) {
      Tensor[] inputs = sample.make();
      double[] upstream = GradCheck.upstream(sample.function(), inputs);
      return GradCheck.analytic(Rules::of, sample.function(), upstream, false, inputs);
    }
  }

  private static void assertClose(double[] expected, double[] actual, String what) {
    assertEquals(expected.length, actual.length, what);
    double largest = Arrays.stream(expected).map(Math::abs).max().orElse(0);
    for (int i = 0; i < expected.length; i++) {
      double off = Math.abs(expected[i] - actual[i]);
      assertTrue(expected[i] == actual[i] || off <= ROUNDING * (1 + largest), what + ", element " + i + " is " + actual[i] + ", expected "
          + expected[i]);
    }
  }
}
