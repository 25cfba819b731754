package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.testing.Dense;
import org.deft4j.nn.Linear;
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

  /** Written again, the header tells the scales as it did: only what holds of kohya's files is left out. */
  @Test
  void theHeaderOfAFileWrittenAgain() {
    String fields = """
        {"unet.lora_alpha": 8, "unet.alpha_pattern": {"to_q": 2}}
        """;
    Map<String, String> metadata = Map.of("format", "pt", "author", "someone", "modelspec.title", "cat", "modelspec.hash_sha256", "0x1",
        "modelspec.implementation", "diffusers", "sshs_model_hash", "1", "sshs_legacy_hash", "2", "ss_network_alpha", "8", CONFIG, fields);
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      put("unet", FEED_FORWARD, RANK);
      for (DiffusersLora.Style style : List.of(DiffusersLora.Style.PEFT, DiffusersLora.Style.OLDER)) {
        Path copy = temporary.resolve(style + ".safetensors");
        try (PipelineAdapter adapter = read(metadata, "unet")) {
          DiffusersLora.write(copy, adapter, style, DType.F32);
        }
        try (SafetensorsFile file = SafetensorsFile.open(copy); PipelineAdapter again = read(copy, "unet")) {
          assertEquals(Map.of("format", "pt", "author", "someone", "modelspec.title", "cat", CONFIG, fields), file.metadata());
          assertScale(0.5, again, "unet", QUERY);
          assertScale(2, again, "unet", FEED_FORWARD);
        }
      }
    }
  }

  /** To the byte, in each type of tensors. */
  @Test
  void aFileOfDiffusersIsWrittenAsItWas() throws IOException {
    Path file = temporary.resolve("lora.safetensors");
    Path copy = temporary.resolve("copy.safetensors");
    String fields = "{\n  \"unet.lora_alpha\": 8,\n  \"unet.r\": 4,\n  \"unet.target_modules\": [\n    \"to_q\",\n    \"ff\"\n  ]\n}";
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      put("unet", FEED_FORWARD, RANK);
      Map<String, Tensor> wide = Map.copyOf(tensors);
      for (DType type : List.of(DType.F32, DType.F16, DType.BF16)) {
        wide.forEach((name, tensor) -> tensors.put(name, tensor.cast(type)));
        try (PipelineAdapter adapter = read(Map.of("format", "pt", CONFIG, fields), "unet")) {
          DiffusersLora.write(copy, adapter, DiffusersLora.Style.PEFT, adapter.storedType());
        }
        assertArrayEquals(Files.readAllBytes(file), Files.readAllBytes(copy), type.toString());
      }
    }
  }

  /** Alphas beside the matrices stay where they were, to the byte, whatever the header tells. */
  @Test
  void alphasBesideTheMatricesStay() throws IOException {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      put("unet", FEED_FORWARD, RANK);
      putAlpha("unet.attn.to_q.alpha", 6);
      Path copy = temporary.resolve("copy.safetensors");
      for (Map<String, String> metadata : List.of(Map.of("format", "pt"), Map.of("format", "pt", CONFIG, "{\"unet.lora_alpha\": 8}"))) {
        try (PipelineAdapter adapter = read(metadata, "unet")) {
          DiffusersLora.write(copy, adapter, DiffusersLora.Style.PEFT, DType.F32);
        }
        assertArrayEquals(Files.readAllBytes(temporary.resolve("lora.safetensors")), Files.readAllBytes(copy));
      }
    }
  }

  /** What came from elsewhere has its scale in B. */
  @Test
  void whatNothingTellsIsInB() {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK, "lora_unet_attn_to_q.lora_down.weight", "lora_unet_attn_to_q.lora_up.weight");
      putAlpha("lora_unet_attn_to_q.alpha", 6);
      Path copy = temporary.resolve("copy.safetensors");
      try (PipelineAdapter adapter = read(Map.of(), "unet")) {
        DiffusersLora.write(copy, adapter, DiffusersLora.Style.PEFT, DType.F32);
      }
      try (SafetensorsFile file = SafetensorsFile.open(copy); PipelineAdapter again = read(copy, "unet")) {
        assertFalse(file.names().contains("unet.attn.to_q.alpha"));
        assertScale(1.5, again, "unet", QUERY);
      }
    }
  }

  /** The names of the first text encoders' LoRAs. */
  @Test
  void theOldestNamesOfTextEncoders() {
    try (Scope _ = Scope.open(); TextModel text = new TextModel()) {
      String attention = "text_encoder.text_model.encoder.layers.0.self_attn.";
      Map<String, Tensor> named = new LinkedHashMap<>();
      for (String projection : List.of("q", "k", "v", "out")) {
        named.put(attention + "to_" + projection + "_lora.down.weight", Dense.normal(1, 2, IN).tensor(DType.F32));
        named.put(attention + "to_" + projection + "_lora.up.weight", Dense.normal(2, IN, 2).tensor(DType.F32));
      }
      Path file = temporary.resolve("text.safetensors");
      SafetensorsWriter.write(file, named, Map.of());
      try (PipelineAdapter adapter = AdapterFiles.read(file, Map.of("text_encoder", text), ReadOptions.STRICT)) {
        assertEquals(List.of("q_proj", "k_proj", "v_proj", "out_proj").stream().map(name -> attention.replace("text_encoder.", "") + name).toList(),
            List.copyOf(adapter.sets().get("text_encoder").adapters().keySet()));
      }
    }
  }

  /** The attention of a text encoder. */
  private static final class TextModel extends Module {
    TextModel() {
      for (String projection : List.of("q_proj", "k_proj", "v_proj", "out_proj")) {
        Linear layer = child("text_model.encoder.layers.0.self_attn." + projection, new Linear(IN, IN, false));
        layer.weight().set(Scope.release(Tensor.zeros(DType.F32, IN, IN)));
        Scope.adopt(layer.weight().value());
      }
    }
  }

  /** A kohya file has its scales in alphas of its own, so the fields of another format would be a second truth. */
  @Test
  void theFieldsAreDiffusersAlone() {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK);
      Path kohya = temporary.resolve("kohya.safetensors");
      try (PipelineAdapter adapter = read(Map.of(CONFIG, "{\"unet.lora_alpha\": 8}"), "unet")) {
        KohyaLora.write(kohya, adapter, Map.of("unet", adapter.sets().get("unet").model()), KohyaNames.Style.DIFFUSERS, DType.F32, "t");
      }
      try (SafetensorsFile file = SafetensorsFile.open(kohya)) {
        assertFalse(file.metadata().containsKey(CONFIG));
        assertEquals(8, file.load("lora_unet_attn_to_q.alpha").item());
      }
    }
  }

  /** The file of one model, as {@code save_lora_adapter} and {@code save_attn_procs} write it, is the main model's. */
  @Test
  void namesWithoutTheModel() {
    try (Scope _ = Scope.open()) {
      put("unet", QUERY, RANK, "attn.processor.to_q_lora.down.weight", "attn.processor.to_q_lora.up.weight");
      put("unet", FEED_FORWARD, RANK, "ff.lora_A.weight", "ff.lora_B.weight");
      Path copy = temporary.resolve("copy.safetensors");
      try (PipelineAdapter adapter = read(Map.of(CONFIG, "{\"lora_alpha\": 8, \"alpha_pattern\": {\"ff\": 2}}"), "unet", "text_encoder")) {
        assertScale(2, adapter, "unet", QUERY);
        assertScale(0.5, adapter, "unet", FEED_FORWARD);
        DiffusersLora.write(copy, adapter, DiffusersLora.Style.PEFT, DType.F32);
      }
      try (PipelineAdapter again = read(copy, "unet")) {
        assertScale(2, again, "unet", QUERY);
        assertScale(0.5, again, "unet", FEED_FORWARD);
      }
      putAlpha("ff.alpha", 12);
      try (PipelineAdapter adapter = read(Map.of(), "unet")) {
        assertScale(1, adapter, "unet", QUERY);
        assertScale(3, adapter, "unet", FEED_FORWARD);
        assertTrue(adapter.notices().getFirst().contains("1 of 2 layers have no alpha, such as attn.to_q"), adapter.notices().toString());
      }
    }
  }
}
