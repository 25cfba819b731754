package org.deft4j.diffusion;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Tables and steps of every scheduler against diffusers' (see the README of the fixture folder). */
class SchedulerFixtureTest {
  private static final double STEP = 5e-6;
  private static final double ZERO_SNR_FIRST_STEP = 1e-4;
  private static final double SIGMA = 2e-6;

  /** Of the class that {@code entry} names, with its constructor's arguments. */
  private static Scheduler scheduler(JsonObject entry) {
    Map<String, Object> config = new LinkedHashMap<>(entry.requireObject("config").asMap());
    config.put("_class_name", entry.requireString("class"));
    return Scheduler.of(Json.parse(Json.format(config), entry.source()));
  }

  private static Scheduler ddpmOf(JsonObject tables, String config) {
    return scheduler(tables.requireObject(config).requireObject("ddpm"));
  }

  @TestFactory
  Stream<DynamicTest> tables() {
    List<DynamicTest> tests = new ArrayList<>();
    for (Path folder : Fixtures.folders("schedulers")) {
      JsonObject tables = Fixtures.json(folder.resolve("tables.json")).requireObject("tables");
      for (String config : tables.keys()) {
        for (String name : tables.requireObject(config).keys()) {
          JsonObject entry = tables.requireObject(config).requireObject(name);
          tests.add(DynamicTest.dynamicTest(config + " " + name, () -> checkTable(entry)));
        }
      }
    }
    return tests.stream();
  }

  private static void checkTable(JsonObject entry) {
    Scheduler scheduler = scheduler(entry);
    boolean fractional = scheduler.config().levels().karras() && scheduler.config().type() == SchedulerType.EULER;
    JsonObject steps = entry.requireObject("steps");
    for (String n : steps.keys()) {
      JsonObject expected = steps.requireObject(n);
      try (Sampler sampler = scheduler.start(Integer.parseInt(n))) {
        double[] timesteps = expected.requireNumbers("timesteps").stream().mapToDouble(x -> x).toArray();
        assertArrayEquals(timesteps, sampler.timesteps(), fractional ? 1e-3 : 0, n + " steps: timesteps");
        if (expected.has("sigmas")) {
          checkSigmas(expected.requireNumbers("sigmas"), sampler.sigmas(), n);
        }
        double sigma = expected.requireNumber("init_noise_sigma");
        assertEquals(sigma, sampler.initNoiseSigma(), SIGMA * sigma, n + " steps: init_noise_sigma");
      }
    }
  }

  private static void checkSigmas(List<Double> expected, float[] actual, String n) {
    assertEquals(expected.size(), actual.length, n + " steps: number of sigmas");
    for (int i = 0; i < actual.length; i++) {
      assertEquals(expected.get(i), actual[i], SIGMA * expected.get(i), n + " steps: sigma " + i);
    }
  }

  @Test
  void betasAndAlphas() {
    for (Path folder : Fixtures.folders("schedulers")) {
      JsonObject tables = Fixtures.json(folder.resolve("tables.json")).requireObject("tables");
      try (Scope _ = Scope.open()) {
        Map<String, Tensor> golden = Fixtures.golden(folder.resolve("betas.safetensors"));
        for (String config : tables.keys()) {
          NoiseSchedule noise = ddpmOf(tables, config).noise();
          assertRelative(config + " betas", golden.get(config + ".betas").toFloats(), noise.betas());
          assertRelative(config + " alphas", golden.get(config + ".alphas_cumprod").toFloats(), noise.alphasCumprod());
        }
      }
    }
  }

  private static void assertRelative(String what, float[] expected, float[] actual) {
    assertEquals(expected.length, actual.length, what);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], SIGMA * expected[i], what + " " + i);
    }
  }

  @Test
  void addNoiseAndVelocity() {
    for (Path folder : Fixtures.folders("schedulers")) {
      JsonObject tables = Fixtures.json(folder.resolve("tables.json")).requireObject("tables");
      try (Scope _ = Scope.open()) {
        Map<String, Tensor> golden = Fixtures.golden(folder.resolve("steps.safetensors"));
        Tensor x0 = golden.get("add_noise.x0");
        Tensor noise = golden.get("add_noise.noise");
        long[] timesteps = golden.get("add_noise.timesteps").toLongs();
        int checked = 0;
        for (String config : tables.keys()) {
          Scheduler scheduler = ddpmOf(tables, config);
          Fixtures.relativelyCloseTo("add_noise " + config, scheduler.addNoise(x0, noise, timesteps),
              golden.get("add_noise." + config + ".ddpm"), STEP);
          Fixtures.relativelyCloseTo("get_velocity " + config, scheduler.velocity(x0, noise, timesteps),
              golden.get("get_velocity." + config), STEP);
          checked++;
        }
        assertTrue(checked > 0);
      }
    }
  }

  /** {@code add_noise.euler.<n>}: the noise of a run of n steps, at some of its timesteps. */
  @Test
  void addNoiseOfEuler() {
    for (Path folder : Fixtures.folders("schedulers")) {
      JsonObject tables = Fixtures.json(folder.resolve("tables.json")).requireObject("tables");
      try (Scope _ = Scope.open()) {
        Map<String, Tensor> golden = Fixtures.golden(folder.resolve("steps.safetensors"));
        String name = golden.keySet().stream().filter(key -> key.matches("add_noise\\.euler\\.\\d+")).findFirst().orElseThrow();
        Scheduler scheduler = scheduler(tables.requireObject(tables.keys().iterator().next()).requireObject("euler"));
        try (Sampler sampler = scheduler.start(Integer.parseInt(name.substring(name.lastIndexOf('.') + 1)))) {
          List<Double> all = Arrays.stream(sampler.timesteps()).boxed().toList();
          int[] steps = Arrays.stream(golden.get("add_noise.euler.timesteps").toDoubles()).mapToInt(all::indexOf)
              .toArray();
          Fixtures.relativelyCloseTo(name, sampler.addNoise(golden.get("add_noise.x0"), golden.get("add_noise.noise"), steps),
              golden.get(name), STEP);
        }
      }
    }
  }

  @TestFactory
  Stream<DynamicTest> steps() {
    List<DynamicTest> tests = new ArrayList<>();
    for (Path folder : Fixtures.folders("schedulers")) {
      JsonObject cases = Fixtures.json(folder.resolve("steps.json"));
      for (String name : cases.keys()) {
        JsonObject entry = cases.requireObject(name);
        tests.add(DynamicTest.dynamicTest(name, () -> checkSteps(folder, name, entry)));
      }
    }
    return tests.stream();
  }

  private static SamplerOptions options(JsonObject arguments) {
    return new SamplerOptions(arguments.number("eta", 0), arguments.number("s_churn", 0), arguments.number("s_tmin", 0),
        arguments.number("s_tmax", Double.POSITIVE_INFINITY), arguments.number("s_noise", 1));
  }

  private static Map<String, Tensor> tensorsOf(Path folder, String name) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try (SafetensorsFile file = SafetensorsFile.open(Fixtures.unpacked(folder.resolve("steps.safetensors")))) {
      file.names().stream().filter(tensor -> tensor.startsWith(name + ".")).forEach(tensor -> tensors.put(tensor, file.load(tensor)));
    }
    return tensors;
  }

  private static void checkSteps(Path folder, String name, JsonObject entry) {
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> golden = tensorsOf(folder, name);
      Scheduler scheduler = scheduler(entry);
      try (Sampler sampler = scheduler.start(entry.requireInteger("num_inference_steps"),
          options(entry.requireObject("step_kwargs")))) {
        double sigma = entry.requireNumber("init_noise_sigma");
        assertEquals(sigma, sampler.initNoiseSigma(), SIGMA * sigma);
        assertArrayEquals(golden.get(name + ".timesteps").toDoubles(), sampler.timesteps(), 1e-3);
        Tensor noise = golden.get(name + ".noise");
        int[] drawn = {0};
        Supplier<Tensor> source = () -> noise.select(0, drawn[0]++);
        Tensor x = golden.get(name + ".start");
        for (int i = 0; i < sampler.steps(); i++) {
          double limit = i == 0 && scheduler.config().betas().zeroSnr() ? ZERO_SNR_FIRST_STEP : STEP;
          String what = name + " step " + i + " ";
          Fixtures.relativelyCloseTo(what + "input", sampler.scaleModelInput(x, i), at(golden, name + ".scaled_input", i), limit);
          Sampler.Step step = sampler.step(at(golden, name + ".model_output", i), i, x, source);
          Fixtures.relativelyCloseTo(what + "previous", step.previous(), at(golden, name + ".prev_sample", i), limit);
          if (golden.containsKey(name + ".pred_original_sample")) {
            Fixtures.relativelyCloseTo(what + "original", step.original(), at(golden, name + ".pred_original_sample", i), limit);
          }
          x = step.previous();
        }
        assertEquals(noise == null ? 0 : noise.size(0), drawn[0], "noise drawn");
      }
    }
  }

  private static Tensor at(Map<String, Tensor> golden, String name, int step) {
    return golden.get(name).select(0, step);
  }
}
