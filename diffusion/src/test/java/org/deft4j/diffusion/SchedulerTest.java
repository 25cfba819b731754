package org.deft4j.diffusion;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Names, configurations, errors and properties of the schedulers beyond the golden steps. */
class SchedulerTest {
  private static final String SDXL = "\"num_train_timesteps\": 1000, \"beta_start\": 0.00085, \"beta_end\": 0.012, "
      + "\"beta_schedule\": \"scaled_linear\", \"timestep_spacing\": \"leading\", \"steps_offset\": 1, \"clip_sample\": false";

  private static Scheduler scheduler(String name, String more) {
    return Scheduler.of(Json.parse("{" + SDXL + more + "}", "test"), SchedulerName.parse(name));
  }

  private static String message(String json) {
    return assertThrows(FormatException.class, () -> Scheduler.of(Json.parse(json, "scheduler_config.json"))).getMessage();
  }

  @Test
  void namesOfTheCommandLine() {
    for (SchedulerName name : SchedulerName.values()) {
      assertSame(name, SchedulerName.parse(name.toString()));
      assertEquals(name.type(), scheduler(name.toString(), "").config().type());
      assertEquals(name.karras(), scheduler(name.toString(), "").config().levels().karras());
    }
    String text = assertThrows(IllegalArgumentException.class, () -> SchedulerName.parse("eular")).getMessage();
    assertTrue(text.contains("euler_a, dpmpp_2m, dpmpp_2m_karras"), text);
  }

  /** As diffusers writes it where nothing is clipped. */
  @Test
  void theInfinityOfDiffusersConfigurationsIsRead() {
    String solver = "{\"_class_name\": \"DPMSolverMultistepScheduler\", " + SDXL;
    assertEquals(Double.NEGATIVE_INFINITY, Scheduler.of(Json.parse(solver + ", \"lambda_min_clipped\": -Infinity}", "test"))
        .config().solver().smallestLambda());
    assertEquals(-5.1, Scheduler.of(Json.parse(solver + ", \"lambda_min_clipped\": -5.1}", "test")).config().solver()
        .smallestLambda());
    assertEquals("scheduler_config.json: beta_end: expected a finite number, found the number Infinity",
        message("{\"_class_name\": \"DDIMScheduler\", \"beta_end\": Infinity}"));
  }

  /** A model that knows the noise of a point: every method must end at the point. */
  @Test
  void everySchedulerEndsAtTheCleanSampleOfAPerfectModel() {
    for (SchedulerName name : SchedulerName.values()) {
      Scheduler scheduler = scheduler(name.toString(), ", \"set_alpha_to_one\": true");
      try (Scope _ = Scope.open(); Sampler sampler = scheduler.start(20)) {
        TorchRandom random = new TorchRandom(3);
        Tensor clean = random.normal(DType.F32, 1, 2, 3, 3);
        Tensor x = random.normal(DType.F32, 1, 2, 3, 3).mul(sampler.initNoiseSigma());
        float[] sigmas = sampler.sigmas();
        for (int i = 0; i < sampler.steps(); i++) {
          x = sampler.step(perfectNoise(scheduler, sampler, sigmas, clean, x, i), i, x, random).previous();
        }
        Fixtures.closeTo(name.toString(), x, clean, 0.02);
      }
    }
  }

  private static Tensor perfectNoise(Scheduler scheduler, Sampler sampler, float[] sigmas, Tensor clean, Tensor x, int i) {
    boolean inSigma = scheduler.config().type() == SchedulerType.EULER || scheduler.config().type() == SchedulerType.EULER_ANCESTRAL;
    if (inSigma) {
      return x.sub(clean).mul(1 / sigmas[i]);
    }
    double alpha = sigmas.length > 0 ? 1 / (1 + Math.pow(sigmas[i], 2))
        : scheduler.alphasCumprod()[(int) sampler.timestep(i)];
    return x.sub(clean.mul(Math.sqrt(alpha))).mul(1 / Math.sqrt(1 - alpha));
  }

  @Test
  void configurationsOfPublishedModelsAreRead() {
    for (Path model : Fixtures.folders("manifests")) {
      Path file = model.resolve("configs/scheduler/scheduler_config.json");
      Scheduler scheduler = Scheduler.of(Json.read(file));
      assertEquals(1000, scheduler.noise().steps());
      assertEquals(SchedulerConfig.Spacing.LEADING, scheduler.config().spacing());
      for (SchedulerName name : SchedulerName.values()) {
        Scheduler.of(Json.read(file), name).start(7).close();
      }
    }
  }

  @Test
  void whatIsNotKnownIsRefused() {
    assertTrue(message("{\"_class_name\": \"HeunScheduler\"}").contains("HeunScheduler is not known"));
    assertTrue(message("{}").contains("_class_name"));
    assertTrue(message("{\"_class_name\": \"PNDMScheduler\"}").contains("skip_prk_steps"));
    assertTrue(message("{\"_class_name\": \"DDIMScheduler\", \"thresholding\": true}").contains("thresholding"));
    assertTrue(message("{\"_class_name\": \"DDIMScheduler\", \"prediction_type\": \"x\"}").contains("epsilon, sample, v_pred"));
    assertTrue(message("{\"_class_name\": \"DDIMScheduler\", \"num_train_timesteps\": 0}").contains("num_train_timesteps"));
    assertTrue(message("{\"_class_name\": \"DDIMScheduler\", \"num_train_timesteps\": 2000000000}").contains("1000000"));
    assertTrue(message("{\"_class_name\": \"DDIMScheduler\", \"beta_end\": 1.5}").contains("beta_end"));
    assertTrue(message("{\"_class_name\": \"DDIMScheduler\", \"trained_betas\": [0.1, 2]}").contains("trained_betas"));
    assertTrue(message("{\"_class_name\": \"DPMSolverMultistepScheduler\", \"solver_order\": 3}").contains("solver_order"));
    assertTrue(message("{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": \"dpmsolver\"}")
        .contains("algorithm_type"));
    assertTrue(message("{\"_class_name\": \"EulerDiscreteScheduler\", \"sigma_max\": 80}").contains("sigma_max"));
  }

  @Test
  void otherBetas() {
    assertArrayEquals(new float[] {0.1f, 0.2f},
        Scheduler.of(Json.parse("{\"_class_name\": \"DDPMScheduler\", \"trained_betas\": [0.1, 0.2]}", "")).noise().betas());
    float[] linear = Scheduler.of(Json.parse("{\"_class_name\": \"DDPMScheduler\"}", "")).noise().betas();
    assertEquals(1e-4, linear[0], 1e-10);
    assertEquals((1e-4 + 0.02) / 2, (linear[499] + linear[500]) / 2, 1e-8);
    assertEquals(0.02, linear[999], 1e-9);
    float[] cosine = Scheduler.of(Json.parse("{\"_class_name\": \"DDPMScheduler\", \"beta_schedule\": \"squaredcos_cap_v2\"}",
        "")).alphasCumprod();
    double start = Math.pow(Math.cos(0.008 / 1.008 * Math.PI / 2), 2);
    assertEquals(Math.pow(Math.cos((0.5 + 0.008) / 1.008 * Math.PI / 2), 2) / start, cosine[499], 1e-5);
    assertEquals(1, Scheduler.of(Json.parse("{\"_class_name\": \"DDPMScheduler\", \"num_train_timesteps\": 1}", "")).noise()
        .betas().length);
  }

  @Test
  void snrIsSignalOverNoise() {
    Scheduler scheduler = scheduler("ddpm", "");
    float alpha = scheduler.alphasCumprod()[300];
    assertEquals(alpha / (1.0 - alpha), scheduler.noise().snr(300));
    assertThrows(IndexOutOfBoundsException.class, () -> scheduler.noise().snr(1000));
    assertThrows(IndexOutOfBoundsException.class, () -> scheduler.noise().snr(-1));
  }

  @Test
  void targetsFollowThePrediction() {
    try (Scope _ = Scope.open()) {
      Tensor x0 = Tensor.of(new float[] {1, 2}, 1, 2);
      Tensor noise = Tensor.of(new float[] {3, 4}, 1, 2);
      assertSame(noise, scheduler("ddpm", "").target(x0, noise, 5));
      assertSame(x0, scheduler("ddpm", ", \"prediction_type\": \"sample\"").target(x0, noise, 5));
      Scheduler velocity = scheduler("ddpm", ", \"prediction_type\": \"v_prediction\"");
      Fixtures.equal("velocity", velocity.target(x0, noise, 5), velocity.velocity(x0, noise, 5));
      assertThrows(ShapeException.class, () -> velocity.addNoise(x0, noise, 5, 6));
    }
  }

  @Test
  void impossibleRunsAreRefused() {
    Scheduler ddim = scheduler("ddim", "");
    assertThrows(IllegalArgumentException.class, () -> ddim.start(0));
    assertThrows(IllegalArgumentException.class, () -> ddim.start(1001));
    String text = assertThrows(IllegalArgumentException.class, () -> ddim.start(1000)).getMessage();
    assertTrue(text.contains("timestep 1000"), text);
    assertThrows(IllegalArgumentException.class, () -> scheduler("euler_a", ", \"prediction_type\": \"sample\"").start(5));
    assertThrows(IllegalArgumentException.class, () -> SamplerOptions.ofEta(-1));
    assertThrows(IllegalArgumentException.class, () -> SamplerOptions.ofEta(Double.NaN));
  }

  @Test
  void multistepMethodsInsistOnTheOrderOfTheirSteps() {
    try (Scope _ = Scope.open(); Sampler sampler = scheduler("dpmpp_2m", "").start(5)) {
      Tensor x = Tensor.zeros(DType.F32, 1, 1, 2, 2);
      Supplier<Tensor> none = () -> {
        throw new AssertionError("no noise is needed");
      };
      sampler.step(x, 0, x, none);
      assertThrows(IllegalStateException.class, () -> sampler.step(x, 3, x, none));
      assertThrows(IndexOutOfBoundsException.class, () -> sampler.step(x, 5, x, none));
      assertThrows(ShapeException.class, () -> sampler.step(x.reshape(1, 1, 4), 1, x, none));
    }
  }

  @Test
  void closingLetsGoOfTheHistory() {
    for (String name : List.of("dpmpp_2m", "pndm")) {
      Tensor output = Tensor.zeros(DType.F32, 1, 1, 2, 2);
      long before = MemoryPool.cpu().liveBytes();
      Sampler sampler = scheduler(name, "").start(5);
      try (Scope _ = Scope.open()) {
        Tensor x = Tensor.zeros(DType.F32, 1, 1, 2, 2);
        for (int i = 0; i < 3; i++) {
          x = sampler.step(output.add(1), i, x, new TorchRandom(0)).previous();
        }
      }
      assertFalse(MemoryPool.cpu().liveBytes() == before, name);
      sampler.close();
      assertEquals(before, MemoryPool.cpu().liveBytes(), name);
      output.close();
    }
  }
}
