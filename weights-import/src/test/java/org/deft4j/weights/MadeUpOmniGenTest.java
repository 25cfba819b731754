package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.MadeUpOmniGen;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** OmniGens with made-up weights: in the released layout, with the real table of positions. */
class MadeUpOmniGenTest {
  @TempDir
  Path temp;

  private Path golden;

  /** The published names, with a table like that of the golden model and a single other tensor. */
  @BeforeEach
  void writeManifests() throws IOException {
    golden = Fixtures.folders("omnigen").getFirst();
    Path vae = Files.createDirectories(temp.resolve("sdxl-base-1.0/configs/vae"));
    Files.copy(Fixtures.folders("sdxl").getFirst().resolve("vae/config.json"), vae.resolve("config.json"));
    try (SafetensorsFile file = SafetensorsFile.open(golden.resolve("model.safetensors"))) {
      List<Long> table = Arrays.stream(file.shape("pos_embed").toArray()).boxed().toList();
      Json.write(temp.resolve("omnigen-v1.json"), Map.of("pos_embed", Map.of("shape", table), "llm.norm.weight",
          Map.of("shape", List.of(8)), "llm.layers.0.mlp.down_proj.weight", Map.of("shape", List.of(64, 64))));
    }
    Json.write(temp.resolve("omnigen-v1-vae.json"), Map.of("conv.weight", Map.of("shape", List.of(8, 4, 3, 3))));
  }

  @Test
  void theFolderIsAnOmniGen() throws IOException {
    Path folder = new MadeUpOmniGen(temp, DType.BF16, 0).write(temp.resolve("model"));
    try (ModelSource model = ModelSource.open(folder.toString())) {
      assertEquals(OmniGenFolder.PIPELINE, model.pipeline());
      JsonObject config = model.config(OmniGenFolder.TRANSFORMER);
      assertEquals(3072, config.requireInteger("hidden_size"));
      assertFalse(config.has("pos_embed_max_size"));
      assertEquals(48, config.requireObject("rope_scaling").requireNumbers("long_factor").size());
      assertEquals(48, config.requireObject("rope_scaling").requireNumbers("short_factor").size());
      assertTrue(Files.exists(model.folder(OmniGenFolder.TOKENIZER).orElseThrow().resolve("tokenizer.json")));
      try (WeightSource transformer = model.weights(OmniGenFolder.TRANSFORMER); WeightSource vae = model.weights(OmniGenFolder.VAE)) {
        assertEquals(3, transformer.names().size());
        assertEquals(DType.BF16, transformer.dtype("llm.norm.weight"));
        assertEquals(DType.F32, vae.dtype("conv.weight"));
      }
    }
  }

  /** Sines and cosines of float64, rounded to F32: the libraries differ in the last bit at most. */
  @Test
  void theTableOfPositionsIsThatOfTheGoldenModel() {
    Path folder = new MadeUpOmniGen(temp, DType.F32, 0).write(temp.resolve("model"));
    try (Scope _ = Scope.open(); SafetensorsFile made = SafetensorsFile.open(folder.resolve("model.safetensors"));
        SafetensorsFile released = SafetensorsFile.open(golden.resolve("model.safetensors"))) {
      Fixtures.closeTo("pos_embed", made.load("pos_embed"), released.load("pos_embed"), 1e-7);
      Tensor norm = made.load("llm.norm.weight");
      assertArrayEquals(new float[] {1, 1}, norm.slice(0, 0, 2).toFloats());
    }
  }

  @Test
  void aWholeModelIsReusedAndAnotherIsNot() throws IOException {
    Path folder = temp.resolve("model");
    Path file = new MadeUpOmniGen(temp, DType.F16, 0).reuseOrWrite(folder).resolve("model.safetensors");
    Object written = Files.getLastModifiedTime(file);
    new MadeUpOmniGen(temp, DType.F16, 0).reuseOrWrite(folder);
    assertEquals(written, Files.getLastModifiedTime(file));
    byte[] before = Files.readAllBytes(file);
    new MadeUpOmniGen(temp, DType.F16, 1).reuseOrWrite(folder);
    assertFalse(Arrays.equals(before, Files.readAllBytes(file)));
  }
}
