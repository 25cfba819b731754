package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.deft4j.deft.testing.Dense;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Folders as PEFT and the programs around it leave them: which layers they target, which model they are for, how tensors are called. */
class PeftFolderTest {
  private static final int SIDE = 4;

  @TempDir
  Path temporary;

  private Scope scope;

  @BeforeEach
  void begin() {
    scope = Scope.open();
  }

  @AfterEach
  void end() {
    scope.close();
  }

  /** Linear layers of these paths. */
  private static final class Layers extends Module {
    Layers(int side, String... paths) {
      for (String path : paths) {
        Linear layer = child(path, new Linear(side, side, false));
        layer.weight().set(Scope.release(Dense.normal(path.hashCode(), side, side).tensor(DType.F32)));
        Scope.adopt(layer.weight().value());
      }
    }
  }

  private static Layers decoder() {
    return new Layers(SIDE, "llm.layers.0.self_attn.qkv_proj", "llm.layers.0.mlp.down_proj", "llm.layers.1.self_attn.qkv_proj",
        "llm.layers.10.self_attn.qkv_proj", "up.2.attn.1.to_q");
  }

  /** A LoRA on {@code layers} with {@code more} in its configuration. */
  private Path lora(String folder, List<String> layers, String infix, Map<String, Object> more) {
    Path path = temporary.resolve(folder);
    Map<String, Object> config = new LinkedHashMap<>(Map.of("peft_type", "LORA", "r", 2, "lora_alpha", 2, "target_modules", layers));
    config.putAll(more);
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    layers.forEach(layer -> {
      tensors.put("base_model.model." + layer + ".lora_A" + infix + ".weight", Dense.normal(1, 2, SIDE).tensor(DType.F32));
      tensors.put("base_model.model." + layer + ".lora_B" + infix + ".weight", Dense.normal(2, SIDE, 2).tensor(DType.F32));
    });
    try {
      Files.createDirectories(path);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    Json.write(path.resolve(PeftFolder.CONFIG), config);
    SafetensorsWriter.write(path.resolve(PeftFolder.WEIGHTS), tensors, Map.of("format", "pt", "author", "someone"));
    return path;
  }

  private void assertAdapts(List<String> layers, Map<String, Object> more) {
    try (AdapterSet set = PeftFolder.read(lora("lora", layers, "", more), decoder())) {
      assertEquals(layers, List.copyOf(set.adapters().keySet()));
    }
  }

  /** Every layer that the configuration targets must be there, and the numbers of blocks say which are. */
  @Test
  void blocksByTheirNumbers() {
    String first = "llm.layers.0.self_attn.qkv_proj";
    String last = "llm.layers.10.self_attn.qkv_proj";
    assertAdapts(List.of(first), Map.of("target_modules", List.of("qkv_proj"), "layers_to_transform", List.of(0)));
    assertAdapts(List.of(first), Map.of("target_modules", List.of("qkv_proj"), "layers_to_transform", 0));
    assertAdapts(List.of(first, last), Map.of("target_modules", List.of("qkv_proj"), "layers_to_transform", List.of(0, 10), "layers_pattern",
        "layers"));
    assertAdapts(List.of("up.2.attn.1.to_q"), Map.of("target_modules", List.of("to_q"), "layers_to_transform", List.of(1)));
    InputException error = assertThrows(InputException.class, () -> assertAdapts(List.of(first),
        Map.of("target_modules", List.of("qkv_proj"), "layers_to_transform", List.of(0, 1))));
    assertTrue(error.getMessage().contains("llm.layers.1.self_attn.qkv_proj"), error.getMessage());
    Targets.Indexed patterned = new Targets.Indexed(new Targets.AllLinear(), List.of(2), List.of("attn", "up"));
    assertTrue(!patterned.matches("x.up.2.attn.1.to_q", new Linear(1, 1, false)), "the first pattern that is there says");
  }

  /** PEFT takes no notice of it on a linear layer. */
  @Test
  void transposedWeights() {
    assertAdapts(List.of("llm.layers.0.self_attn.qkv_proj"), Map.of("fan_in_fan_out", true));
  }

  @Test
  void expressionsOfPython() {
    assertAdapts(List.of("llm.layers.0.self_attn.qkv_proj"), Map.of("target_modules", "llm\\.layers\\.(?P<block_number>0)\\.self_attn\\.(qkv|o)_proj\\Z"));
    assertTrue(Targets.expression("(?P<a>x)-(?P=a)").matcher("x-x").matches());
  }

  @Test
  void theNameOfTheAdapter() {
    try (AdapterSet set = PeftFolder.read(lora("named", List.of("llm.layers.0.mlp.down_proj"), ".default", Map.of()), decoder())) {
      assertEquals(Set.of("llm.layers.0.mlp.down_proj"), set.adapters().keySet());
    }
  }

  @Test
  void weightsWithoutTheirConfiguration() throws IOException {
    Path folder = lora("bare", List.of("llm.layers.0.mlp.down_proj"), "", Map.of());
    Files.delete(folder.resolve(PeftFolder.CONFIG));
    InputException error = assertThrows(InputException.class, () -> AdapterFiles.read(folder.resolve(PeftFolder.WEIGHTS), decoder()));
    assertTrue(error.getMessage().contains("adapter_config.json") && error.getMessage().contains("not beside it"), error.getMessage());
  }

  private static Map<String, Module> pipeline() {
    Map<String, Module> models = new LinkedHashMap<>();
    models.put("unet", new Layers(SIDE, "down.to_q"));
    models.put("text_encoder", new Layers(SIDE, "text_model.q_proj", "text_model.k_proj"));
    models.put("text_encoder_2", new Layers(2 * SIDE, "text_model.q_proj", "text_model.k_proj"));
    return models;
  }

  /** The one whose layers it has, by names and sizes, whatever the folder is called. */
  @Test
  void theModelItIsFor() {
    Map<String, Module> models = pipeline();
    try (PipelineAdapter read = AdapterFiles.read(lora("anything", List.of("text_model.q_proj"), "", Map.of()), models, ReadOptions.STRICT)) {
      assertEquals(Set.of("text_encoder"), read.sets().keySet());
    }
    models.put("text_encoder_2", new Layers(SIDE, "text_model.q_proj"));
    InputException error = assertThrows(InputException.class,
        () -> AdapterFiles.read(lora("alike", List.of("text_model.q_proj"), "", Map.of()), models, ReadOptions.STRICT));
    assertTrue(error.getMessage().contains("text_encoder and text_encoder_2 alike"), error.getMessage());
    InputException none = assertThrows(InputException.class,
        () -> AdapterFiles.read(lora("none", List.of("elsewhere"), "", Map.of()), models, ReadOptions.STRICT));
    assertTrue(none.getMessage().contains("belong to no layer"), none.getMessage());
  }

  /** An adapter of one model that is not the main one is in a folder of that model's name, and is read again; the header stays. */
  @Test
  void aTextEncodersAlone() throws IOException {
    Map<String, Module> models = pipeline();
    Path out = Files.createDirectory(temporary.resolve("out"));
    try (PipelineAdapter read = AdapterFiles.read(lora("te", List.of("text_model.q_proj"), "", Map.of()), models, ReadOptions.STRICT)) {
      AdapterFormat.PEFT.write(out, read, models, DType.F32, "title", "base");
      InputException error = assertThrows(InputException.class, () -> AdapterFormat.AUTHORS.write(out, read, models, DType.F32, "t", "b"));
      assertTrue(error.getMessage().contains("hold the adapter of the unet; this one adapts text_encoder"), error.getMessage());
    }
    try (PipelineAdapter again = AdapterFiles.read(out, models, ReadOptions.STRICT);
        SafetensorsFile file = SafetensorsFile.open(out.resolve("text_encoder").resolve(PeftFolder.WEIGHTS))) {
      assertEquals(Set.of("text_encoder"), again.sets().keySet());
      assertEquals(Map.of("format", "pt", "author", "someone"), file.metadata());
    }
  }

  /** A gate of LoRA's is a matrix of its own type of folder; where a format has none it is in the scale. */
  @Test
  void aGatedLora() throws IOException {
    AdapterExtras gate = new AdapterExtras(Dropout.NONE, true, 0);
    for (Method method : List.of(Method.LORA, Method.LORA_PARA)) {
      Layers model = new Layers(SIDE, "down.to_q");
      AdapterConfig config = AdapterConfig.of(method, 2).with(Targets.suffixes(List.of("to_q"))).with(gate).withAlpha(3.0);
      Path folder = Files.createTempDirectory(temporary, "gated");
      try (AdapterSet set = AdapterSet.create(model, config, new TorchRandom(0))) {
        assertEquals(1 + config.with(AdapterExtras.NONE).parameterCount(model.parameters().get("down.to_q.weight").shape()),
            set.parameterCount());
        PeftFolder.write(folder, set, "base");
      }
      assertEquals("DEFT4J", Json.read(folder.resolve(PeftFolder.CONFIG)).requireString("peft_type"));
      try (AdapterSet read = PeftFolder.read(folder, model)) {
        assertEquals(config.extras(), read.config().extras());
        assertEquals(method, read.config().method());
        assertTrue(Arrays.equals(new double[] {0.5}, read.adapters().get("down.to_q").tensors().get(DeftAdapter.GATE).toDoubles()));
      }
    }
  }

  /** {@code s sigmoid(G) B A}, in every format that holds a LoRA. */
  @Test
  void aGatedLoraInOtherFormats() throws IOException {
    TwoLayers model = new TwoLayers(6, 5, DType.F32, 1);
    Dense a = Dense.normal(3, 2, 6);
    Dense b = Dense.normal(4, 5, 2);
    LoraAdapter gated = new LoraAdapter("attn.to_q", model.query, a.tensor(DType.F32), b.tensor(DType.F32),
        Tensor.of(new float[] {-0.4f}), 1.5);
    AdapterConfig config = AdapterConfig.lora(2).with(Targets.suffixes(List.of("to_q"))).withAlpha(3.0)
        .with(new AdapterExtras(Dropout.NONE, true, 0));
    Dense expected = b.times(a).times(1.5 / (1 + Math.exp(0.4)));
    try (PipelineAdapter adapter = new PipelineAdapter(Map.of("unet", new AdapterSet(model, config, Map.of("attn.to_q", gated), Map.of())),
        Map.of(), List.of())) {
      for (AdapterFormat format : List.of(AdapterFormat.PEFT, AdapterFormat.DIFFUSERS, AdapterFormat.KOHYA_DIFFUSERS, AdapterFormat.AUTHORS)) {
        Path folder = Files.createTempDirectory(temporary, format.label());
        Path out = format.isFolder() ? folder : folder.resolve("lora.safetensors");
        format.write(out, adapter, Map.of("unet", model), DType.F32, "title", "base");
        try (PipelineAdapter read = AdapterFiles.read(out, Map.of("unet", model), ReadOptions.STRICT)) {
          LayerAdapter one = read.sets().get("unet").adapters().get("attn.to_q");
          expected.assertNear(Dense.of(one.weightDelta(model.query.weight().value())), 1e-5, format.label());
          assertEquals(format.isFolder(), one.tensors().containsKey(DeftAdapter.GATE));
        }
      }
    }
  }
}
