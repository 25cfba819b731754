package org.deft4j.deft;

import java.nio.file.Path;
import java.util.stream.Stream;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.diffusion.UNetConfig;
import org.deft4j.nn.Linear;
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
      }
    }
  }

  private static long count(UNet2DConditionModel unet, AdapterConfig config) {
    return config.targets().select(unet).values().stream()
        .mapToLong((Linear layer) -> config.parameterCount(layer.inFeatures(), layer.outFeatures())).sum();
  }
}
