package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.weights.Json;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Every layout, written and read again; adapters made into LoRAs; files that do not fit. */
class AdapterFormatsTest {
  private static final Targets LAYERS = Targets.suffixes(List.of("to_q", "to_out.0", "conv1", "proj_in", "time_emb_proj"));
  private static final Targets LINEAR = Targets.suffixes(List.of("to_q", "to_out.0", "time_emb_proj"));

  @TempDir
  Path temporary;

  private int targets;

  private static Map<String, Module> models(Module unet) {
    return Map.of("unet", unet);
  }

  private static AdapterSet drawn(Module unet, AdapterConfig config) {
    AdapterSet set = AdapterSet.create(unet, config.with(Start.RANDOM), new TorchRandom(4));
    TorchRandom random = new TorchRandom(5);
    try (Scope _ = Scope.open()) {
      set.adapters().values().forEach(adapter -> adapter.trainable().forEach((name, tensor) -> {
        if (name.equals(LoraAdapter.B) || name.equals(DeftAdapter.R)) {
          Dispatch.run(new InPlace.CopyInto(), tensor, random.normal(DType.F32, tensor.shape().toArray()).mul(0.1));
        }
      }));
    }
    return set.setTraining(false);
  }

  private static Tensor predict(UNet2DConditionModel unet) {
    TorchRandom random = new TorchRandom(6);
    return unet.forward(random.normal(DType.F32, 2, 4, 4, 4), Tensor.of(new float[] {3, 11}), random.normal(DType.F32, 2, 5, 6), null);
  }

  /** What was written as {@code type} and read again. */
  private static void same(AdapterSet expected, AdapterSet actual, DType type) {
    assertEquals(expected.config().method(), actual.config().method());
    assertEquals(expected.config().decomposition(), actual.config().decomposition());
    assertEquals(expected.adapters().keySet(), actual.adapters().keySet());
    expected.adapters().forEach((path, adapter) -> {
      LayerAdapter other = actual.adapters().get(path);
      assertEquals(adapter.tensors().keySet(), other.tensors().keySet(), path);
      adapter.tensors().forEach((name, tensor) -> assertArrayEquals(tensor.cast(type).toFloats(), other.tensors().get(name).toFloats(), path + name));
    });
  }

  /** Written in {@code format}, read again, and written once more: the same tensors, and the same bytes, in each type. */
  private void roundTrip(AdapterFormat format, AdapterConfig config, String name, ReadOptions options) throws IOException {
    for (DType type : List.of(DType.F32, DType.F16, DType.BF16)) {
      roundTrip(format, config, name, options, type);
    }
  }

  private void roundTrip(AdapterFormat format, AdapterConfig config, String name, ReadOptions options, DType type) throws IOException {
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create(); AdapterSet set = drawn(unet, config);
        PipelineAdapter adapter = new PipelineAdapter(Map.of("unet", set), Map.of(), List.of())) {
      Path first = target(format, "first", name);
      format.write(first, adapter, models(unet), type, "title", "base");
      try (PipelineAdapter read = AdapterFiles.read(first, models(unet), options)) {
        same(set, read.sets().get("unet"), type);
        assertEquals(type, read.storedType());
        Path second = target(format, "second", name);
        format.write(second, read, models(unet), read.storedType(), "title", "base");
        for (String file : format.isFolder() ? list(first) : List.of("")) {
          assertArrayEquals(Files.readAllBytes(first.resolve(file)), Files.readAllBytes(second.resolve(file)), format + " " + file);
        }
      }
    }
  }

  private Path target(AdapterFormat format, String folder, String name) throws IOException {
    Path made = Files.createDirectories(temporary.resolve(folder + format + targets++));
    return format.isFolder() ? made : made.resolve(name);
  }

  private static List<String> list(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void lorasInEveryLayout() throws IOException {
    AdapterConfig lora = AdapterConfig.lora(3).with(LAYERS);
    for (AdapterFormat format : List.of(AdapterFormat.DIFFUSERS, AdapterFormat.DIFFUSERS_OLDER, AdapterFormat.KOHYA,
        AdapterFormat.KOHYA_SGM, AdapterFormat.KOHYA_DIFFUSERS, AdapterFormat.PEFT)) {
      roundTrip(format, lora, "lora.safetensors", ReadOptions.STRICT);
    }
    roundTrip(AdapterFormat.AUTHORS, AdapterConfig.lora(2).with(LINEAR).withAlpha(5.0), "", ReadOptions.STRICT);
  }

  /** With the lengths of rows, on linear layers and convolutions. */
  @Test
  void dorasInEveryLayoutThatHoldsThem() throws IOException {
    AdapterConfig dora = AdapterConfig.dora(3).with(LAYERS);
    for (AdapterFormat format : List.of(AdapterFormat.DIFFUSERS, AdapterFormat.DIFFUSERS_OLDER, AdapterFormat.KOHYA,
        AdapterFormat.KOHYA_SGM, AdapterFormat.KOHYA_DIFFUSERS, AdapterFormat.PEFT)) {
      roundTrip(format, dora, "dora.safetensors", ReadOptions.STRICT);
    }
    roundTrip(AdapterFormat.PEFT, dora.withAlpha(4.0), "", ReadOptions.STRICT);
    roundTrip(AdapterFormat.KOHYA, dora.withAlpha(4.0), "dora.safetensors", ReadOptions.STRICT);
    for (AdapterFormat format : List.of(AdapterFormat.AUTHORS, AdapterFormat.AUTHORS_SDXL)) {
      InputException error = assertThrows(InputException.class, () -> roundTrip(format, AdapterConfig.dora(2).with(LINEAR),
          "project_replace.pt", ReadOptions.STRICT));
      assertTrue(error.getMessage().contains("DEFT authors"), error.getMessage());
    }
  }

  /** Names and shapes as PEFT 0.20 writes them, and as LyCORIS does. */
  @Test
  void theNamesOfADorasLengths() throws IOException {
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create();
        AdapterSet set = drawn(unet, AdapterConfig.dora(2).with(Targets.suffixes(List.of("attn1.to_q", "resnets.0.conv1"))));
        PipelineAdapter adapter = new PipelineAdapter(Map.of("unet", set), Map.of(), List.of())) {
      String linear = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
      String convolution = "down_blocks.0.resnets.0.conv1";
      Path peft = Files.createDirectories(temporary.resolve("peft"));
      AdapterFormat.PEFT.write(peft, adapter, models(unet), DType.F32, "t", "b");
      assertEquals(true, Json.read(peft.resolve("adapter_config.json")).get("use_dora"));
      shapes(peft.resolve("adapter_model.safetensors"), "base_model.model." + linear + ".lora_magnitude_vector", "[4]",
          "base_model.model." + convolution + ".lora_magnitude_vector", "[1, 4, 1, 1]");
      Path diffusers = temporary.resolve("diffusers.safetensors");
      AdapterFormat.DIFFUSERS.write(diffusers, adapter, models(unet), DType.F32, "t", "b");
      shapes(diffusers, "unet." + linear + ".lora_magnitude_vector", "[4]", "unet." + convolution + ".lora_magnitude_vector",
          "[1, 4, 1, 1]");
      Path kohya = temporary.resolve("kohya.safetensors");
      AdapterFormat.KOHYA.write(kohya, adapter, models(unet), DType.F32, "t", "b");
      shapes(kohya, "lora_unet_" + linear.replace('.', '_') + ".dora_scale", "[4, 1]",
          "lora_unet_" + convolution.replace('.', '_') + ".dora_scale", "[4, 1, 1, 1]");
      turned(kohya, unet);
    }
  }

  private static void shapes(Path file, String... namesAndShapes) {
    try (SafetensorsFile read = SafetensorsFile.open(file)) {
      for (int i = 0; i < namesAndShapes.length; i += 2) {
        assertTrue(read.names().contains(namesAndShapes[i]), namesAndShapes[i] + " in " + read.names());
        assertEquals(namesAndShapes[i + 1], read.shape(namesAndShapes[i]).toString(), namesAndShapes[i]);
      }
    }
  }

  /** The lengths of columns, as many as those of rows in a square weight, are refused. */
  private void turned(Path kohya, UNet2DConditionModel unet) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try (SafetensorsFile read = SafetensorsFile.open(kohya)) {
      read.names().forEach(name -> tensors.put(name, name.endsWith("to_q.dora_scale") ? read.load(name).t().copy() : read.load(name)));
    }
    Path other = temporary.resolve("columns.safetensors");
    SafetensorsWriter.write(other, tensors, Map.of());
    InputException error = assertThrows(InputException.class, () -> AdapterFiles.read(other, models(unet), ReadOptions.STRICT));
    assertTrue(error.getMessage().contains("each column"), error.getMessage());
  }

  /** What scales rows is no sum of thin matrices. */
  @Test
  void aDoraIsNoLora() {
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create();
        AdapterSet set = drawn(unet, AdapterConfig.dora(2).with(LAYERS))) {
      InputException error = assertThrows(InputException.class, () -> AdapterFold.lora(List.of(set), 2));
      assertTrue(error.getMessage().contains("scales the rows"), error.getMessage());
    }
  }

  @Test
  void everyVariantInPeftsLayout() throws IOException {
    for (Decomposition decomposition : Decomposition.known()) {
      for (Method method : List.of(Method.DEFT, Method.PARA, Method.LORA_PARA)) {
        roundTrip(AdapterFormat.PEFT, AdapterConfig.of(method, 2).with(decomposition).with(LAYERS), "", ReadOptions.STRICT);
      }
    }
    roundTrip(AdapterFormat.PEFT, AdapterConfig.deft(3).with(new SvdDecomposition(Truncation.columns(2))).with(LAYERS)
        .with(new AdapterExtras(new Dropout(0.25, true), true, 0.5)).withAlpha(1.5), "", ReadOptions.STRICT);
  }

  @Test
  void theAuthorsFiles() throws IOException {
    for (Decomposition decomposition : List.of(new QrDecomposition(), new FrozenQrDecomposition(), new ReluDecomposition())) {
      roundTrip(AdapterFormat.AUTHORS, AdapterConfig.deft(2).with(decomposition).with(LINEAR)
          .with(new AdapterExtras(Dropout.NONE, true, 0)), "", ReadOptions.STRICT);
    }
    roundTrip(AdapterFormat.AUTHORS, AdapterConfig.deft(2).with(LINEAR), "", new ReadOptions(false, new RelaxedDecomposition()));
    for (String name : List.of("qr", "tsvd", "lrmf", "eigen", "nmf")) {
      roundTrip(AdapterFormat.AUTHORS, AdapterConfig.para(2).with(Decomposition.named(name)).with(LINEAR), "", ReadOptions.STRICT);
    }
    roundTrip(AdapterFormat.AUTHORS, AdapterConfig.para(2).with(new TsvdDecomposition(Truncation.variance(0.75))).with(LINEAR)
        .with(new AdapterExtras(Dropout.NONE, false, 0.25)), "", ReadOptions.STRICT);
    roundTrip(AdapterFormat.AUTHORS_SDXL, AdapterConfig.deft(2).with(LINEAR), "project_replace.pt", ReadOptions.STRICT);
    roundTrip(AdapterFormat.AUTHORS_SDXL, AdapterConfig.para(2).with(LINEAR), "project_replace.pt", ReadOptions.STRICT);
  }

  @Test
  void everyThinMethodAsALora() {
    for (Method method : List.of(Method.DEFT, Method.PARA, Method.LORA, Method.LORA_PARA)) {
      try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create();
          AdapterSet set = drawn(unet, AdapterConfig.of(method, 2).with(LAYERS)).setStrength(0.8);
          AdapterSet lora = AdapterFold.lora(List.of(set), Long.MAX_VALUE)) {
        double[] expected = predict(unet, set);
        assertArrayEquals(expected, predict(unet, lora), 1e-5, method.label());
        assertTrue(lora.adapters().values().stream().allMatch(adapter -> adapter.rank() <= (method == Method.LORA_PARA ? 4 : 2)));
      }
    }
  }

  private static double[] predict(UNet2DConditionModel unet, AdapterSet... sets) {
    for (AdapterSet set : sets) {
      set.attach();
    }
    double[] values = predict(unet).toDoubles();
    for (AdapterSet set : sets) {
      set.detach();
    }
    return values;
  }

  @Test
  void severalAdaptersAsOne() {
    for (boolean inSequence : new boolean[] {false, true}) {
      try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create();
          AdapterSet first = drawn(unet, AdapterConfig.deft(2).with(LAYERS)).setStrength(0.7);
          AdapterSet second = drawn(unet, AdapterConfig.para(1).with(LINEAR)).setInSequence(inSequence);
          AdapterSet exact = AdapterFold.lora(List.of(first, second), 3);
          AdapterSet rough = AdapterFold.lora(List.of(first, second), 1)) {
        double[] expected = predict(unet, first, second);
        assertArrayEquals(expected, predict(unet, exact), 1e-5);
        assertTrue(rough.adapters().values().stream().allMatch(adapter -> adapter.rank() == 1));
        assertThrows(AssertionError.class, () -> assertArrayEquals(expected, predict(unet, rough), 1e-5));
      }
    }
  }

  @Test
  void aDeftIsNoLoraWithoutTheWeights() throws IOException {
    try (UNet2DConditionModel unet = TinyUnet.create(); PipelineAdapter adapter = new PipelineAdapter(
        Map.of("unet", drawn(unet, AdapterConfig.deft(2).with(LAYERS))), Map.of(), List.of())) {
      InputException error = assertThrows(InputException.class, () -> AdapterFormat.KOHYA.write(temporary.resolve("x.safetensors"), adapter,
          models(unet), DType.F32, "x", "base"));
      assertTrue(error.getMessage().contains("convert it to a LoRA"), error.getMessage());
    }
  }

  /** A folder of parts of which none is the pipeline's adapts nothing, whatever may be left out. */
  @Test
  void partsOfOtherModels() throws IOException {
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create(); AdapterSet set = drawn(unet, AdapterConfig.lora(2).with(LINEAR))) {
      PeftFolder.write(Files.createDirectories(temporary.resolve("parts/transformer")), set, "base");
      Path folder = temporary.resolve("parts");
      for (boolean partial : new boolean[] {false, true}) {
        InputException error = assertThrows(InputException.class,
            () -> AdapterFiles.read(folder, models(unet), ReadOptions.STRICT.withPartial(partial)));
        assertTrue(error.getMessage().contains("transformer") && error.getMessage().contains("unet"), error.getMessage());
      }
    }
  }
}
