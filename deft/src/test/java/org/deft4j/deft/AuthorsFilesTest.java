package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.deft4j.deft.testing.Dense;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.TorchFile;
import org.deft4j.weights.TorchFileWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * Files as the DEFT authors' code saves them, with what it saves beside what counts: each must change a weight as their
 * layer computes it.
 */
class AuthorsFilesTest {
  private static final String LAYER = "attn.to_q";
  private static final int OUT = 6;
  private static final int IN = 5;
  private static final int RANK = 2;
  private static final double TOLERANCE = 1e-5;

  private final Dense p = Dense.normal(1, OUT, RANK);
  private final Dense r = Dense.normal(2, RANK, IN);
  private final Dense other = Dense.normal(3, OUT, RANK);
  private final Dense otherR = Dense.normal(4, RANK, IN);
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private Scope scope;
  private TwoLayers model;
  private Dense weight;

  @TempDir
  Path folder;

  @BeforeEach
  void begin() {
    scope = Scope.open();
    model = new TwoLayers(IN, OUT, DType.F32, 7);
    weight = Dense.of(model.query.weight().value());
  }

  @AfterEach
  void end() {
    model.close();
    scope.close();
  }

  private void put(String name, Dense value) {
    tensors.put(LAYER + name, value.tensor(DType.F32));
  }

  private void put(String name, double value) {
    tensors.put(LAYER + name, Tensor.of(new float[] {(float) value}));
  }

  private PipelineAdapter read(String name, String config, ReadOptions options) {
    try {
      TorchFileWriter.write(folder.resolve(name + "_state.bin"), tensors);
      Files.writeString(folder.resolve(name + "_config.json"), "{\"layer_configs\": {\"" + LAYER + "\": {\"r\": 2, " + config + "}}}");
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return AdapterFiles.read(folder, Map.of("unet", model), options);
  }

  private PipelineAdapter injection(String config) {
    return read("knowledge_injection", config, ReadOptions.STRICT);
  }

  private PipelineAdapter sdxl() {
    TorchFileWriter.write(folder.resolve("project_replace.pt"), tensors);
    return AdapterFiles.read(folder, Map.of("unet", model), ReadOptions.STRICT);
  }

  private LayerAdapter adapter(PipelineAdapter read) {
    return read.sets().get("unet").adapters().get(LAYER);
  }

  private void assertDelta(Dense expected, PipelineAdapter read, String what) {
    expected.assertNear(Dense.of(adapter(read).weightDelta(model.query.weight().value())), TOLERANCE, what);
    read.close();
  }

  /** {@code g E R - M W}. */
  private Dense replaced(Dense removed, Dense basis, double gate) {
    return basis.times(r).times(gate).minus(removed.times(weight));
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  /** Which of three forms "None" was is for the reader to say; the released code's is relu. */
  @Test
  void noneIsWhatItIsSaidToBe() {
    put(".P", p);
    put(".R_new", r);
    String none = "\"decomposition_method\": \"None\", \"use_gating\": false, \"compute_svd_each_forward\": false";
    Map<Decomposition, Dense> forms = Map.of(new RelaxedDecomposition(), p.times(p.t()), new ReluDecomposition(), p.times(p.relu().t()),
        new RectifiedDecomposition(), p.relu().times(p.relu().t()));
    forms.forEach((form, removed) -> assertDelta(replaced(removed, p, 1),
        read("knowledge_injection", none, new ReadOptions(false, form)), form.method()));
    PipelineAdapter usual = injection(none);
    assertTrue(usual.notices().getFirst().contains("relu"), usual.notices().toString());
    assertDelta(replaced(p.times(p.relu().t()), p, 1), usual, "relu");
  }

  /** What the authors' layers compute with is the Q of their first step, not the P that was saved beside it. */
  @Test
  void theCachedBasisCounts() {
    Dense q = other.q();
    put(".P", p);
    put(".R_new", r);
    put(".Q_P_cached", q);
    for (String method : List.of("qr", "svd")) {
      assertDelta(replaced(q.times(q.t()), q, 1), injection("\"decomposition_method\": \"" + method + "\""), method);
    }
  }

  /** Singular vectors whose signs nobody knows are not guessed. */
  @Test
  void anSvdWithoutItsCacheIsRefused() {
    put(".P", p);
    put(".R_new", r);
    InputException error = assertThrows(InputException.class, () -> injection("\"decomposition_method\": \"svd\""));
    assertTrue(error.getMessage().contains("Q_P_cached"), error.getMessage());
  }

  @Test
  void theGateOfADeft() {
    put(".P", p);
    put(".R_new", r);
    put(".gate", -0.7);
    String qr = "\"decomposition_method\": \"qr\", \"compute_svd_each_forward\": true, \"use_gating\": ";
    Dense removed = p.q().times(p.q().t());
    assertDelta(replaced(removed, p.q(), sigmoid(-0.7)), injection(qr + true), "gated");
    assertDelta(replaced(removed, p.q(), 1), injection(qr + false), "a gate that is not used");
  }

  /** Every layer has P and R_new, whatever it does; a LoRA's A is B elsewhere. */
  @Test
  void aLoraBesideADeadDeft() {
    put(".P", other);
    put(".R_new", otherR);
    put(".lora_A", p);
    put(".lora_B", r);
    put(".gate", 0.5);
    String config = "\"injection_method\": \"additive_update\", \"lora_alpha\": 3.0, \"lora_dropout\": 0.25, \"use_gating\": ";
    try (PipelineAdapter plain = injection(config + false)) {
      assertEquals(new Dropout(0.25, false), plain.sets().get("unet").config().extras().dropout());
    }
    assertDelta(p.times(r).times(1.5), injection(config + false), "alpha / r");
    assertDelta(p.times(r).times(1.5 * sigmoid(0.5)), injection(config + true), "gate");
    tensors.remove(LAYER + ".gate");
    InputException error = assertThrows(InputException.class, () -> injection(config + true));
    assertTrue(error.getMessage().contains("lacks deft_gate"), error.getMessage());
  }

  /** Both matrices of a LoRA that nothing computes with, and the dropout of the whole layer. */
  @Test
  void aDeftBesideADeadLora() {
    put(".P", p);
    put(".R_new", r);
    put(".lora_A", other);
    put(".lora_B", otherR);
    String config = "\"injection_method\": \"project_replace\", \"decomposition_method\": \"qr\", \"lora_alpha\": 9, \"lora_dropout\": 0.125";
    try (PipelineAdapter read = injection(config)) {
      assertEquals(new Dropout(0.125, true), read.sets().get("unet").config().extras().dropout());
    }
    assertDelta(replaced(p.q().times(p.q().t()), p.q(), 1), injection(config), "no scale");
  }

  /** The layer from before there were decompositions: {@code M = U diag(s) U^T}, else QR. */
  @Test
  void paraWithATruncatedSvd() {
    put(".B", Dense.withSingularValues(5, OUT, RANK, 1.5, 0.5));
    Dense b = Dense.of(tensors.get(LAYER + ".B"));
    Dense q = b.q();
    assertDelta(q.times(q.t()).times(weight).times(-1), read("para_rank", "\"truncated_svd\": false", ReadOptions.STRICT), "qr");
    PipelineAdapter svd = read("para_rank", "\"truncated_svd\": true", ReadOptions.STRICT);
    Dense removed = Dense.of(adapter(svd).update().left()).times(Dense.of(adapter(svd).update().right()).t());
    // (U diag(s) U^T)^2 = B B^T, and it is symmetric with the eigenvalues s.
    b.times(b.t()).assertNear(removed.times(removed), TOLERANCE, "the root of B B^T");
    removed.assertNear(removed.t(), TOLERANCE, "symmetric");
    assertDelta(removed.times(weight).times(-1), svd, "tsvd");
  }

  @Test
  void theSdxlFiles() {
    put(".lora_layer.P", p);
    put(".lora_layer.R_new", r);
    assertDelta(replaced(p.times(p.t()), p, 1), sdxl(), "deft");
    put(".lora_layer.gate", 0);
    assertDelta(replaced(p.times(p.t()), p, 0.5), sdxl(), "deft with its gate as it starts");
    tensors.remove(LAYER + ".lora_layer.R_new");
    assertDelta(p.q().times(p.q().t()).times(weight).times(-1), sdxl(), "para, whose gate does nothing");
  }

  /** Their loaders take the pickled configuration and want every tensor that their layers have. */
  @Test
  void whatTheirLoadersWantIsWritten() throws IOException {
    for (AdapterConfig config : List.of(AdapterConfig.deft(RANK), AdapterConfig.para(RANK), AdapterConfig.lora(RANK))) {
      Path out = Files.createTempDirectory(folder, "authors");
      try (PipelineAdapter adapter = created(config)) {
        AdapterFormat.AUTHORS.write(out, adapter, Map.of("unet", model), DType.BF16, "title", "base");
        assertEquals(config.method() == Method.DEFT ? Optional.of(true) : Optional.empty(),
            AdapterFormat.AUTHORS.caveat(adapter).map(sentence -> sentence.contains("relaxed")));
      }
      String name = config.method() == Method.PARA ? "para_rank" : "knowledge_injection";
      JsonObject json = Json.read(out.resolve(name + "_config.json")).requireObject("layer_configs").requireObject(LAYER);
      assertTrue(json.keys().containsAll(List.of("r", "lora_alpha", "decomposition_method")), json.keys().toString());
      Path again = Files.createTempDirectory(folder, "pickled").resolve("config.bin");
      TorchFileWriter.writePlain(again, Json.read(out.resolve(name + "_config.json")).asMap());
      assertEquals(Files.size(again), Files.size(out.resolve(name + "_config.bin")), "the same values pickled");
    }
    Path file = folder.resolve("project_replace.pt");
    try (PipelineAdapter para = created(AdapterConfig.para(RANK))) {
      AdapterFormat.AUTHORS_SDXL.write(file, para, Map.of("unet", model), DType.F32, "title", "base");
    }
    try (TorchFile written = TorchFile.open(file)) {
      assertEquals(List.of(LAYER + ".lora_layer.P", LAYER + ".lora_layer.gate"), List.copyOf(written.names()));
      assertFalse(written.names().contains(LAYER + ".lora_layer.R_new"));
    }
  }

  /** What the configuration says that has no meaning here, of the layers and beside them, is written as it was, pickled too. */
  @Test
  void theConfigurationIsKept() throws IOException {
    put(".P", p);
    put(".R_new", r);
    try (PipelineAdapter read = injection("\"decomposition_method\": \"None\", \"injection_method\": \"project_replace\", \"lora_alpha\": 9.5, "
        + "\"compute_svd_each_forward\": false, \"colour\": [\"red\", {\"deep\": null}]}}, \"config\": {\"x\": {\"target_modules\": [\"to_q\"]")) {
      Path out = Files.createTempDirectory(folder, "again");
      AdapterFormat.AUTHORS.write(out, read, Map.of("unet", model), DType.F32, "title", "base");
      Map<String, Object> config = Json.read(folder.resolve("knowledge_injection_config.json")).asMap();
      assertTrue(config.containsKey("config"), config.toString());
      assertEquals(config, Json.read(out.resolve("knowledge_injection_config.json")).asMap());
      Path pickled = folder.resolve("pickled.bin");
      TorchFileWriter.writePlain(pickled, config);
      assertArrayEquals(Files.readAllBytes(pickled), Files.readAllBytes(out.resolve("knowledge_injection_config.bin")));
      Path kohya = folder.resolve("peft");
      AdapterFormat.PEFT.write(Files.createDirectory(kohya), read, Map.of("unet", model), DType.F32, "title", "base");
      try (SafetensorsFile file = SafetensorsFile.open(kohya.resolve("adapter_model.safetensors"))) {
        assertEquals(Map.of("format", "pt"), file.metadata());
      }
    }
  }

  /** The rank of most layers is the adapter's; of those with another PEFT is told under a type that it refuses. */
  @Test
  void layersOfOtherRanks() throws IOException {
    for (int i = 0; i < 2; i++) {
      boolean query = i == 0;
      String layer = query ? LAYER : "ff";
      tensors.put(layer + ".P", Dense.normal(i, query ? OUT : IN, 1 + i).tensor(DType.F32));
      tensors.put(layer + ".R_new", Dense.normal(i, 1 + i, query ? IN : OUT).tensor(DType.F32));
    }
    TorchFileWriter.write(folder.resolve("knowledge_injection_state.bin"), tensors);
    Files.writeString(folder.resolve("knowledge_injection_config.json"),
        "{\"layer_configs\": {\"" + LAYER + "\": {\"r\": 1}, \"ff\": {\"r\": 2}, \"gone\": {\"r\": 2}}}");
    try (PipelineAdapter read = AdapterFiles.read(folder, Map.of("unet", model), ReadOptions.STRICT.withPartial(true))) {
      assertEquals(2, read.sets().get("unet").config().rank());
      Path peft = Files.createTempDirectory(folder, "peft");
      AdapterFormat.PEFT.write(peft, read, Map.of("unet", model), DType.F32, "title", "base");
      JsonObject json = Json.read(peft.resolve("adapter_config.json"));
      assertEquals("DEFT4J", json.requireString("peft_type"));
      assertEquals(Map.of(LAYER, 1L), json.requireObject("rank_pattern").asMap());
      try (AdapterSet again = PeftFolder.read(peft, model)) {
        assertEquals(1, again.adapters().get(LAYER).rank());
      }
    }
  }

  private PipelineAdapter created(AdapterConfig config) {
    AdapterSet set = AdapterSet.create(model, config.with(Targets.suffixes(List.of("to_q"))), new TorchRandom(0));
    return new PipelineAdapter(Map.of("unet", set), Map.of(), List.of());
  }
}
