package org.deft4j.deft;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.diffusion.UNetConfig;
import org.deft4j.diffusion.omnigen.OmniGenConfig;
import org.deft4j.diffusion.omnigen.OmniGenTransformer;
import org.deft4j.tensor.Shape;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** The trainable counts that the paper and PEFT report for the full-size models, from the published configurations. */
class ParameterCountTest {
  @TestFactory
  Stream<DynamicTest> counts() {
    return Fixtures.folders("manifests").stream().map(folder -> folder.resolve("configs/unet/config.json")).map(file ->
        DynamicTest.dynamicTest(file.getParent().getParent().getParent().getFileName().toString(), () -> counts(file)));
  }

  private static void counts(Path file) {
    JsonObject json = Json.read(file);
    boolean sdxl = "text_time".equals(json.string("addition_embed_type", null));
    try (UNet2DConditionModel unet = new UNet2DConditionModel(UNetConfig.from(json))) {
      var layers = Targets.ATTENTION.select(unet);
      assertEquals(sdxl ? 560 : 128, layers.size());
      for (int rank : new int[] {1, 4, 8, 32}) {
        assertEquals((sdxl ? 1_451_520L : 199_296L) * rank, count(unet, AdapterConfig.deft(rank)));
        assertEquals((sdxl ? 1_451_520L : 199_296L) * rank, count(unet, AdapterConfig.lora(rank)));
        assertEquals((sdxl ? 665_600L : 99_840L) * rank, count(unet, AdapterConfig.para(rank)));
        assertEquals((sdxl ? 1_451_520L : 199_296L) * rank + (sdxl ? 665_600L : 99_840L), count(unet, AdapterConfig.dora(rank)));
        assertEquals((sdxl ? 1_451_520L + 665_600L : 199_296L + 99_840L) * rank, count(unet, AdapterConfig.of(Method.LORA_PARA, rank)));
      }
    }
  }

  private static long count(UNet2DConditionModel unet, AdapterConfig config) {
    return config.targets().select(unet).values().stream()
        .mapToLong(layer -> config.parameterCount(layer.weight().shape())).sum();
  }

  /** The manifests of an OmniGen, beside those of the pipelines, against the transformer of the released configuration. */
  @TestFactory
  Stream<DynamicTest> omniGen() {
    List<Path> files = Fixtures.folders("manifests").stream().map(Path::getParent).distinct()
        .map(folder -> folder.resolve("omnigen-v1.json")).toList();
    return files.stream().map(file -> DynamicTest.dynamicTest(file.getFileName().toString(), () -> {
      JsonObject manifest = Fixtures.json(file);
      try (OmniGenTransformer transformer = released(shape(manifest, "pos_embed").size(1))) {
        assertEquals(211, shapes(transformer).size());
        assertEquals(shapes(manifest), shapes(transformer));
        assertEquals(3_762_072_592L, transformer.parameterCount());
        omniGen(transformer);
      }
    }));
  }

  /** Without weights. */
  private static OmniGenTransformer released(long positions) throws IOException {
    try (InputStream config = Fixtures.class.getResourceAsStream("omnigen-v1.json")) {
      return new OmniGenTransformer(OmniGenConfig.from(
          Json.parse(new String(config.readAllBytes(), StandardCharsets.UTF_8), "omnigen-v1.json"), positions));
    }
  }

  private static Map<String, Shape> shapes(JsonObject manifest) {
    Map<String, Shape> shapes = new TreeMap<>();
    manifest.keys().forEach(name -> shapes.put(name, shape(manifest, name)));
    return shapes;
  }

  private static Map<String, Shape> shapes(OmniGenTransformer transformer) {
    Map<String, Shape> shapes = new TreeMap<>();
    transformer.parameters().forEach((name, parameter) -> shapes.put(name, parameter.shape()));
    return shapes;
  }

  private static Shape shape(JsonObject manifest, String name) {
    return Shape.of(manifest.requireObject(name).requireInts("shape").stream().mapToLong(size -> size).toArray());
  }

  /**
   * The paper trains 37.7 M numbers with DEFT and LoRA at rank 64, 25.2 M with PaRa: qkv_proj [9216, 3072] and o_proj [3072,
   * 3072] of 32 layers.
   */
  private static void omniGen(OmniGenTransformer transformer) {
    List<Shape> attention = shapes(transformer, "qkv_proj", "o_proj");
    List<Shape> all = shapes(transformer, "qkv_proj", "o_proj", "gate_up_proj", "down_proj");
    assertEquals(64, attention.size());
    assertEquals(4_718_592, count(attention, AdapterConfig.lora(8)));
    assertEquals(4_718_592, count(attention, AdapterConfig.deft(8)));
    assertEquals(3_145_728, count(attention, AdapterConfig.para(8)));
    assertEquals(37_748_736, count(attention, AdapterConfig.deft(64)));
    assertEquals(37_748_736, count(attention, AdapterConfig.lora(64)));
    assertEquals(25_165_824, count(attention, AdapterConfig.para(64)));
    // The authors' LoRA with PaRa: r (2 out + in).
    assertEquals(62_914_560, count(attention, AdapterConfig.of(Method.LORA_PARA, 64)));
    // With the basis frozen, as their qr has it, R alone: a third.
    assertEquals(12_582_912, count(attention, AdapterConfig.deft(64).with(new FrozenQrDecomposition())));
    assertEquals(100_663_296, count(all, AdapterConfig.deft(64)));
    assertEquals(65_011_712, count(all, AdapterConfig.para(64)));
    for (int rank : new int[] {4, 8, 16, 32}) {
      assertEquals(589_824L * rank, count(attention, AdapterConfig.deft(rank)));
      assertEquals(393_216L * rank, count(attention, AdapterConfig.para(rank)));
      assertEquals(2 * 393_216L * rank, count(attention, AdapterConfig.para(rank).with(new NmfDecomposition(true))));
    }
  }

  private static List<Shape> shapes(OmniGenTransformer transformer, String... ends) {
    return Targets.suffixes(List.of(ends)).select(transformer).values().stream().map(layer -> layer.weight().shape()).toList();
  }

  private static long count(List<Shape> weights, AdapterConfig config) {
    return weights.stream().mapToLong(config::parameterCount).sum();
  }
}
