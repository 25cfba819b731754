package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What users name as a model: folders in the diffusers layout, in the Hugging Face cache, or something else. */
class ModelSourceTest {
  @TempDir private Path temp;
  private Path model;

  @BeforeEach
  void smallModel() throws IOException {
    model = folder(temp.resolve("model"));
  }

  private static Path folder(Path model) throws IOException {
    Files.createDirectories(model.resolve("unet"));
    Files.createDirectories(model.resolve("vae"));
    Map<String, Object> index = new LinkedHashMap<>();
    index.put("_class_name", "StableDiffusionPipeline");
    index.put("unet", List.of("diffusers", "UNet2DConditionModel"));
    index.put("vae", List.of("diffusers", "AutoencoderKL"));
    index.put("requires_safety_checker", false);
    index.put("safety_checker", java.util.Arrays.asList(null, null));
    Json.write(model.resolve("model_index.json"), index);
    Json.write(model.resolve("unet/config.json"), Map.of("sample_size", 8));
    return model;
  }

  private static void write(Path file, String name, float value) {
    try (Scope _ = Scope.open()) {
      SafetensorsWriter.write(file, Map.of(name, Tensor.of(new float[] {value})), Map.of());
    }
  }

  private float read(String component, String name) {
    try (Scope _ = Scope.open(); ModelSource source = ModelSource.open(model.toString());
        WeightSource weights = source.weights(component)) {
      assertEquals(Set.of(name), weights.names());
      return weights.load(name).toFloats()[0];
    }
  }

  @Test
  void theTinyModelsOpen() {
    for (Path path : Fixtures.models()) {
      try (ModelSource source = ModelSource.open(path.toString())) {
        assertTrue(source.pipeline().startsWith("StableDiffusion"));
        for (String component : List.of("unet", "vae", "text_encoder")) {
          try (WeightSource weights = source.weights(component)) {
            assertFalse(weights.names().isEmpty());
          }
          assertFalse(source.config(component).keys().isEmpty());
        }
        assertTrue(source.config("scheduler").has("num_train_timesteps"));
        assertTrue(Files.exists(source.folder("tokenizer").orElseThrow().resolve("vocab.json")));
      }
    }
  }

  @Test
  void partsAreThoseWithAClassAndWholeFilesComeBeforeShardsAndHalfPrecision() throws IOException {
    try (DiffusersFolder source = DiffusersFolder.open(model)) {
      assertEquals(Set.of("unet", "vae"), source.components());
      assertEquals("AutoencoderKL", source.className("vae"));
      assertEquals(8, source.config("unet").requireInteger("sample_size"));
    }
    write(model.resolve("unet/diffusion_pytorch_model.fp16.safetensors"), "x", 16);
    assertEquals(16, read("unet", "x"));
    write(model.resolve("unet/shard.safetensors"), "x", 2);
    Json.write(model.resolve("unet/diffusion_pytorch_model.safetensors.index.json"),
        Map.of("weight_map", Map.of("x", "shard.safetensors")));
    assertEquals(2, read("unet", "x"));
    write(model.resolve("unet/diffusion_pytorch_model.safetensors"), "x", 32);
    assertEquals(32, read("unet", "x"));
    write(model.resolve("vae/model.safetensors"), "x", 1);
    assertEquals(1, read("vae", "x"));
  }

  @Test
  void oldNamesOfTheAutoencodersAttentionBecomeTodays() {
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> old = new LinkedHashMap<>();
      float value = 0;
      for (String name : List.of("query", "key", "value", "proj_attn")) {
        old.put("encoder.mid_block.attentions.0." + name + ".weight", Tensor.of(new float[] {value++}));
        old.put("decoder.mid_block.attentions.0." + name + ".bias", Tensor.of(new float[] {value++}));
      }
      old.put("decoder.up_blocks.0.query.weight", Tensor.of(new float[] {99}));
      SafetensorsWriter.write(model.resolve("vae/diffusion_pytorch_model.safetensors"), old, Map.of());
      try (ModelSource source = ModelSource.open(model.toString()); WeightSource vae = source.weights("vae")) {
        assertEquals(9, vae.names().size());
        assertEquals(0, vae.load("encoder.mid_block.attentions.0.to_q.weight").item());
        assertEquals(2, vae.load("encoder.mid_block.attentions.0.to_k.weight").item());
        assertEquals(5, vae.load("decoder.mid_block.attentions.0.to_v.bias").item());
        assertEquals(7, vae.load("decoder.mid_block.attentions.0.to_out.0.bias").item());
        assertEquals(99, vae.load("decoder.up_blocks.0.query.weight").item());
      }
    }
  }

  @Test
  void positionIdsAreNotThere() {
    try (Scope _ = Scope.open()) {
      SafetensorsWriter.write(model.resolve("unet/model.safetensors"), Map.of("text_model.embeddings.position_ids",
          Tensor.of(new long[] {0, 1}), "x", Tensor.of(new float[] {5})), Map.of());
    }
    assertEquals(5, read("unet", "x"));
  }

  /** OmniGen's folder: the transformer and the tokenizer in it, the autoencoder in a folder of its own. */
  @Test
  void omniGensFolder() throws IOException {
    Path folder = Files.createDirectories(temp.resolve("omnigen"));
    Files.writeString(folder.resolve("config.json"), "{\"model_type\": \"phi3\", \"hidden_size\": 8}");
    Files.createDirectories(folder.resolve("vae"));
    Files.writeString(folder.resolve("vae/config.json"), "{\"latent_channels\": 4}");
    try (Scope _ = Scope.open(); ModelSource source = ModelSource.open(folder.toString())) {
      assertEquals(OmniGenFolder.PIPELINE, source.pipeline());
      assertEquals(8, source.config("transformer").requireInteger("hidden_size"));
      assertEquals(4, source.config("vae").requireInteger("latent_channels"));
      assertEquals(Optional.of(folder), source.folder("tokenizer"));
      assertTrue(assertThrows(FormatException.class, () -> source.weights("transformer")).getMessage().contains("has no weights"));
      TorchFileWriter.write(folder.resolve("model.pt"), Map.of("pos_embed", Tensor.of(new float[] {1})));
      try (WeightSource trained = source.weights("transformer")) {
        assertEquals(Set.of("pos_embed"), trained.names());
      }
      SafetensorsWriter.write(folder.resolve("model.safetensors"), Map.of("released", Tensor.of(new float[] {2})), Map.of());
      try (WeightSource released = source.weights("transformer")) {
        assertEquals(Set.of("released"), released.names());
      }
      assertTrue(assertThrows(FormatException.class, () -> source.weights("unet")).getMessage().contains("has no part 'unet'"));
    }
    Files.delete(folder.resolve("vae/config.json"));
    Files.delete(folder.resolve("vae"));
    try (ModelSource source = ModelSource.open(folder.toString())) {
      assertTrue(assertThrows(FormatException.class, () -> source.config("vae")).getMessage().contains("has no folder vae"));
    }
  }

  private static String error(String source) {
    return assertThrows(FormatException.class, () -> ModelSource.open(source)).getMessage();
  }

  @Test
  void whatIsNotAModelIsSaidInWords() throws IOException {
    assertTrue(error(temp.resolve("absent/x/y").toString()).endsWith("there is no such file or folder; a model is a folder in the "
        + "diffusers layout or OmniGen's, a .safetensors file, or org/name in the Hugging Face cache"));
    assertTrue(error("a\0b").contains("is not the name of a file"), error("a\0b"));
    Path empty = Files.createDirectory(temp.resolve("empty"));
    assertEquals(empty + ": has no model_index.json, so it is not a model in the diffusers layout", error(empty.toString()));
    Files.writeString(empty.resolve("pytorch_model.bin"), "x");
    assertTrue(error(empty.toString()).endsWith("It has pytorch_model.bin; Python pickles can run programs and are never read; "
        + "convert it to safetensors"));
    assertTrue(error("model.ckpt").contains("never read; convert it to safetensors"));
    Files.writeString(model.resolve("unet/diffusion_pytorch_model.bin"), "x");
    try (ModelSource source = ModelSource.open(model.toString())) {
      String weights = assertThrows(FormatException.class, () -> source.weights("unet")).getMessage();
      assertTrue(weights.contains("unet: has no weights; looked for diffusion_pytorch_model.safetensors, "), weights);
      assertTrue(weights.contains("It has diffusion_pytorch_model.bin; Python pickles"), weights);
      assertTrue(assertThrows(FormatException.class, () -> source.weights("text_encoder")).getMessage()
          .contains("has no part 'text_encoder'; it has unet and vae"));
      assertTrue(assertThrows(FormatException.class, () -> source.config("vae")).getMessage().contains("no such file"));
    }
    Files.delete(model.resolve("vae"));
    try (ModelSource source = ModelSource.open(model.toString())) {
      assertTrue(assertThrows(FormatException.class, () -> source.weights("vae")).getMessage()
          .contains("names the part 'vae', but there is no folder of that name"));
    }
  }

  @Test
  void modelsAreFoundInTheHuggingFaceCacheThroughItsLinks() throws IOException {
    Path hub = temp.resolve("home/hub");
    Path repository = hub.resolve("models--some--model");
    String commit = "0123456789abcdef0123456789abcdef01234567";
    Path snapshot = folder(repository.resolve("snapshots").resolve(commit));
    Path blobs = Files.createDirectories(repository.resolve("blobs"));
    Files.createDirectories(repository.resolve("refs"));
    Files.writeString(repository.resolve("refs/main"), commit);
    write(blobs.resolve("hash1"), "x", 7);
    Json.write(blobs.resolve("hash2"), Map.of("weight_map", Map.of("x", "shard.safetensors")));
    Files.createSymbolicLink(snapshot.resolve("unet/shard.safetensors"), Path.of("../../../blobs/hash1"));
    Files.createSymbolicLink(snapshot.resolve("unet/diffusion_pytorch_model.safetensors.index.json"), Path.of("../../../blobs/hash2"));
    Map<String, String> environment = Map.of("HF_HOME", temp.resolve("home").toString());
    assertEquals(snapshot, HuggingFaceCache.find("some/model", environment));
    model = snapshot;
    assertEquals(7, read("unet", "x"));
    Files.delete(snapshot.resolve("unet/shard.safetensors"));
    write(hub.resolve("elsewhere"), "x", 8);
    Files.createSymbolicLink(snapshot.resolve("unet/shard.safetensors"), Path.of("../../../../elsewhere"));
    assertTrue(assertThrows(FormatException.class, () -> read("unet", "x")).getMessage().contains("outside the folder"));
    Files.writeString(repository.resolve("refs/main"), "../../etc");
    assertTrue(assertThrows(FormatException.class, () -> HuggingFaceCache.find("some/model", environment)).getMessage()
        .contains("names the version '../../etc', which is not among the snapshots"));
    assertEquals("the model other/model is not in the Hugging Face cache " + hub + ", and nothing is downloaded here; fetch it with: "
        + "hf download other/model",
        assertThrows(FormatException.class, () -> HuggingFaceCache.find("other/model", environment)).getMessage());
    assertThrows(FormatException.class, () -> HuggingFaceCache.find("../etc", environment));
  }

  @Test
  void theCacheIsWhereTheEnvironmentSays() {
    assertEquals(Path.of("/a"), HuggingFaceCache.folder(Map.of("HF_HUB_CACHE", "/a", "HF_HOME", "/b")));
    assertEquals(Path.of("/b/hub"), HuggingFaceCache.folder(Map.of("HF_HOME", "/b", "HF_HUB_CACHE", "")));
    assertEquals(Path.of(System.getProperty("user.home"), ".cache/huggingface/hub"), HuggingFaceCache.folder(Map.of()));
    assertArrayEquals(new boolean[] {true, true, false, false, false, false},
        new boolean[] {HuggingFaceCache.isRepository("org/name"), HuggingFaceCache.isRepository("a-b.c/d_e"),
            HuggingFaceCache.isRepository("name"), HuggingFaceCache.isRepository("a/b/c"), HuggingFaceCache.isRepository("../x"),
            HuggingFaceCache.isRepository("a/..")});
  }
}
