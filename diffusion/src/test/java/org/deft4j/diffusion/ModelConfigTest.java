package org.deft4j.diffusion;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Models built from configurations, without weights: names and shapes of the published ones, refusals of others. */
class ModelConfigTest {
  static List<Path> families() {
    return Fixtures.folders("manifests");
  }

  private static Module build(String part, JsonObject config) {
    return switch (part) {
      case "unet" -> new UNet2DConditionModel(UNetConfig.from(config));
      case "vae" -> new AutoencoderKL(VaeConfig.from(config));
      default -> new ClipTextEncoder(ClipTextConfig.from(config));
    };
  }

  @ParameterizedTest
  @MethodSource("families")
  void publishedConfigurationsGiveThePublishedNamesAndShapes(Path family) {
    int parts = 0;
    for (String part : List.of("unet", "vae", "text_encoder", "text_encoder_2")) {
      Path config = family.resolve("configs").resolve(part).resolve("config.json");
      if (Files.exists(config)) {
        JsonObject manifest = Fixtures.json(family.resolve(part + ".json"));
        Map<String, Shape> expected = new LinkedHashMap<>();
        manifest.keys().forEach(name -> expected.put(name, Shape.of(manifest.requireObject(name).requireInts("shape")
            .stream().mapToLong(Integer::longValue).toArray())));
        Map<String, Shape> actual = new LinkedHashMap<>();
        build(part, Json.read(config)).parameters().forEach((name, parameter) -> {
          actual.put(name, parameter.shape());
          assertFalse(parameter.isLoaded());
        });
        assertEquals(expected, actual, family + " " + part);
        parts++;
      }
    }
    assertTrue(parts >= 3);
  }

  /** A picture's way through the full-size models, shapes only. */
  @ParameterizedTest
  @MethodSource("families")
  void publishedModelsRunOnTheMetaDevice(Path family) {
    Path configs = family.resolve("configs");
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = (UNet2DConditionModel) onMeta("unet", configs);
        AutoencoderKL vae = (AutoencoderKL) onMeta("vae", configs);
        ClipTextEncoder text = (ClipTextEncoder) onMeta("text_encoder", configs)) {
      long size = unet.config().sampleSize();
      ClipTextEncoder.Output encoded = text.forward(meta(DType.I64, 2, 77));
      assertEquals(Shape.of(2, 77, text.config().hidden()), encoded.penultimate().shape());
      assertEquals(Shape.of(2, text.config().hidden()), encoded.pooled().shape());
      Tensor latent = vae.encode(meta(DType.F32, 2, 3, 8 * size, 8 * size)).mode();
      assertEquals(Shape.of(2, 4, size, size), latent.shape());
      UNetConfig config = unet.config();
      UNet2DConditionModel.Added added = config.additionTimeDim() == 0 ? null : new UNet2DConditionModel.Added(
          meta(DType.F32, 2, config.additionInputDim() - 6L * config.additionTimeDim()), meta(DType.F32, 2, 6));
      Tensor noise = unet.forward(latent.contiguous(), meta(DType.I64, 2), meta(DType.F32, 2, 77, config.contextDim()), added);
      assertEquals(latent.shape(), noise.shape());
      assertEquals(Shape.of(2, 3, 8 * size, 8 * size), vae.decode(noise).shape());
    }
  }

  private static Tensor meta(DType type, long... sizes) {
    return Tensor.empty(Device.META, type, Shape.of(sizes));
  }

  private static Module onMeta(String part, Path configs) {
    Module model = build(part, Json.read(configs.resolve(part).resolve("config.json")));
    model.parameters().values().forEach(parameter -> parameter.set(meta(DType.F16, parameter.shape().toArray())));
    return model;
  }

  /** The configuration with some values replaced. */
  private static JsonObject with(JsonObject config, Object... keysAndValues) {
    Map<String, Object> changed = new LinkedHashMap<>(config.asMap());
    for (int i = 0; i < keysAndValues.length; i += 2) {
      changed.put((String) keysAndValues[i], keysAndValues[i + 1]);
    }
    return Json.parse(Json.format(changed), "config.json");
  }

  private static String refusal(String part, JsonObject config) {
    return assertThrows(FormatException.class, () -> build(part, config)).getMessage();
  }

  @Test
  void everyUnsupportedValueIsNamedAtOnce() {
    JsonObject config = TinyModel.all().getFirst().config("unet");
    String message = refusal("unet", with(config, "act_fn", "gelu", "class_embed_type", "timestep", "mid_block_type", null,
        "conv_in_kernel", 5, "addition_embed_type", "image", "time_embedding_type", "fourier", "dual_cross_attention", true));
    for (String part : List.of("config.json", "act_fn: gelu", "class_embed_type: timestep", "mid_block_type: null",
        "conv_in_kernel: 5", "addition_embed_type: image", "time_embedding_type: fourier", "dual_cross_attention: true")) {
      assertTrue(message.contains(part), message);
    }
  }

  @Test
  void blocksOfUnknownTypeAndSizesThatDoNotFitAreRefused() {
    JsonObject config = TinyModel.all().getFirst().config("unet");
    List<Object> types = new java.util.ArrayList<>(config.requireStrings("down_block_types"));
    types.set(0, "AttnDownBlock2D");
    assertTrue(refusal("unet", with(config, "down_block_types", types)).contains("down_block_types: AttnDownBlock2D"));
    types.removeLast();
    assertTrue(refusal("unet", with(config, "down_block_types", types)).contains("down_block_types: " + types.size()));
    assertTrue(refusal("unet", with(config, "norm_num_groups", 7)).contains("norm_num_groups"));
    assertTrue(refusal("unet", with(config, "attention_head_dim", 7)).contains("number of attention heads"));
    assertTrue(refusal("unet", with(config, "attention_head_dim", List.of(2))).contains("attention_head_dim: [2]"));
    assertTrue(refusal("unet", with(config, "transformer_layers_per_block", List.of(1)))
        .contains("transformer_layers_per_block"));
  }

  @Test
  void headsAreTakenFromTheirOwnKeyWhereItIsGiven() {
    JsonObject config = TinyModel.all().getFirst().config("unet");
    UNetConfig read = UNetConfig.from(with(config, "num_attention_heads", 1, "attention_head_dim", 999));
    assertTrue(read.heads().stream().allMatch(heads -> heads == 1));
  }

  @Test
  void otherAutoencodersAndTextModelsAreRefused() {
    TinyModel model = TinyModel.all().getFirst();
    String vae = refusal("vae", with(model.config("vae"), "act_fn", "relu", "norm_num_groups", 7, "latents_mean",
        List.of(0.5)));
    assertTrue(vae.contains("act_fn: relu") && vae.contains("norm_num_groups") && vae.contains("latents_mean"), vae);
    String text = refusal("text_encoder", with(model.config("text_encoder"), "architectures", List.of("T5EncoderModel"),
        "hidden_act", "mish", "num_attention_heads", 7));
    assertTrue(text.contains("T5EncoderModel") && text.contains("hidden_act: mish") && text.contains("num_attention_heads"),
        text);
  }

  @Test
  void anAutoencoderMayDoWithoutItsOptionalParts() {
    JsonObject config = with(TinyModel.all().getFirst().config("vae"), "use_quant_conv", false, "use_post_quant_conv", false,
        "mid_block_add_attention", false);
    try (AutoencoderKL vae = new AutoencoderKL(VaeConfig.from(config))) {
      assertTrue(vae.parameters().keySet().stream()
          .noneMatch(name -> name.contains("quant_conv") || name.contains("attentions")));
      assertTrue(vae.parameters().containsKey("encoder.mid_block.resnets.1.conv2.weight"));
    }
  }
}
