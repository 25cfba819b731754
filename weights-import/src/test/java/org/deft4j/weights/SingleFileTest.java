package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.SingleFiles;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Single-file checkpoints under diffusers' names, against published maps and against the same models as folders. */
class SingleFileTest {
  @TempDir private Path temp;

  private static Map<String, Shape> manifest(Path file) {
    JsonObject json = Fixtures.json(file);
    Map<String, Shape> shapes = new LinkedHashMap<>();
    for (String name : json.keys()) {
      shapes.put(name, Shape.of(json.requireObject(name).requireInts("shape").stream().mapToLong(i -> i).toArray()));
    }
    return shapes;
  }

  /** Our mapping in the words of the published map. */
  private static Object published(SingleFileMap.Mapping mapping) {
    if (mapping.pieces().size() == 1 && mapping.pieces().getFirst() instanceof Piece.Copy copy) {
      return mapping.component() + "/" + copy.name();
    }
    return Map.of("component", mapping.component(), "targets", mapping.pieces().stream().map(piece -> switch (piece) {
      case Piece.Copy copy -> Map.of("name", copy.name());
      case Piece.Rows rows -> Map.of("name", rows.name(), "op", "slice", "dim", 0L, "start", rows.start(), "stop", rows.stop());
      case Piece.Transposed transposed -> Map.of("name", transposed.name(), "op", "transpose");
      case Piece.Squeezed squeezed -> Map.of("name", squeezed.name(), "op", "squeeze_1x1");
    }).toList());
  }

  @Test
  void theMapOfAFullSizeCheckpointIsThePublishedOneEntryByEntry() {
    for (Path folder : Fixtures.folders("manifests")) {
      Path shapes = SingleFiles.first(folder, "single_file.");
      JsonObject expected = Fixtures.json(SingleFiles.first(folder, "single_file_map."));
      Map<String, Shape> tensors = manifest(shapes);
      Map<String, SingleFileMap.Mapping> ours =
          SingleFileMap.of("checkpoint", SingleFileFamily.of("checkpoint", tensors.keySet()), tensors);
      assertEquals(expected.keys(), ours.keySet());
      assertTrue(ours.size() > 1000, folder.toString());
      ours.forEach((name, mapping) -> assertEquals(expected.get(name), published(mapping), name));
    }
  }

  /** Every tensor of every component is made, none twice, in the shape that the diffusers layout has. */
  @Test
  void theComponentsOfAFullSizeCheckpointAreThoseOfTheFolder() {
    for (Path folder : Fixtures.folders("manifests")) {
      Map<String, Shape> tensors = manifest(SingleFiles.first(folder, "single_file."));
      Map<String, Map<String, Shape>> made = new TreeMap<>();
      SingleFileMap.of("checkpoint", SingleFileFamily.of("checkpoint", tensors.keySet()), tensors)
          .forEach((stored, mapping) -> mapping.pieces().forEach(piece -> made
              .computeIfAbsent(mapping.component(), _ -> new TreeMap<>())
              .put(piece.name(), piece.shape(tensors.get(stored)))));
      for (String component : made.keySet()) {
        assertEquals(new TreeMap<>(manifest(folder.resolve(component + ".json"))), made.get(component), component);
      }
      assertTrue(made.size() >= 3, made.keySet().toString());
    }
  }

  @Test
  void theConfigurationsAreThePublishedOnes() {
    for (Path folder : Fixtures.folders("manifests")) {
      Path configs = folder.resolve("configs");
      SingleFileFamily family = Json.read(configs.resolve("model_index.json")).requireString("_class_name").contains("XL")
          ? SingleFileFamily.SDXL : SingleFileFamily.SD15;
      for (String part : List.of("unet", "vae", "text_encoder")) {
        assertEquals(Json.read(configs.resolve(part + "/config.json")).asMap(), family.published(part).asMap());
      }
      assertEquals(Json.read(configs.resolve("scheduler/scheduler_config.json")).asMap(),
          family.published("scheduler").asMap());
      assertEquals(Json.read(configs.resolve("model_index.json")).asMap(), family.published("model_index").asMap());
    }
  }

  /** A file of gigabytes whose data nobody wrote: it needs no configurations, and only what is asked for is read. */
  @Test
  void aFullSizeCheckpointOpensWithThePublishedConfigurations() throws IOException {
    for (Path folder : Fixtures.folders("manifests")) {
      Path file = Crafted.sparse(temp.resolve("checkpoint.safetensors"),
          Fixtures.json(SingleFiles.first(folder, "single_file.")));
      try (Scope _ = Scope.open(); ModelSource source = ModelSource.open(file.toString())) {
        assertTrue(Files.size(file) > 1L << 30, "bytes");
        assertEquals(Json.read(folder.resolve("configs/model_index.json")).get("_class_name"), source.pipeline());
        for (String component : source.components()) {
          if (!component.equals("scheduler")) {
            assertEquals(manifest(folder.resolve(component + ".json")).keySet(), source.weights(component).names());
          }
        }
        WeightSource text = source.weights(source.components().contains("text_encoder_2") ? "text_encoder_2" : "text_encoder");
        String bias = "text_model.encoder.layers.1.self_attn.v_proj.bias";
        assertEquals(text.shape(bias), text.load(bias).shape());
      } finally {
        Files.delete(file);
      }
    }
  }

  @Test
  void theTokenizersSettingsAreThePublishedOnes() {
    for (Path folder : Fixtures.folders("tokenizer")) {
      Map<String, Object> first = Json.read(folder.resolve("tokenizer_config.json")).asMap();
      assertEquals(first, SingleFileFamily.SD15.published("tokenizer").asMap());
      assertEquals(first, SingleFileFamily.SDXL.published("tokenizer").asMap());
      assertEquals(Json.read(folder.resolve("tokenizer_2_config.json")).asMap(),
          SingleFileFamily.SDXL.published("tokenizer_2").asMap());
    }
  }

  /** As it lies in the golden data, and as it is made from the folder with the published map. */
  @Test
  void aTinyCheckpointHoldsTheSameNumbersAsItsFolder() {
    for (Path folder : Fixtures.models()) {
      sameModel(SingleFiles.of(folder, temp), folder);
    }
  }

  private static void sameModel(Path file, Path folder) {
    try (SingleFile single = SingleFile.open(file, folder); DiffusersFolder whole = DiffusersFolder.open(folder)) {
      assertEquals(whole.pipeline(), single.pipeline());
      for (String component : single.components()) {
        if (!component.equals("scheduler")) {
          sameTensors(whole, single, component);
        }
        assertEquals(whole.config(component).asMap(), single.config(component).asMap());
      }
    }
  }

  private static void sameTensors(ModelSource whole, ModelSource single, String component) {
    try (WeightSource expected = whole.weights(component); WeightSource actual = single.weights(component)) {
      assertEquals(Set.copyOf(expected.names()), Set.copyOf(actual.names()));
      assertFalse(expected.names().isEmpty());
      for (String name : expected.names()) {
        try (Scope _ = Scope.open()) {
          Tensor tensor = actual.load(name);
          assertEquals(expected.shape(name), actual.shape(name), name);
          assertEquals(actual.shape(name), tensor.shape(), name);
          assertEquals(actual.dtype(name), tensor.dtype(), name);
          Fixtures.equal(name, tensor, expected.load(name).cast(tensor.dtype()));
        }
      }
    }
  }

  @Test
  void aTinyCheckpointWithoutConfigurationsIsRefusedWithThem() {
    for (Path folder : Fixtures.models()) {
      Path file = SingleFiles.of(folder, temp);
      FormatException error = assertThrows(FormatException.class, () -> SingleFile.open(file));
      assertTrue(error.getMessage().contains("is not of the size that Stable Diffusion"), error.getMessage());
      assertTrue(error.getMessage().contains("was published in: unet conv_in.weight"), error.getMessage());
    }
  }

  private Path checkpoint(String... names) {
    Path file = temp.resolve("model.safetensors");
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (String name : names) {
        tensors.put(name, Tensor.zeros(DType.F32, 2, 2));
      }
      SafetensorsWriter.write(file, tensors, Map.of());
    }
    return file;
  }

  @Test
  void whatIsNotACheckpointOfAKnownFamilyIsRefusedByName() {
    Map<List<String>, String> cases = Map.of(
        List.of("a"), "is not a single-file checkpoint of Stable Diffusion",
        List.of("model.diffusion_model.out.0.weight", "cond_stage_model.model.ln_final.weight"), "Stable Diffusion 2",
        List.of("model.diffusion_model.out.0.weight", "conditioner.embedders.0.model.ln_final.weight"), "XL refiner",
        List.of("model.diffusion_model.out.0.weight"), "without the text encoders",
        List.of("model.diffusion_model.out.0.weight", "cond_stage_model.transformer.text_model.final_layer_norm.weight",
            "model.diffusion_model.what", "odd"), "2 tensors have no place in Stable Diffusion 1.5");
    cases.forEach((names, message) -> {
      Path file = checkpoint(names.toArray(String[]::new));
      FormatException error = assertThrows(FormatException.class, () -> SingleFile.open(file));
      assertTrue(error.getMessage().contains(message) && error.getMessage().contains(file.toString()), error.getMessage());
    });
  }

  @Test
  void averagedWeightsAndScheduleBuffersArePassedOver() {
    Path file = checkpoint("model.diffusion_model.out.0.weight", "model_ema.decay", "model_ema.diffusion_modelout0weight",
        "betas", "alphas_cumprod", "posterior_mean_coef2", "first_stage_model.loss.logvar",
        "cond_stage_model.transformer.text_model.embeddings.position_ids");
    try (SingleFile single = SingleFile.open(file)) {
      assertEquals(Set.of("conv_norm_out.weight"), single.weights("unet").names());
      assertEquals(Set.of(), single.weights("text_encoder").names());
      assertTrue(assertThrows(FormatException.class, () -> single.weights("vae")).getMessage()
          .contains("has no weights of 'vae'"));
    }
  }

  @Test
  void picklesAreNeverRead() throws IOException {
    for (String name : List.of("v1-5-pruned.ckpt", "MODEL.PT", "pytorch_model.bin")) {
      Path file = temp.resolve(name);
      Files.writeString(file, "PK\3\4 whatever");
      FormatException error = assertThrows(FormatException.class, () -> ModelSource.open(file.toString()));
      assertEquals(file + ": Python pickles can run programs and are never read; convert it to safetensors",
          error.getMessage());
    }
    for (byte[] content : new byte[][] {{'P', 'K', 3, 4, 0, 0, 8, 8, 0, 0}, {(byte) 0x80, 2, '}', 'q', 0, 'X', 1, 0, 0, 0, 'a'}}) {
      Path renamed = temp.resolve("renamed.safetensors");
      Files.write(renamed, content);
      assertTrue(assertThrows(FormatException.class, () -> ModelSource.open(renamed.toString())).getMessage()
          .endsWith("It begins like a Python pickle. Python pickles can run programs and are never read; convert it to "
              + "safetensors"), renamed.toString());
    }
  }
}
