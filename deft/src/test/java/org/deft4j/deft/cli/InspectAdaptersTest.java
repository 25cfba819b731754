package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterExtras;
import org.deft4j.deft.AdapterFormat;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.Decomposition;
import org.deft4j.deft.Dropout;
import org.deft4j.deft.PipelineAdapter;
import org.deft4j.deft.RenamedTensors;
import org.deft4j.deft.Targets;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** {@code inspect} of adapters of every layout: method, rank, alpha, targets, and how many layers and parameters they have. */
class InspectAdaptersTest {
  private static final Targets SOME = Targets.suffixes(List.of("attn1.to_q", "attn1.to_out.0"));
  private static final Targets TEXT = Targets.suffixes(List.of("self_attn.q_proj", "mlp.fc1"));

  @TempDir
  Path folder;

  private final StableDiffusion model = StableDiffusion.load(Fixtures.folders("sdxl").getFirst().toString());

  @AfterEach
  void close() {
    model.close();
  }

  /** Layers and trained numbers of an adapter of these parts. */
  private record Written(Path path, Map<String, Integer> layers, Map<String, Long> parameters) {}

  private Written write(AdapterFormat format, Map<String, AdapterConfig> parts) throws IOException {
    Path out = Files.createTempDirectory(folder, format.label());
    if (!format.isFolder()) {
      out = out.resolve(format.ending().isEmpty() || format.ending().startsWith(".") ? "adapter" + format.ending() : format.ending());
    }
    Map<String, AdapterSet> sets = new LinkedHashMap<>();
    parts.forEach((part, config) -> sets.put(part, AdapterSet.create(model.adaptable().get(part), config, new TorchRandom(4))));
    try (Scope _ = Scope.open(); PipelineAdapter adapter = new PipelineAdapter(sets, Map.of(), List.of())) {
      format.write(out, adapter, model.adaptable(), DType.F32, "title", "base");
      Map<String, Integer> layers = new LinkedHashMap<>();
      Map<String, Long> parameters = new LinkedHashMap<>();
      sets.forEach((part, set) -> {
        layers.put(part, set.adapters().size());
        parameters.put(part, set.parameterCount());
      });
      return new Written(out, layers, parameters);
    }
  }

  private static JsonObject inspect(Path path) {
    Terminal terminal = Terminal.run("inspect", "--json", path.toString());
    assertEquals(0, terminal.status(), terminal.err());
    return Json.parse(terminal.out(), "inspect");
  }

  private static void counts(Written written, String part, JsonObject told) {
    assertEquals(written.layers.get(part), told.requireInteger("layers"), told.asMap().toString());
    assertEquals(written.parameters.get(part), told.requireLongInteger("parameters"), told.asMap().toString());
  }

  @Test
  void aPeftFolderWithGateMaskAndDropout() throws IOException {
    AdapterConfig config = AdapterConfig.deft(3).with(SOME).with(Decomposition.named("qr")).withAlpha(6.0)
        .with(new AdapterExtras(new Dropout(0.25, true), true, 0));
    Written gated = write(AdapterFormat.PEFT, Map.of("unet", config));
    JsonObject told = inspect(gated.path);
    assertEquals("deft", told.requireString("method"));
    assertEquals("qr", told.requireString("decomposition"));
    assertEquals(3, told.requireInteger("rank"));
    assertEquals(6, told.requireNumber("alpha"));
    assertTrue(told.requireBool("gate"));
    assertEquals(0.25, told.requireNumber("layer dropout"));
    assertEquals(List.of("attn1.to_q", "attn1.to_out.0"), told.requireStrings("targets"));
    counts(gated, "unet", told);
    assertEquals(told.asMap().get("layers"), inspect(gated.path.resolve("adapter_model.safetensors")).asMap().get("layers"));

    Written sparse = write(AdapterFormat.PEFT, Map.of("unet", AdapterConfig.para(4).with(SOME).with(Decomposition.named("nmf-paper"))
        .with(new AdapterExtras(new Dropout(0.5, false), false, 0.125))));
    told = inspect(sparse.path);
    assertEquals("nmf-paper", told.requireString("decomposition"));
    assertEquals(4, told.requireInteger("rank"));
    assertEquals(0.125, told.requireNumber("sparsity"));
    assertEquals(0.5, told.requireNumber("dropout"));
    assertFalse(told.has("gate"));
    counts(sparse, "unet", told);
    Written dora = write(AdapterFormat.PEFT, Map.of("unet", AdapterConfig.dora(2).with(SOME)));
    counts(dora, "unet", inspect(dora.path));
  }

  @Test
  void aLoraFileOfSeveralParts() throws IOException {
    Map<String, AdapterConfig> parts = new LinkedHashMap<>();
    Targets unet = Targets.suffixes(List.of("attn1.to_q", "attn1.to_out.0", "conv1", "ff.net.2"));
    parts.put("unet", AdapterConfig.lora(4).with(unet).withAlpha(2.0));
    parts.put("text_encoder", AdapterConfig.lora(2).with(TEXT));
    parts.put("text_encoder_2", AdapterConfig.lora(4).with(TEXT).withAlpha(2.0));
    Map<AdapterFormat, Set<String>> targets = Map.of(
        AdapterFormat.KOHYA_SGM, Set.of("to_q", "to_out_0", "in_layers_2", "net_2", "q_proj", "fc1"),
        AdapterFormat.KOHYA_DIFFUSERS, Set.of("to_q", "to_out_0", "conv1", "net_2", "q_proj", "fc1"),
        AdapterFormat.DIFFUSERS, Set.of("to_q", "to_out.0", "conv1", "net.2", "q_proj", "fc1"),
        AdapterFormat.DIFFUSERS_OLDER, Set.of("to_q", "to_out.0", "conv1", "net.2", "q_proj", "fc1"));
    for (Map.Entry<AdapterFormat, Set<String>> format : targets.entrySet()) {
      Written written = write(format.getKey(), parts);
      JsonObject told = inspect(written.path);
      assertEquals("lora", told.requireString("method"));
      assertEquals("2-4, usually 4", told.requireString("rank"));
      if (format.getKey() == AdapterFormat.KOHYA_SGM) {
        assertEquals(2, told.requireNumber("alpha"));
      }
      assertEquals(format.getValue(), Set.copyOf(told.requireStrings("targets")), format.getKey().label());
      parts.keySet().forEach(part -> counts(written, part, told.requireObject(part)));
      assertEquals(written.layers.values().stream().mapToInt(Integer::intValue).sum(), told.requireInteger("layers"));
      assertEquals(written.parameters.values().stream().mapToLong(Long::longValue).sum(), told.requireLongInteger("parameters"));
    }
    Written one = write(AdapterFormat.DIFFUSERS, Map.of("unet", AdapterConfig.dora(2).with(SOME)));
    RenamedTensors.in(one.path, name -> name.replaceFirst("^unet\\.", ""));
    JsonObject told = inspect(one.path);
    assertEquals("dora", told.requireString("method"));
    counts(one, "unet", told);
    assertFalse(told.has("unet"));
  }

  /** Nothing is said of matrices that are not read. */
  @Test
  void aLoHaIsNoLora() throws IOException {
    Written lora = write(AdapterFormat.KOHYA, Map.of("unet", AdapterConfig.lora(2).with(SOME)));
    RenamedTensors.in(lora.path, name -> name.replaceFirst("lora_(up|down).weight$", "hada_w1_$1"));
    JsonObject told = inspect(lora.path);
    assertEquals("LoHa or LoKr (LyCORIS), which is not read", told.requireString("kind"));
    assertFalse(told.has("method") || told.has("layers"));
  }

  @Test
  void theFilesOfTheDeftAuthors() throws IOException {
    for (String decomposition : List.of("qr", "qr-frozen")) {
      Written deft = write(AdapterFormat.AUTHORS, Map.of("unet", AdapterConfig.deft(3).with(SOME).with(Decomposition.named(decomposition))
          .with(new AdapterExtras(Dropout.NONE, true, 0))));
      for (Path path : List.of(deft.path, deft.path.resolve("knowledge_injection_state.bin"))) {
        JsonObject told = inspect(path);
        assertEquals("adapter (the DEFT authors' files)", told.requireString("kind"));
        assertEquals(decomposition, told.requireString("decomposition"));
        assertEquals(3, told.requireInteger("rank"));
        assertTrue(told.requireBool("gate"));
        assertEquals(Set.of("to_q", "to_out.0"), Set.copyOf(told.requireStrings("targets")));
        assertEquals(deft.layers.get("unet"), told.requireInteger("layers"));
      }
    }
    Written relu = write(AdapterFormat.AUTHORS, Map.of("unet", AdapterConfig.deft(3).with(SOME).with(Decomposition.named("relu"))));
    assertTrue(inspect(relu.path).requireStrings("notices").getFirst().contains("decomposition_method None was taken to be relu"));
    Written nmf = write(AdapterFormat.AUTHORS, Map.of("unet", AdapterConfig.para(2).with(SOME).with(Decomposition.named("nmf"))));
    JsonObject para = inspect(nmf.path);
    assertEquals("para", para.requireString("method"));
    assertEquals("nmf", para.requireString("decomposition"));
    assertEquals(2, para.requireInteger("rank"));
    counts(nmf, "unet", para);
    Written lora = write(AdapterFormat.AUTHORS, Map.of("unet", AdapterConfig.lora(2).with(SOME).withAlpha(3.0)));
    assertEquals(3, inspect(lora.path).requireNumber("alpha"));
    Written sdxl = write(AdapterFormat.AUTHORS_SDXL, Map.of("unet", AdapterConfig.deft(2).with(SOME)));
    JsonObject told = inspect(sdxl.path);
    assertEquals("adapter (the DEFT authors' files)", told.requireString("kind"));
    assertEquals("deft", told.requireString("method"));
    assertEquals("relaxed", told.requireString("decomposition"));
    counts(sdxl, "unet", told);
    Files.delete(nmf.path.resolve("para_rank_config.json"));
    told = inspect(nmf.path);
    assertTrue(told.requireString("unreadable").contains("para_rank_config.json is missing"), told.asMap().toString());
    assertTrue(told.has("tensors"));
  }
}
