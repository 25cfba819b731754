package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.deft4j.deft.testing.Dense;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The s of a LoRA's layers as PEFT's configuration tells it, layer by layer, and as kohya's files do or do not. */
class LoraScalesTest {
  private static final int IN = 5;
  private static final int OUT = 6;
  private static final String QUERY = "attn.to_q";
  private static final String FEED_FORWARD = "ff";

  @TempDir
  Path temporary;

  private Path folder;

  @BeforeEach
  void makeFolder() throws IOException {
    folder = Files.createDirectory(temporary.resolve("lora"));
  }

  private static TwoLayers model() {
    return new TwoLayers(IN, OUT, DType.F32, 3);
  }

  /** A folder with a LoRA of these ranks on the model's layers, alpha 6 and r 2, and {@code more} in its configuration. */
  private void write(int queryRank, int feedForwardRank, Map<String, Object> more) {
    Map<String, Object> config = new LinkedHashMap<>(Map.of("peft_type", "LORA", "r", 2, "lora_alpha", 6,
        "target_modules", List.of("to_q", FEED_FORWARD), "bias", "none"));
    config.putAll(more);
    Json.write(folder.resolve(PeftFolder.CONFIG), config);
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    put(tensors, QUERY, Dense.normal(10, queryRank, IN), Dense.normal(11, OUT, queryRank));
    put(tensors, FEED_FORWARD, Dense.normal(12, feedForwardRank, OUT), Dense.normal(13, IN, feedForwardRank));
    SafetensorsWriter.write(folder.resolve(PeftFolder.WEIGHTS), tensors, Map.of("format", "pt"));
  }

  private static void put(Map<String, Tensor> tensors, String layer, Dense a, Dense b) {
    tensors.put("base_model.model." + layer + "." + LoraAdapter.A, a.tensor(DType.F32));
    tensors.put("base_model.model." + layer + "." + LoraAdapter.B, b.tensor(DType.F32));
  }

  /** That a layer has this s, and adds {@code s B A} to its weight. */
  private static void assertScale(double expected, AdapterSet set, String layer) {
    LoraAdapter lora = LoraAdapter.of(set.adapters().get(layer));
    assertEquals(expected, lora.scale(), 1e-6 * expected, layer);
    Dense product = Dense.of(lora.tensors().get(LoraAdapter.B)).times(Dense.of(lora.tensors().get(LoraAdapter.A)));
    product.times(expected).assertNear(Dense.of(lora.weightDelta(lora.layer().weight().value())), 1e-6, layer);
  }

  private void assertScales(double query, double feedForward) {
    try (Scope _ = Scope.open(); AdapterSet set = PeftFolder.read(folder, model())) {
      assertScale(query, set, QUERY);
      assertScale(feedForward, set, FEED_FORWARD);
    }
  }

  @Test
  void alphaByTheRank() {
    try (Scope _ = Scope.open()) {
      write(2, 2, Map.of());
      assertScales(3, 3);
    }
  }

  @Test
  void alphaByTheRootOfTheRank() {
    try (Scope _ = Scope.open()) {
      write(2, 2, Map.of("use_rslora", true));
      assertScales(6 / Math.sqrt(2), 6 / Math.sqrt(2));
    }
  }

  @Test
  void layersWithARankOrAnAlphaOfTheirOwn() {
    try (Scope _ = Scope.open()) {
      write(2, 4, Map.of("rank_pattern", Map.of(FEED_FORWARD, 4)));
      assertScales(3, 1.5);
      write(2, 2, Map.of("alpha_pattern", Map.of("to_q", 5)));
      assertScales(2.5, 3);
      write(3, 4, Map.of("rank_pattern", Map.of(QUERY, 3, FEED_FORWARD, 4), "alpha_pattern", Map.of(QUERY, 12)));
      assertScales(4, 1.5);
    }
  }

  @Test
  void theirOwnWithRoots() {
    try (Scope _ = Scope.open()) {
      write(2, 4, Map.of("use_rslora", true, "rank_pattern", Map.of(FEED_FORWARD, 4), "alpha_pattern", Map.of(FEED_FORWARD, 5)));
      assertScales(6 / Math.sqrt(2), 2.5);
    }
  }

  /** A key is a regular expression for whole names at the end of the path. */
  @Test
  void whichLayersAPatternNames() {
    try (Scope _ = Scope.open()) {
      write(2, 2, Map.of("alpha_pattern", Map.of("to_[qk]", 1)));
      assertScales(0.5, 3);
      write(2, 2, Map.of("alpha_pattern", Map.of("q", 1, "attn", 1, "f", 1)));
      assertScales(3, 3);
    }
  }

  @Test
  void aFolderWrittenAgainIsTheSame() throws IOException {
    try (Scope _ = Scope.open()) {
      write(2, 4, Map.of("use_rslora", true, "rank_pattern", Map.of(FEED_FORWARD, 4), "alpha_pattern", Map.of("to_q", 5.5),
          "loftq_config", Map.of("of", "no meaning here")));
      Path again = Files.createDirectory(temporary.resolve("again"));
      try (AdapterSet set = PeftFolder.read(folder, model())) {
        PeftFolder.write(again, set, "another");
      }
      Map<String, Object> config = Json.read(again.resolve(PeftFolder.CONFIG)).asMap();
      assertEquals(Json.read(folder.resolve(PeftFolder.CONFIG)).asMap(), config);
      assertTrue(config.keySet().containsAll(List.of("use_rslora", "rank_pattern", "alpha_pattern", "loftq_config")));
      assertArrayEquals(Files.readAllBytes(folder.resolve(PeftFolder.WEIGHTS)), Files.readAllBytes(again.resolve(PeftFolder.WEIGHTS)));
      folder = again;
      assertScales(5.5 / Math.sqrt(2), 3);
    }
  }

  /** Where a format has no fields for it, the scale is in its alphas or in B. */
  @Test
  void otherFormatsKeepWhatIsAdded() {
    try (Scope _ = Scope.open()) {
      write(2, 4, Map.of("use_rslora", true, "rank_pattern", Map.of(FEED_FORWARD, 4), "alpha_pattern", Map.of("to_q", 5)));
      Path kohya = kohya();
      Path diffusers = temporary.resolve("diffusers.safetensors");
      TwoLayers model = model();
      try (AdapterSet set = PeftFolder.read(folder, model)) {
        DiffusersLora.write(diffusers, new PipelineAdapter(Map.of("unet", set), Map.of(), List.of()), DiffusersLora.Style.PEFT, DType.F32);
        for (Path file : List.of(kohya, diffusers)) {
          try (AdapterSet read = AdapterFiles.read(file, model)) {
            set.adapters().forEach((layer, adapter) ->
                delta(adapter).assertNear(delta(read.adapters().get(layer)), 1e-6, file + " " + layer));
          }
        }
      }
      try (AdapterSet read = AdapterFiles.read(kohya, model)) {
        assertScale(5 / Math.sqrt(2), read, QUERY);
        assertScale(3, read, FEED_FORWARD);
      }
    }
  }

  private static Dense delta(LayerAdapter adapter) {
    return Dense.of(adapter.weightDelta(adapter.layer().weight().value()));
  }

  /** What the folder holds as a file of kohya's. */
  private Path kohya() {
    Path file = temporary.resolve("kohya.safetensors");
    TwoLayers model = model();
    try (AdapterSet set = PeftFolder.read(folder, model)) {
      KohyaLora.write(file, new PipelineAdapter(Map.of("unet", set), Map.of(), List.of()), Map.of("unet", model),
          KohyaNames.Style.DIFFUSERS, DType.F32, "title");
    }
    return file;
  }

  /** The rank and alpha of most layers stand in the header, whichever comes first; a file of kohya's says what it said when it is written again. */
  @Test
  void whatKohyasHeaderSays() throws IOException {
    try (Scope _ = Scope.open()) {
      write(4, 2, Map.of("rank_pattern", Map.of("to_q", 4)));
      Path file = kohya();
      TwoLayers model = model();
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      Map<String, String> header = new LinkedHashMap<>(Map.of("ss_network_dim", "4", "ss_network_alpha", "6.0", "ss_output_name", "dog",
          "modelspec.title", "My dog, by Jane", "modelspec.resolution", "768x768", "unknown", "kept", "modelspec.implementation", "diffusers"));
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        read.names().forEach(name -> tensors.put(name, read.load(name)));
      }
      SafetensorsWriter.write(file, tensors, header);
      Path again = temporary.resolve("again.safetensors");
      Path narrow = temporary.resolve("narrow.safetensors");
      try (PipelineAdapter adapter = AdapterFiles.read(file, Map.of("unet", model), ReadOptions.STRICT);
          PipelineAdapter folded = AdapterFold.pipeline(List.of(adapter), 1)) {
        AdapterFormat.KOHYA_DIFFUSERS.write(again, adapter, Map.of("unet", model), DType.F32, "again", "base");
        AdapterFormat.KOHYA_DIFFUSERS.write(narrow, folded, Map.of("unet", model), DType.F32, "narrow", "base");
      }
      try (SafetensorsFile read = SafetensorsFile.open(again); SafetensorsFile rank1 = SafetensorsFile.open(narrow)) {
        header.forEach((key, value) -> assertEquals(value, read.metadata().get(key), key));
        assertEquals("1", rank1.metadata().get("ss_network_dim"));
        assertEquals("1.0", rank1.metadata().get("ss_network_alpha"));
        assertEquals("dog", rank1.metadata().get("ss_output_name"));
        assertEquals("My dog, by Jane", rank1.metadata().get("modelspec.title"));
        assertEquals("kept", rank1.metadata().get("unknown"));
      }
    }
  }

  /** Two layers of rank 2 and one of rank 4 before them. */
  @Test
  void theRankOfMostLayers() {
    try (Scope _ = Scope.open()) {
      TwoLayers model = model();
      Map<String, LayerAdapter> adapters = new LinkedHashMap<>();
      for (int rank : new int[] {4, 2, 2}) {
        adapters.put("layer" + adapters.size(), new LoraAdapter("layer", model.query, Dense.normal(1, rank, IN).tensor(DType.F32),
            Dense.normal(2, OUT, rank).tensor(DType.F32), 0.5));
      }
      AdapterConfig usual = AdapterReader.described(adapters);
      assertEquals(2, usual.rank());
      assertEquals(1.0, usual.alpha());
      adapters.values().forEach(LayerAdapter::close);
    }
  }

  /** Reads a file of kohya's without some of its tensors: the scales of the layers, and the notices. */
  private void withoutAlphas(Predicate<String> hidden, double query, double feedForward, String... notices) {
    try (Scope _ = Scope.open()) {
      write(2, 2, Map.of());
      Path whole = kohya();
      Path file = temporary.resolve("some.safetensors");
      try (SafetensorsFile read = SafetensorsFile.open(whole)) {
        SafetensorsWriter.write(file, read.names().stream().filter(hidden.negate()).collect(Collectors.toMap(name -> name, read::load)),
            Map.of());
      }
      Map<String, Module> models = Map.of("unet", model());
      try (PipelineAdapter adapter = AdapterFiles.read(file, models, ReadOptions.STRICT)) {
        assertEquals(notices.length == 0 ? List.of() : List.of(file + ": " + notices[0]), adapter.notices());
        assertScale(query, adapter.sets().get("unet"), QUERY);
        assertScale(feedForward, adapter.sets().get("unet"), FEED_FORWARD);
      }
    }
  }

  @Test
  void kohyasAlphas() {
    withoutAlphas(name -> false, 3, 3);
  }

  @Test
  void aLayerWithoutAlphaHasScale1AndANotice() {
    withoutAlphas(name -> name.equals("lora_unet_ff.alpha"), 3, 1,
        "1 of 2 layers have no alpha, such as lora_unet_ff; it was taken to be the rank there (scale 1)");
  }

  @Test
  void noLayerWithAnAlpha() {
    withoutAlphas(name -> name.endsWith(".alpha"), 1, 1,
        "2 of 2 layers have no alpha, such as lora_unet_attn_to_q; it was taken to be the rank there (scale 1)");
  }
}
