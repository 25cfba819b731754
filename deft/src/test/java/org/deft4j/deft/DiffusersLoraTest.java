package org.deft4j.deft;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.testing.Dense;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The scale of each layer of a diffusers file, from all the places where one may be: what is added to the weight is {@code s B A}. */
class DiffusersLoraTest {
  private static final int IN = 6;
  private static final int OUT = 5;
  private static final int RANK = 4;
  private static final String QUERY = "attn.to_q";
  private static final String FEED_FORWARD = "ff";
  private static final String CONFIG = "lora_adapter_metadata";

  @TempDir
  Path temporary;

  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private final Map<String, Dense> products = new LinkedHashMap<>();

  /** Puts matrices of a layer under these names into the file to be written. */
  private void put(String model, String layer, int rank, String down, String up) {
    boolean query = layer.equals(QUERY);
    Dense a = Dense.normal(tensors.size() + 1, rank, query ? IN : OUT);
    Dense b = Dense.normal(tensors.size() + 2, query ? OUT : IN, rank);
    tensors.put(down, a.tensor(DType.F32));
    tensors.put(up, b.tensor(DType.F32));
    products.put(model + "." + layer, b.rounded(DType.F32).times(a.rounded(DType.F32)));
  }

  private void put(String model, String layer, int rank) {
    String path = model + "." + layer;
    put(model, layer, rank, path + ".lora_A.weight", path + ".lora_B.weight");
  }

  private void putAlpha(String name, double alpha) {
    tensors.put(name, Tensor.of(new double[] {alpha}, 1).reshape().cast(DType.F32));
  }

  private PipelineAdapter read(Map<String, String> metadata, String... models) {
    Path file = temporary.resolve("lora.safetensors");
    SafetensorsWriter.write(file, tensors, metadata);
    return read(file, models);
  }

  private static PipelineAdapter read(Path file, String... models) {
    Map<String, Module> pipeline = new LinkedHashMap<>();
    for (String model : models) {
      pipeline.put(model, new TwoLayers(IN, OUT, DType.F32, 1));
    }
    return AdapterFiles.read(file, pipeline, ReadOptions.STRICT);
  }

  private void assertScale(double s, PipelineAdapter adapter, String model, String layer) {
    LayerAdapter one = adapter.sets().get(model).adapters().get(layer);
    Dense expected = products.get(model + "." + layer).times(s);
    Dense found = Dense.of(one.weightDelta(one.layer().weight().value()));
    assertEquals(expected.height(), found.height());
    for (int row = 0; row < expected.height(); row++) {
      assertArrayEquals(expected.rows()[row], found.rows()[row], 1e-4, model + "." + layer + " at scale " + s);
    }
  }

  /** The scales of a file of both layers with these of PEFT's fields in its header. */
  private void assertScales(double query, double feedForward, String fields) {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      put("unet", FEED_FORWARD, RANK);
      try (PipelineAdapter adapter = read(Map.of(CONFIG, fields), "unet")) {
        assertScale(query, adapter, "unet", QUERY);
        assertScale(feedForward, adapter, "unet", FEED_FORWARD);
      }
    }
  }

  @Test
  void anAlphaForOneLayer() {
    assertScales(0.5, 2, """
        {"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"to_q": 2}, "unet.rank_pattern": {}}
        """);
  }

  @Test
  void anAlphaByTheWholePath() {
    assertScales(0.5, 2, """
        {"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn.to_q": 2}}
        """);
  }

  /** The first that matches, from a dot on: what ends in the middle of a word is another layer's. */
  @Test
  void anAlphaByARegularExpression() {
    assertScales(0.5, 2, """
        {"unet.lora_alpha": 8, "unet.alpha_pattern": {"o_q": 1, "f": 1, "to_[qk]": 2, "attn\\\\..*": 3}}
        """);
  }

  @Test
  void anAlphaOverTheRootOfTheRank() {
    assertScales(1, 4, """
        {"unet.lora_alpha": 8, "unet.use_rslora": true, "unet.alpha_pattern": {"to_q": 2}}
        """);
  }

  /** As in PEFT, where fields without one mean 8. */
  @Test
  void theUsualAlpha() {
    assertScales(0.5, 2, """
        {"unet.r": 4, "unet.alpha_pattern": {"to_q": 2}}
        """);
  }

  @Test
  void fieldsOfAnotherModelAlone() {
    assertScales(1, 1, """
        {"text_encoder.lora_alpha": 8, "text_encoder.alpha_pattern": {"to_q": 2}}
        """);
  }

  /** A rank of its own, which the matrices tell, divides a layer's alpha. */
  @Test
  void aRankForOneLayer() {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      put("unet", FEED_FORWARD, 2);
      try (PipelineAdapter adapter = read(Map.of(CONFIG, """
          {"unet.r": 4, "unet.lora_alpha": 8, "unet.rank_pattern": {"ff": 2}, "unet.alpha_pattern": {"ff": 3}}
          """), "unet")) {
        assertScale(2, adapter, "unet", QUERY);
        assertScale(1.5, adapter, "unet", FEED_FORWARD);
      }
    }
  }

  /** Each model has fields of its own. */
  @Test
  void severalModels() {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      put("text_encoder", QUERY, RANK);
      try (PipelineAdapter adapter = read(Map.of(CONFIG, """
          {"unet.lora_alpha": 8, "text_encoder.lora_alpha": 4, "text_encoder.alpha_pattern": {"to_q": 6}}
          """), "unet", "text_encoder")) {
        assertScale(2, adapter, "unet", QUERY);
        assertScale(1.5, adapter, "text_encoder", QUERY);
      }
    }
  }

  /** A layer's own tensor is nearer to it than what the header says. */
  @Test
  void alphasBesideTheMatrices() {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      put("unet", FEED_FORWARD, RANK);
      putAlpha("unet.attn.to_q.alpha", 6);
      try (PipelineAdapter adapter = read(Map.of(), "unet")) {
        assertScale(1.5, adapter, "unet", QUERY);
        assertScale(1, adapter, "unet", FEED_FORWARD);
      }
      try (PipelineAdapter adapter = read(Map.of(CONFIG, """
          {"unet.lora_alpha": 8, "unet.alpha_pattern": {"to_q": 2}}
          """), "unet")) {
        assertScale(1.5, adapter, "unet", QUERY);
        assertScale(2, adapter, "unet", FEED_FORWARD);
      }
    }
  }

  @Test
  void theOlderNames() {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK, "unet.attn.processor.to_q_lora.down.weight", "unet.attn.processor.to_q_lora.up.weight");
      put("unet", FEED_FORWARD, RANK, "unet.ff.lora.down.weight", "unet.ff.lora.up.weight");
      put("text_encoder", QUERY, RANK, "text_encoder.attn.to_q.lora_linear_layer.down.weight",
          "text_encoder.attn.to_q.lora_linear_layer.up.weight");
      try (PipelineAdapter adapter = read(Map.of(), "unet", "text_encoder")) {
        assertScale(1, adapter, "unet", QUERY);
        assertScale(1, adapter, "unet", FEED_FORWARD);
        assertScale(1, adapter, "text_encoder", QUERY);
      }
      putAlpha("unet.ff.alpha", 12);
      putAlpha("text_encoder.attn.to_q.alpha", 2);
      try (PipelineAdapter adapter = read(Map.of(CONFIG, """
          {"unet.lora_alpha": 8, "unet.alpha_pattern": {"to_q": 1}}
          """), "unet", "text_encoder")) {
        assertScale(0.25, adapter, "unet", QUERY);
        assertScale(3, adapter, "unet", FEED_FORWARD);
        assertScale(0.5, adapter, "text_encoder", QUERY);
      }
    }
  }

  @Test
  void aPatternThatIsNoExpression() {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      InputException error = assertThrows(InputException.class, () -> read(Map.of(CONFIG, """
          {"unet.lora_alpha": 8, "unet.alpha_pattern": {"to_[q": 2}}
          """), "unet"));
      assertTrue(error.getMessage().contains("'to_[q' is not a regular expression"), error.getMessage());
    }
  }

  /** Written again, the scales are in B, so what told them is gone; the rest of the header stays. */
  @Test
  void theHeaderOfAFileWrittenAgain() {
    Map<String, String> metadata = Map.of("format", "pt", "author", "someone", "modelspec.title", "cat", "modelspec.hash_sha256", "0x1",
        "modelspec.implementation", "diffusers", "sshs_model_hash", "1", "sshs_legacy_hash", "2", "ss_network_alpha", "8", CONFIG, """
        {"unet.lora_alpha": 8, "unet.alpha_pattern": {"to_q": 2}}
        """);
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      put("unet", FEED_FORWARD, RANK);
      for (DiffusersLora.Style style : List.of(DiffusersLora.Style.PEFT, DiffusersLora.Style.OLDER)) {
        Path copy = temporary.resolve(style + ".safetensors");
        try (PipelineAdapter adapter = read(metadata, "unet")) {
          assertFalse(adapter.metadata().containsKey(CONFIG), "kept for the writers of other formats too");
          DiffusersLora.write(copy, adapter, style, DType.F32);
        }
        try (SafetensorsFile file = SafetensorsFile.open(copy); PipelineAdapter again = read(copy, "unet")) {
          assertEquals(Map.of("format", "pt", "author", "someone", "modelspec.title", "cat"), file.metadata());
          assertScale(0.5, again, "unet", QUERY);
          assertScale(2, again, "unet", FEED_FORWARD);
        }
      }
    }
  }
}
