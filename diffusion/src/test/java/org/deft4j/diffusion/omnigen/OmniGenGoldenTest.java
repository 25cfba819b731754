package org.deft4j.diffusion.omnigen;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** OmniGen's transformer, part by part and as a whole, against the official classes. */
class OmniGenGoldenTest {
  private static final double PARTS = 2e-5;
  private static final double FORWARD = 5e-5;
  /** What rounding to BF16 changes. */
  private static final double BF16 = 0.08;
  private static final List<String> FORWARDS = List.of("forward_text", "forward_images", "forward_long");

  static List<OmniGenModelFixture> fixtures() {
    return OmniGenModelFixture.all();
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void positionTable(OmniGenModelFixture fixture) {
    try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(null)) {
      Pattern crop = Pattern.compile("pos_crop\\.(\\d+)x(\\d+)");
      int compared = 0;
      for (Map.Entry<String, Tensor> entry : fixture.golden("parts").entrySet()) {
        Matcher size = crop.matcher(entry.getKey());
        if (size.matches()) {
          long patch = model.config().patch();
          Fixtures.equal(entry.getKey(), model.positions(Long.parseLong(size.group(1)) / patch,
              Long.parseLong(size.group(2)) / patch), entry.getValue());
          compared++;
        }
      }
      assertTrue(compared > 0, "no crops in " + fixture);
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void rotaryAngles(OmniGenModelFixture fixture) {
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> golden = fixture.golden("parts");
      LongRope rope = fixture.config().rope();
      long count = golden.get("rope.short.cos").size(0);
      long[] positions = java.util.stream.LongStream.range(0, count).toArray();
      for (String kind : List.of("short", "long")) {
        LongRope.Angles angles = rope.angles(Tensor.of(positions, 1, count), kind.equals("short") ? count : rope.original() + 1);
        Fixtures.closeTo(kind + " cos", both(angles.cos()), golden.get("rope." + kind + ".cos"), PARTS);
        Fixtures.closeTo(kind + " sin", both(angles.sin()), golden.get("rope." + kind + ".sin"), PARTS);
      }
    }
  }

  /** [1,1,S,d/2] to [S,d], each half the same, as the reference keeps them. */
  private static Tensor both(Tensor half) {
    Tensor rows = half.reshape(half.size(2), half.size(3));
    return Tensor.concat(1, rows, rows);
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void embeddersAndPatches(OmniGenModelFixture fixture) {
    try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(null)) {
      Map<String, Tensor> golden = fixture.golden("parts");
      Map<String, Module> modules = model.modules();
      for (String name : List.of("time_token", "t_embedder")) {
        TimestepEmbedder embedder = (TimestepEmbedder) modules.get(name);
        Fixtures.closeTo(name, embedder.forward(golden.get("time.t")), golden.get("time." + name), PARTS);
      }
      int compared = 0;
      for (Map.Entry<String, Tensor> entry : golden.entrySet()) {
        if (entry.getKey().startsWith("input_tokens.")) {
          Tensor latent = golden.get(entry.getKey().replace("input_tokens", "latent"));
          Fixtures.closeTo(entry.getKey(), model.inputTokens(latent), entry.getValue(), PARTS);
          compared++;
        }
      }
      assertTrue(compared > 0, "no input tokens in " + fixture);
      Fixtures.closeTo("x_tokens", model.outputTokens(golden.get("x_tokens.in")), golden.get("x_tokens.out"), PARTS);
      Fixtures.equal("unpatchify", model.latent(golden.get("unpatchify.in"), golden.get("unpatchify.out")),
          golden.get("unpatchify.out"));
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void forward(OmniGenModelFixture fixture) {
    try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(null)) {
      for (String name : FORWARDS) {
        Map<String, Tensor> golden = fixture.golden(name);
        Map<String, Tensor> given = new HashMap<>();
        try (Module.Listening _ = model.listen((path, output) -> given.put(path, output.share()))) {
          Fixtures.closeTo(name, run(fixture, model, name, golden, DType.F32), golden.get("output"), FORWARD);
        }
        golden.forEach((key, expected) -> {
          if (key.startsWith("hidden_")) {
            Fixtures.closeTo(name + " " + key, given.get("llm.layers." + key.substring("hidden_".length())), expected, FORWARD);
          }
        });
        for (Map.Entry<String, String> step : Map.of("inputs_embeds", "inputs_embeds", "final_norm", "llm.norm").entrySet()) {
          if (golden.containsKey(step.getKey())) {
            Fixtures.closeTo(name + " " + step.getKey(), given.get(step.getValue()), golden.get(step.getKey()), FORWARD);
          }
        }
        given.values().forEach(Tensor::close);
      }
    }
  }

  /**
   * In float64 the distance to the golden data is what the golden data's own rounding is; so even the epsilon of the norms, whose mistake
   * hides in float32, is seen.
   */
  @ParameterizedTest
  @MethodSource("fixtures")
  void forwardInFloat64(OmniGenModelFixture fixture) {
    OmniGenConfig right = fixture.config();
    OmniGenConfig wrong = new OmniGenConfig(right.hidden(), right.layers(), right.heads(), right.keyValueHeads(), right.intermediate(),
        right.vocabulary(), right.eps() / 10, right.rope(), right.patch(), right.latents(), right.tableSide(), right.padToken());
    JsonObject recorded = Json.read(fixture.folder().resolve("tolerances.json"));
    for (String name : FORWARDS) {
      double limit = 1.5 * recorded.requireObject(name + ".safetensors").requireObject("output").requireNumber("max_diff_float64");
      double error = errorInFloat64(fixture, right, name);
      assertTrue(error <= limit, name + ": error " + error + ", limit " + limit);
      double errorOfEpsilon = errorInFloat64(fixture, wrong, name);
      assertTrue(errorOfEpsilon > limit, name + ": a tenth of epsilon gives " + errorOfEpsilon + " only, limit " + limit);
    }
  }

  private static double errorInFloat64(OmniGenModelFixture fixture, OmniGenConfig config, String name) {
    Map<String, UnaryOperator<Tensor>> toDouble = new HashMap<>();
    new OmniGenTransformer(config).parameters().keySet().forEach(key -> toDouble.put(key, w -> w.cast(DType.F64)));
    try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(config, null, toDouble)) {
      Map<String, Tensor> golden = fixture.golden(name);
      Tensor output = run(fixture, model, name, golden, DType.F64);
      assertEquals(DType.F64, output.dtype());
      return output.sub(golden.get("output").cast(DType.F64)).abs().max(false).item();
    }
  }

  /** Weights in 16 bits change what the model computes by their rounding, and by no more than a mistake would. */
  @ParameterizedTest
  @MethodSource("fixtures")
  void forwardWithWeightsIn16Bits(OmniGenModelFixture fixture) {
    for (Map.Entry<DType, Double> type : Map.of(DType.BF16, BF16, DType.F16, 0.01).entrySet()) {
      try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(type.getKey())) {
        Map<String, Tensor> golden = fixture.golden("forward_images");
        Tensor output = run(fixture, model, "forward_images", golden, DType.F32);
        Fixtures.closeTo(type.getKey() + " weights", output, golden.get("output"), type.getValue());
      }
    }
  }

  /** So do activations in BF16. */
  @ParameterizedTest
  @MethodSource("fixtures")
  void forwardWithActivationsInBf16(OmniGenModelFixture fixture) {
    Precision before = Precision.current();
    Precision.use(Precision.BF16);
    try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(null)) {
      Map<String, Tensor> golden = fixture.golden("forward_images");
      Tensor output = run(fixture, model, "forward_images", golden, DType.F32);
      assertEquals(DType.F32, output.dtype());
      Fixtures.closeTo("BF16 activations", output, golden.get("output"), BF16);
      assertThrows(AssertionError.class, () -> Fixtures.closeTo("BF16 activations", output, golden.get("output"), BF16 / 1000));
    } finally {
      Precision.use(before);
    }
  }

  private static Tensor run(OmniGenModelFixture fixture, OmniGenTransformer model, String name, Map<String, Tensor> golden, DType type) {
    OmniGenModelFixture.Condition condition = fixture.condition(name, golden);
    List<List<Tensor>> pictures =
        condition.pictures().stream().map(row -> row.stream().map(latent -> latent.cast(type)).toList()).toList();
    List<Tensor> noisy = OmniGenModelFixture.list(golden, "x").stream().map(x -> x.cast(type)).toList();
    return Tensor.concat(0, model.forward(condition.input(), pictures, noisy, golden.get("t").cast(type), null));
  }
}
