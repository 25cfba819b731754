package org.deft4j.nn;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

/** Optimizers, clipping and schedules against PyTorch's and diffusers' (fixtures {@code ops}). */
class OptimizerGoldenTest {
  private static final double LIMIT = 2e-6;

  private final Path folder = Fixtures.folder("ops");
  private final JsonObject runs = Json.read(folder.resolve("optim.json"));

  @TestFactory
  Stream<DynamicTest> optimizers() {
    return runs.keys().stream().filter(name -> runs.isObject(name) && runs.requireObject(name).has("lr"))
        .map(name -> dynamicTest(name, () -> replay(name, runs.requireObject(name))));
  }

  /** Six steps with given gradients; the parameters after each. */
  private void replay(String name, JsonObject attributes) {
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> golden = Fixtures.golden(folder.resolve("optim.safetensors"));
      Tensor parameter = golden.get(name + ".init").copy();
      Tensor gradients = golden.get(name + ".grads");
      ParameterGroup group = new ParameterGroup("p", List.of(parameter), 1, attributes.requireNumber("weight_decay"));
      try (Optimizer optimizer = optimizer(name, attributes, List.of(group))) {
        for (int i = 0; i < gradients.size(0); i++) {
          Tensor gradient = gradients.select(0, i);
          optimizer.step(p -> gradient);
          Fixtures.relativelyCloseTo(name + " step " + i, parameter, golden.get(name + ".params").select(0, i), LIMIT);
        }
      }
    }
  }

  private static Optimizer optimizer(String name, JsonObject attributes, List<ParameterGroup> groups) {
    double lr = attributes.requireNumber("lr");
    Schedule constant = Schedule.constant();
    if (name.startsWith("sgd")) {
      return new Sgd(groups, lr, constant, attributes.requireNumber("momentum"), attributes.requireBool("nesterov"));
    }
    List<Double> beta = attributes.requireNumbers("betas");
    AdamBetas betas = new AdamBetas(beta.get(0), beta.get(1), attributes.requireNumber("eps"));
    return name.startsWith("adamw") ? new AdamW(groups, lr, constant, betas) : new Adam(groups, lr, constant, betas);
  }

  @TestFactory
  Stream<DynamicTest> clipping() {
    return Stream.of(dynamicTest("clip", () -> {
      try (Scope _ = Scope.open()) {
        Map<String, Tensor> golden = Fixtures.golden(folder.resolve("optim.safetensors"));
        List<Tensor> gradients = new ArrayList<>();
        for (int i = 0; golden.containsKey("clip.grad_in." + i); i++) {
          gradients.add(golden.get("clip.grad_in." + i).copy());
        }
        double norm = GradientClip.globalNorm(gradients, runs.requireObject("clip").requireNumber("max_norm")).item();
        double expected = golden.get("clip.total_norm").item();
        assertEquals(expected, norm, LIMIT * expected);
        for (int i = 0; i < gradients.size(); i++) {
          Fixtures.relativelyCloseTo("gradient " + i, gradients.get(i), golden.get("clip.grad_out." + i), LIMIT);
        }
      }
    }));
  }

  @TestFactory
  Stream<DynamicTest> schedules() {
    JsonObject schedules = runs.requireObject("lr_schedules");
    return schedules.keys().stream().map(name -> dynamicTest(name, () -> {
      JsonObject attributes = schedules.requireObject(name);
      double base = attributes.requireNumber("base_lr");
      Schedule schedule = schedule(name, attributes, base);
      List<Double> rates = attributes.requireNumbers("lr");
      for (int step = 0; step < rates.size(); step++) {
        assertEquals(rates.get(step), base * schedule.factor(step), 1e-12 * base, "step " + step);
      }
    }));
  }

  private static Schedule schedule(String name, JsonObject attributes, double base) {
    long warmup = attributes.requireInteger("warmup");
    long total = attributes.requireInteger("total");
    return switch (name) {
      case "constant" -> Schedule.constant();
      case "constant_with_warmup" -> Schedule.constantWithWarmup(warmup);
      case "linear" -> Schedule.linear(warmup, total);
      case "cosine" -> Schedule.cosine(warmup, total);
      case "cosine_with_restarts" ->
          Schedule.cosineWithRestarts(warmup, total, attributes.requireInteger("num_cycles"));
      case "polynomial" -> Schedule.polynomial(warmup, total, 1e-7 / base, 1);
      default -> throw new AssertionError("no schedule is called " + name);
    };
  }
}
