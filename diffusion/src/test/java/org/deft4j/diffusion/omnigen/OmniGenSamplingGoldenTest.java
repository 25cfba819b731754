package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.deft4j.diffusion.omnigen.OmniGenSampler.Guidance;
import org.deft4j.diffusion.omnigen.OmniGenSampler.Row;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The sampling loop against the official one: without cache, with the correct cache, and with the official cache's first step. */
class OmniGenSamplingGoldenTest {
  private static final double LATENTS = 1e-4;
  private static final double TIMES = 1e-7;
  private static final List<String> CASES = List.of("sample_t2i", "sample_edit", "sample_mixed");
  /** Below it exchanged branches or a turned sign would not be seen. */
  private static final double WRONG = 0.05;

  static List<OmniGenModelFixture> fixtures() {
    return OmniGenModelFixture.all();
  }

  /** A recorded run. */
  private record Run(OmniGenModelFixture fixture, String name, Map<String, Tensor> golden, List<List<Row>> branches) {
    static Run of(OmniGenModelFixture fixture, String name) {
      Map<String, Tensor> golden = fixture.golden(name);
      List<Row> rows = fixture.rows(name + ".combined", golden);
      int count = Math.toIntExact(golden.get("z0").size(0));
      List<List<Row>> branches = new ArrayList<>();
      for (int i = 0; i < rows.size(); i += count) {
        branches.add(rows.subList(i, i + count));
      }
      return new Run(fixture, name, golden, branches);
    }

    List<Integer> steps() {
      return combined().requireInts("steps");
    }

    JsonObject combined() {
      return fixture.cases().requireObject(name + ".combined");
    }

    /** The latents before the first and after each step [steps + 1, B, C, h, w]. */
    Tensor latents(OmniGenTransformer model, List<List<Row>> order, int steps, boolean stacked, KeyValueCache.Kind cache) {
      Guidance guidance = new Guidance(combined().requireNumber("guidance"), combined().requireNumber("img_guidance"), stacked, cache);
      List<Tensor> all = new ArrayList<>(List.of(golden.get("z0")));
      try (OmniGenSampler sampler = new OmniGenSampler(model, order, guidance)) {
        sampler.run(golden.get("z0"), OmniGenSampler.times(steps, 1), (step, latents, velocity) -> all.add(Scope.release(latents.copy())));
      }
      Tensor stackedLatents = Tensor.stack(0, all.toArray(new Tensor[0]));
      all.subList(1, all.size()).forEach(Tensor::close);
      return stackedLatents;
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void times(OmniGenModelFixture fixture) {
    try (Scope _ = Scope.open()) {
      fixture.golden("parts").forEach((name, expected) -> {
        if (name.startsWith("sigma.")) {
          String[] parts = name.split("\\.", -1);
          double shift = parts.length > 2 ? Double.parseDouble(parts[2].substring("shift".length())) : 1;
          float[] times = OmniGenSampler.times(Integer.parseInt(parts[1]), shift);
          Fixtures.closeTo(name, Tensor.of(times, times.length), expected, TIMES);
        }
      });
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void latents(OmniGenModelFixture fixture) {
    try (OmniGenTransformer model = fixture.transformer(null)) {
      Set<KeyValueCache.Kind> compared = EnumSet.noneOf(KeyValueCache.Kind.class);
      for (String name : CASES) {
        try (Scope _ = Scope.open()) {
          Run run = Run.of(fixture, name);
          for (int steps : run.steps()) {
            for (KeyValueCache.Kind cache : KeyValueCache.Kind.values()) {
              if (latents(model, run, steps, cache)) {
                compared.add(cache);
              }
            }
          }
        }
      }
      assertEquals(EnumSet.allOf(KeyValueCache.Kind.class), compared, "caches with a recorded run");
    }
  }

  /** Whether the run is recorded: the repository's copy has the official cache's for one case. */
  private static boolean latents(OmniGenTransformer model, Run run, int steps, KeyValueCache.Kind cache) {
    String golden = steps + (cache == KeyValueCache.Kind.OFFICIAL ? ".latents_official_cache" : ".latents");
    if (!run.golden().containsKey(golden)) {
      return false;
    }
    for (boolean stacked : new boolean[] {true, false}) {
      try (Scope _ = Scope.open()) {
        Fixtures.closeTo(run.name() + " " + golden + (stacked ? " stacked " : " separate ") + cache,
            run.latents(model, run.branches(), steps, stacked, cache), run.golden().get(golden), LATENTS);
      }
    }
    return true;
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void guidedVelocity(OmniGenModelFixture fixture) {
    try (OmniGenTransformer model = fixture.transformer(null); Scope _ = Scope.open()) {
      Run run = Run.of(fixture, "sample_edit");
      int steps = run.steps().getFirst();
      Guidance guidance = new Guidance(run.combined().requireNumber("guidance"), run.combined().requireNumber("img_guidance"), true,
          KeyValueCache.Kind.EXACT);
      try (OmniGenSampler sampler = new OmniGenSampler(model, run.branches(), guidance)) {
        sampler.run(run.golden().get("z0"), OmniGenSampler.times(steps, 1), (step, _, velocity) -> Fixtures.closeTo("velocity " + step,
            velocity, run.golden().get(steps + ".pred").select(0, step - 1L), LATENTS));
      }
    }
  }

  /** What the transformer's golden data does not show: the order of the branches, and the velocity's sign. */
  @ParameterizedTest
  @MethodSource("fixtures")
  void mistakesAreSeen(OmniGenModelFixture fixture) {
    try (OmniGenTransformer model = fixture.transformer(null); Scope _ = Scope.open()) {
      Run run = Run.of(fixture, "sample_edit");
      int steps = run.steps().getFirst();
      Tensor expected = run.golden().get(steps + ".latents");
      List<List<Row>> b = run.branches();
      for (List<List<Row>> order : List.of(List.of(b.get(1), b.get(0), b.get(2)), List.of(b.get(0), b.get(2), b.get(1)),
          List.of(b.get(2), b.get(1), b.get(0)))) {
        assertWrong(run.latents(model, order, steps, true, KeyValueCache.Kind.NONE), expected);
      }
      try (OmniGenTransformer turned = fixture.transformer(fixture.config(), null,
          Map.of("final_layer.linear.weight", Tensor::neg, "final_layer.linear.bias", Tensor::neg))) {
        assertWrong(run.latents(turned, b, steps, true, KeyValueCache.Kind.NONE), expected);
      }
      assertWrong(run.golden().get(steps + ".latents_official_cache"), expected);
    }
  }

  private static void assertWrong(Tensor latents, Tensor expected) {
    double error = latents.sub(expected).abs().max(false).item();
    assertTrue(error > WRONG, "error " + error);
  }
}
