package org.deft4j.nn;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.autograd.Tape;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What the golden runs of {@link OptimizerGoldenTest} do not show: groups, missing gradients, saved states, averages. */
class OptimizerTest {
  private final RandomWeights random = new RandomWeights(5);
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static ParameterGroup group(String name, double factor, double decay, Tensor... parameters) {
    return new ParameterGroup(name, List.of(parameters), factor, decay);
  }

  @Test
  void aGroupHasItsOwnRateAndDecay() {
    Tensor p = Tensor.of(new double[] {1, 2});
    Tensor q = Tensor.of(new double[] {1, 2});
    try (Sgd sgd = new Sgd(List.of(group("p", 1, 0, p), group("q", 0.1, 0.5, q)), 0.1, step -> 1.0 / (step + 1), 0, false)) {
      sgd.step(parameter -> Tensor.of(new double[] {1, 1}));
      assertArrayEquals(new double[] {0.9, 1.9}, p.toDoubles(), 1e-15);
      assertArrayEquals(new double[] {1 - 0.01 * 1.5, 2 - 0.01 * 2}, q.toDoubles(), 1e-15);
      assertEquals(0.05, sgd.currentLearningRate(), 1e-15);
      assertEquals(1, sgd.steps());
    }
  }

  @Test
  void stepsByATapesGradientsLeaveOtherParametersAlone() {
    Tensor used = Tensor.of(new double[] {1, 2});
    Tensor unused = Tensor.of(new double[] {3, 4});
    try (AdamW adam = new AdamW(List.of(group("all", 1, 0.1, used, unused)), 0.01)) {
      try (Tape tape = Tape.watch(used, unused)) {
        adam.step(tape.gradients(used.square().sum()));
      }
      assertArrayEquals(new double[] {3, 4}, unused.toDoubles());
      assertArrayEquals(new double[] {1 * 0.999 - 0.01, 2 * 0.999 - 0.01}, used.toDoubles(), 1e-9);
      assertEquals(List.of("step", "all.0.step", "all.0.exp_avg", "all.0.exp_avg_sq"), List.copyOf(adam.state().keySet()));
    }
  }

  @Test
  void aRestoredRunGoesOnWithTheSameBits() {
    double[] whole = run(6, 0);
    double[] interrupted = run(6, 3);
    assertArrayEquals(whole, interrupted);
  }

  /** Steps with Adam; at step {@code saveAt} the optimizer is thrown away and made again from its saved state. */
  private double[] run(int steps, int saveAt) {
    RandomWeights gradients = new RandomWeights(9);
    Tensor p = new RandomWeights(4).tensor(5);
    Schedule schedule = Schedule.cosine(2, 6);
    Adam adam = new Adam(List.of(group("g", 1, 0.01, p)), 0.1, schedule, AdamBetas.USUAL);
    for (int i = 0; i < steps; i++) {
      if (saveAt > 0 && i == saveAt) {
        Map<String, Tensor> saved = new LinkedHashMap<>();
        adam.state().forEach((name, tensor) -> saved.put(name, tensor.copy()));
        adam.close();
        adam = new Adam(List.of(group("g", 1, 0.01, p)), 0.1, schedule, AdamBetas.USUAL);
        adam.restore(saved);
      }
      Tensor gradient = gradients.tensor(5);
      adam.step(parameter -> gradient);
    }
    adam.close();
    return p.toDoubles();
  }

  @Test
  void aStateOfOtherParametersIsRefused() {
    Tensor p = random.tensor(3);
    try (AdamW adam = new AdamW(List.of(group("g", 1, 0, p)), 0.1)) {
      Map<String, Tensor> state = new LinkedHashMap<>(adam.state());
      state.put("h.0.step", Tensor.of(new long[] {1}));
      assertTrue(assertThrows(IllegalArgumentException.class, () -> adam.restore(state)).getMessage().contains("h.0.step"));
      assertTrue(assertThrows(IllegalArgumentException.class, () -> adam.restore(Map.of())).getMessage()
          .contains("step is missing"));
      Map<String, Tensor> wrong = Map.of("step", Tensor.of(new long[] {1}), "g.0.step", Tensor.of(new long[] {1}),
          "g.0.exp_avg", random.tensor(3), "g.0.exp_avg_sq", random.tensor(4));
      assertTrue(assertThrows(IllegalArgumentException.class, () -> adam.restore(wrong)).getMessage().contains("exp_avg_sq"));
    }
  }

  @Test
  void parametersAreGivenOnceAndInATypeThatCanBeTrained() {
    Tensor p = random.tensor(3);
    assertThrows(IllegalArgumentException.class, () -> new AdamW(List.of(group("a", 1, 0, p), group("b", 1, 0, p)), 0.1));
    assertThrows(IllegalArgumentException.class,
        () -> new AdamW(List.of(group("a", 1, 0, p), group("a", 1, 0, random.tensor(2))), 0.1));
    assertThrows(IllegalArgumentException.class, () -> new AdamW(List.of(group("a", 1, 0, p.cast(DType.F16))), 0.1));
    assertThrows(IllegalArgumentException.class, () -> group("a", -1, 0, p));
    assertThrows(IllegalArgumentException.class, () -> new AdamBetas(1, 0.9, 1e-8));
    assertThrows(IllegalArgumentException.class,
        () -> new Sgd(List.of(group("a", 1, 0, p)), 0.1, Schedule.constant(), 0, true));
  }

  @Test
  void clippingLeavesSmallAndBrokenGradientsAlone() {
    Tensor small = Tensor.of(new float[] {0.3f, 0.4f});
    assertEquals(0.5, GradientClip.globalNorm(List.of(small), 1).item(), 1e-7);
    assertArrayEquals(new float[] {0.3f, 0.4f}, small.toFloats());
    Tensor turned = Tensor.of(new float[] {3, 0, 0, 4}, 2, 2).t();
    assertEquals(5, GradientClip.globalNorm(List.of(turned), Double.POSITIVE_INFINITY).item(), 1e-6);
    Tensor broken = Tensor.of(new float[] {Float.NaN, 100});
    assertTrue(Double.isNaN(GradientClip.globalNorm(List.of(small, broken), 1).item()));
    assertEquals(100, broken.toFloats()[1]);
  }

  @Test
  void movingAveragesFollowTheirFormulaAndSwap() {
    Tensor p = Tensor.of(new double[] {1, -1});
    try (ExponentialMovingAverage average = new ExponentialMovingAverage(List.of(p), 0.15)) {
      double expected = 1;
      List<Double> decays = new ArrayList<>(List.of(0.1, 0.15, 0.15));
      for (int i = 0; i < 3; i++) {
        try (Sgd sgd = new Sgd(List.of(group("g", 1, 0, p)), 1, Schedule.constant(), 0, false)) {
          sgd.step(parameter -> Tensor.of(new double[] {-1, 1}));
        }
        average.update();
        expected = decays.get(i) * expected + (1 - decays.get(i)) * (i + 2);
        assertArrayEquals(new double[] {expected, -expected}, average.averages().getFirst().toDoubles(), 1e-14);
      }
      average.swap();
      assertArrayEquals(new double[] {expected, -expected}, p.toDoubles(), 1e-14);
      average.swap();
      assertArrayEquals(new double[] {4, -4}, p.toDoubles());
    }
  }
}
