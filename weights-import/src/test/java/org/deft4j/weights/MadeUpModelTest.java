package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.MadeUpModel;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Models with made-up weights: in the layout, seeded, well scaled, in shards, and never whole in memory. */
class MadeUpModelTest {
  private static final int LAYERS = 6;
  private static final long SIDE = 256;

  @TempDir
  Path temp;

  private Path manifest;

  /** A family of the published pipeline with small parts of ours. */
  @BeforeEach
  void writeManifest() throws IOException {
    Path published = Fixtures.folders("manifests").getFirst();
    manifest = temp.resolve(published.getFileName());
    Files.createDirectories(manifest.resolve("configs/unet"));
    Files.createDirectories(manifest.resolve("configs/text_encoder"));
    Files.copy(published.resolve("configs/model_index.json"), manifest.resolve("configs/model_index.json"));
    Json.write(manifest.resolve("configs/unet/config.json"), Map.of("_class_name", "UNet2DConditionModel"));
    Json.write(manifest.resolve("configs/text_encoder/config.json"), Map.of("architectures", List.of("CLIPTextModel")));
    Map<String, Object> names = new LinkedHashMap<>();
    for (int i = 0; i < LAYERS; i++) {
      names.put("layers." + i + ".norm.weight", Map.of("shape", List.of(SIDE)));
      names.put("layers." + i + ".linear.weight", Map.of("shape", List.of(SIDE, SIDE)));
      names.put("layers." + i + ".linear.bias", Map.of("shape", List.of(SIDE)));
    }
    names.put("conv.weight", Map.of("shape", List.of(64, 32, 3, 3)));
    Json.write(manifest.resolve("unet.json"), names);
    Json.write(manifest.resolve("text_encoder.json"), Map.of("token.weight", Map.of("shape", List.of(100, 64))));
  }

  private Path write(String name, DType type, long seed, long shardBytes) {
    return new MadeUpModel(manifest, type, seed, shardBytes).write(temp.resolve(name));
  }

  @Test
  void theFolderIsAModelAndPartsWithoutWeightsAreMarkedMissing() throws IOException {
    Path folder = write("model", DType.F16, 0, 0);
    try (ModelSource model = ModelSource.open(folder.toString())) {
      assertTrue(model.components().containsAll(List.of("unet", "text_encoder", "tokenizer")), model.components().toString());
      assertFalse(model.components().contains("vae"));
      assertTrue(Files.exists(model.folder("tokenizer").orElseThrow().resolve("vocab.json")));
      try (WeightSource unet = model.weights("unet"); WeightSource text = model.weights("text_encoder")) {
        assertEquals(3 * LAYERS + 1, unet.names().size());
        assertEquals(DType.F16, unet.dtype("conv.weight"));
        assertEquals("[100, 64]", text.shape("token.weight").toString());
      }
    }
    assertTrue(Files.exists(folder.resolve("unet/diffusion_pytorch_model.safetensors")));
    assertTrue(Files.exists(folder.resolve("text_encoder/model.safetensors")));
  }

  @Test
  void matricesKeepASignalsVariance() {
    Path folder = write("scaled", DType.F32, 3, 0);
    try (Scope _ = Scope.open(); ModelSource model = ModelSource.open(folder.toString());
        WeightSource unet = model.weights("unet")) {
      assertArrayEquals(new float[] {1, 1}, unet.load("layers.0.norm.weight").slice(0, 0, 2).toFloats());
      Map<String, Double> deviations = Map.of("layers.1.linear.weight", 1 / Math.sqrt(SIDE), "layers.1.linear.bias", 0.02,
          "conv.weight", 1 / Math.sqrt(32 * 9));
      deviations.forEach((name, expected) -> {
        Tensor values = unet.load(name);
        double sampling = 4 / Math.sqrt((double) values.elementCount());
        assertEquals(0, values.mean().item() / expected, sampling, name + ": mean");
        assertEquals(1, values.norm().item() / Math.sqrt((double) values.elementCount()) / expected, sampling, name + ": deviation");
      });
    }
  }

  @Test
  void theSeedTheNameAndNothingElseDecideTheValues() throws IOException {
    Path weights = Path.of("unet/diffusion_pytorch_model.safetensors");
    byte[] first = Files.readAllBytes(write("a", DType.BF16, 7, 0).resolve(weights));
    assertArrayEquals(first, Files.readAllBytes(write("b", DType.BF16, 7, 0).resolve(weights)));
    assertFalse(Arrays.equals(first, Files.readAllBytes(write("c", DType.BF16, 8, 0).resolve(weights))));
    try (Scope _ = Scope.open(); SafetensorsFile wide = SafetensorsFile.open(write("d", DType.F32, 7, 0).resolve(weights));
        SafetensorsFile narrow = SafetensorsFile.open(temp.resolve("a").resolve(weights))) {
      String name = "layers.3.linear.weight";
      assertArrayEquals(wide.load(name).cast(DType.BF16).toFloats(), narrow.load(name).toFloats());
      assertNotEquals(wide.load(name).max(false).item(), wide.load("layers.4.linear.weight").max(false).item());
    }
  }

  @Test
  void largePartsComeInShardsAndOnlyOneTensorIsInMemory() throws IOException {
    long layer = 4 * SIDE * (SIDE + 2);
    MemoryPool.cpu().trim();
    MemoryPool.cpu().resetPeak();
    long before = MemoryPool.cpu().liveBytes();
    Path folder = write("shards", DType.F32, 0, 2 * layer + 100);
    assertTrue(MemoryPool.cpu().peakLiveBytes() - before < 2 * 4 * SIDE * SIDE);
    try (Stream<Path> files = Files.list(folder.resolve("unet")); ModelSource model = ModelSource.open(folder.toString());
        WeightSource unet = model.weights("unet")) {
      assertEquals(List.of("config.json", "diffusion_pytorch_model-00001-of-00004.safetensors",
          "diffusion_pytorch_model-00002-of-00004.safetensors", "diffusion_pytorch_model-00003-of-00004.safetensors",
          "diffusion_pytorch_model-00004-of-00004.safetensors", "diffusion_pytorch_model.safetensors.index.json"),
          files.map(file -> file.getFileName().toString()).sorted().toList());
      assertEquals(3 * LAYERS + 1, unet.names().size());
    }
  }

  @Test
  void aWholeModelIsReusedAndAnotherOrHalfOneIsNot() throws IOException {
    Path folder = temp.resolve("again");
    MadeUpModel model = new MadeUpModel(manifest, DType.F16, 1, 0);
    Path file = model.reuseOrWrite(folder).resolve("unet/diffusion_pytorch_model.safetensors");
    Object written = Files.getLastModifiedTime(file);
    model.reuseOrWrite(folder);
    assertEquals(written, Files.getLastModifiedTime(file));
    byte[] before = Files.readAllBytes(file);
    new MadeUpModel(manifest, DType.F16, 2, 0).reuseOrWrite(folder);
    assertFalse(Arrays.equals(before, Files.readAllBytes(file)));
    assertThrows(IllegalArgumentException.class, () -> new MadeUpModel(manifest, DType.F64, 0, 0));
  }
}
