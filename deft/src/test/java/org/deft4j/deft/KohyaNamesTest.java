package org.deft4j.deft;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.deft.KohyaNames.Component;
import org.deft4j.deft.KohyaNames.Style;
import org.deft4j.diffusion.ClipTextConfig;
import org.deft4j.diffusion.ClipTextEncoder;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.diffusion.UNetConfig;
import org.deft4j.nn.Conv2d;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.SingleFiles;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Kohya's flat names against layer paths: names as they are in files, full-size models, and what cannot be told apart. */
class KohyaNamesTest {
  private static final String UNET_PREFIX = "model.diffusion_model.";
  /** The structure of the small SDXL that the names in {@code kohya-names.txt} belong to. */
  private static final String UNET = """
      {"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "block_out_channels": [4, 8, 16],
       "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
       "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
       "mid_block_type": "UNetMidBlock2DCrossAttn", "layers_per_block": 2, "transformer_layers_per_block": [1, 1, 2],
       "attention_head_dim": 2, "cross_attention_dim": 6, "norm_num_groups": 2, "sample_size": 4, "use_linear_projection": true}
      """;

  private static List<String> layers(Module model) {
    return model.modules().entrySet().stream().filter(part -> part.getValue() instanceof Linear || part.getValue() instanceof Conv2d)
        .map(Map.Entry::getKey).toList();
  }

  private static KohyaNames unet(JsonObject config) {
    try (UNet2DConditionModel unet = new UNet2DConditionModel(UNetConfig.from(config))) {
      return KohyaNames.of(Component.UNET, layers(unet));
    }
  }

  private static KohyaNames text(Component component, ClipTextConfig config) {
    try (ClipTextEncoder encoder = new ClipTextEncoder(config)) {
      return KohyaNames.of(component, layers(encoder));
    }
  }

  private static Component component(String flat) {
    List<Component> fitting = Arrays.stream(Component.values()).filter(component -> flat.startsWith(component.prefix())).toList();
    assertEquals(1, fitting.size(), flat);
    return fitting.getFirst();
  }

  /** Both names of one layer on each line, from two files with the same numbers; the layers of every kind and level. */
  @Test
  void namesAsTheyAreInFilesBelongToOneLayerInBothStyles() throws IOException {
    ClipTextConfig text = new ClipTextConfig(10, 4, 8, 4, 2, 8, 1e-5, "gelu", 1, 0);
    Map<Component, KohyaNames> tables = new EnumMap<>(Map.of(Component.UNET, unet(Json.parse(UNET, "unet")),
        Component.TEXT_ENCODER_1, text(Component.TEXT_ENCODER_1, text), Component.TEXT_ENCODER_2, text(Component.TEXT_ENCODER_2, text)));
    try (InputStream in = KohyaNamesTest.class.getResourceAsStream("kohya-names.txt")) {
      List<String> lines = new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList();
      assertEquals(99, lines.size());
      for (String line : lines) {
        String[] names = line.split(" ", -1);
        KohyaNames table = tables.get(component(names[0]));
        String layer = table.layer(names[0]);
        assertNotNull(layer, names[0]);
        assertEquals(layer, table.layer(names[1]), names[1]);
        assertEquals(names[0], table.flat(layer, Style.DIFFUSERS));
        assertEquals(names[1], table.flat(layer, Style.SGM));
      }
    }
  }

  /** Every kohya file of the golden data fits its model, and all say the same of a layer, whichever style they name it in. */
  @TestFactory
  Stream<DynamicTest> goldenFiles() {
    return AdapterFixture.all().stream().flatMap(fixture -> {
      Map<Component, KohyaNames> tables = tables(fixture.model);
      List<Path> files = fixture.kohyaFiles();
      return files.stream().map(file -> DynamicTest.dynamicTest(fixture + " " + file.getFileName(), () -> {
        try (Scope _ = Scope.open()) {
          Map<String, Tensor> expected = byLayer(tables, files.getFirst());
          Map<String, Tensor> actual = byLayer(tables, file);
          assertFalse(actual.isEmpty());
          assertEquals(expected.keySet(), actual.keySet());
          expected.forEach((name, tensor) -> Fixtures.equal(name, actual.get(name), tensor));
        }
      }));
    });
  }

  private static Map<Component, KohyaNames> tables(Path model) {
    return Map.of(Component.UNET, unet(Json.read(model.resolve("unet/config.json"))),
        Component.TEXT_ENCODER_1, text(Component.TEXT_ENCODER_1, ClipTextConfig.from(Json.read(model.resolve("text_encoder/config.json")))),
        Component.TEXT_ENCODER_2,
        text(Component.TEXT_ENCODER_2, ClipTextConfig.from(Json.read(model.resolve("text_encoder_2/config.json")))));
  }

  /** The file's tensors under {@code component/layer.matrix}; each name comes back from its layer in one of the styles. */
  private static Map<String, Tensor> byLayer(Map<Component, KohyaNames> tables, Path file) {
    return Fixtures.golden(file).entrySet().stream().collect(Collectors.toMap(entry -> {
      String key = entry.getKey();
      String flat = key.substring(0, key.indexOf('.'));
      KohyaNames table = tables.get(component(flat));
      String layer = table.layer(flat);
      assertNotNull(layer, key);
      assertTrue(Stream.of(Style.values()).anyMatch(style -> table.flat(layer, style).equals(flat)), key);
      return table.component() + "/" + layer + key.substring(flat.length());
    }, Map.Entry::getValue));
  }

  /** The layers of a component in a manifest: whatever has a matrix or filters, but for embeddings. */
  private static List<String> manifest(Path file) {
    JsonObject json = Fixtures.json(file);
    return json.keys().stream().filter(name -> name.endsWith(".weight") && !name.contains("embeddings.")
        && json.requireObject(name).requireInts("shape").size() > 1).map(name -> name.substring(0, name.length() - ".weight".length()))
        .toList();
  }

  /** The published map of single-file names gives every layer's name in the SGM style. */
  @TestFactory
  Stream<DynamicTest> everyLayerOfAFullSizeUnetHasItsNameInBothStyles() {
    return Fixtures.folders("manifests").stream().map(folder -> DynamicTest.dynamicTest(folder.getFileName().toString(), () -> {
      List<String> paths = manifest(folder.resolve("unet.json"));
      JsonObject map = Fixtures.json(SingleFiles.first(folder, "single_file_map."));
      Map<String, String> published = map.keys().stream().filter(name -> name.startsWith(UNET_PREFIX)).collect(Collectors.toMap(
          map::requireString, name -> name.substring(UNET_PREFIX.length())));
      KohyaNames names = KohyaNames.of(Component.UNET, paths);
      Set<String> distinct = new HashSet<>();
      for (String path : paths) {
        String ldm = published.get("unet/" + path + ".weight").replaceFirst("\\.weight$", "");
        assertEquals("lora_unet_" + path.replace('.', '_'), names.flat(path, Style.DIFFUSERS));
        assertEquals("lora_unet_" + ldm.replace('.', '_'), names.flat(path, Style.SGM));
        for (Style style : Style.values()) {
          assertEquals(path, names.layer(names.flat(path, style)));
          distinct.add(names.flat(path, style));
        }
      }
      assertTrue(paths.size() > 200);
      assertEquals(2 * paths.size(), distinct.size());
      try (UNet2DConditionModel model = new UNet2DConditionModel(UNetConfig.from(Json.read(folder.resolve("configs/unet/config.json"))))) {
        assertEquals(Set.copyOf(paths), Set.copyOf(layers(model)));
      }
    }));
  }

  @TestFactory
  Stream<DynamicTest> everyLayerOfAFullSizeTextEncoderHasItsName() {
    return Fixtures.folders("manifests").stream().map(folder -> DynamicTest.dynamicTest(folder.getFileName().toString(), () -> {
      boolean two = Fixtures.exists(folder.resolve("text_encoder_2.json"));
      encoder(folder, "text_encoder", two ? Component.TEXT_ENCODER_1 : Component.TEXT_ENCODER, two ? "lora_te1_" : "lora_te_");
      if (two) {
        encoder(folder, "text_encoder_2", Component.TEXT_ENCODER_2, "lora_te2_");
      }
    }));
  }

  private static void encoder(Path folder, String part, Component component, String prefix) {
    List<String> paths = manifest(folder.resolve(part + ".json"));
    KohyaNames names = text(component, ClipTextConfig.from(Json.read(folder.resolve("configs/" + part + "/config.json"))));
    assertTrue(paths.size() > 70);
    for (String path : paths) {
      String flat = prefix + path.replace('.', '_');
      assertEquals(path, names.layer(flat));
      assertEquals(flat, names.flat(path, Style.DIFFUSERS));
      assertEquals(flat, names.flat(path, Style.SGM));
    }
    assertEquals("text_model.encoder.layers.0.self_attn.q_proj", names.layer(prefix + "text_model_encoder_layers_0_self_attn_q_proj"));
    assertNull(names.layer("lora_unet_text_model_encoder_layers_0_self_attn_q_proj"));
  }

  /** The one thing no rule could tell: which {@code _} was a dot. */
  @Test
  void layersWithOneFlatNameAreRefusedByName() {
    InputException error = assertThrows(InputException.class,
        () -> KohyaNames.of(Component.TEXT_ENCODER, List.of("a.b_c", "x", "a_b.c")));
    assertEquals("the layers a.b_c and a_b.c would both be called lora_te_a_b_c in a kohya file; such a model has no kohya names",
        error.getMessage());
    assertTrue(assertThrows(InputException.class, () -> KohyaNames.of(Component.UNET, List.of("input_blocks.0.0", "conv_in")))
        .getMessage().contains("input_blocks.0.0 and conv_in would both be called lora_unet_input_blocks_0_0"));
  }

  @Test
  void whatIsNotInTheModelIsUnknownAndSaysWhatIsNear() {
    KohyaNames names = KohyaNames.of(Component.UNET, List.of("conv_in", "mid_block.attentions.0.proj_in", "encoder_hid_proj"));
    assertNull(names.layer("lora_unet_mid_block_attentions_1_proj_in"));
    assertNull(names.layer("conv_in"));
    assertEquals("layer conv_on is not one of the 3 that have kohya names; did you mean 'conv_in'?",
        assertThrows(InputException.class, () -> names.flat("conv_on", Style.SGM)).getMessage());
    assertEquals("encoder_hid_proj", names.layer("lora_unet_encoder_hid_proj"));
    assertEquals("layer encoder_hid_proj has no name in single-file checkpoints of Stable Diffusion, hence none in kohya's SGM style; "
        + "its name in the style of diffusers is lora_unet_encoder_hid_proj",
        assertThrows(InputException.class, () -> names.flat("encoder_hid_proj", Style.SGM)).getMessage());
  }

  @Provide
  static Arbitrary<Set<String>> paths() {
    return Arbitraries.of("a", "b", "a_b", "0", "b_0").list().ofMinSize(1).ofMaxSize(3).map(parts -> String.join(".", parts)).set()
        .ofMaxSize(6);
  }

  /** Any set of paths either has a table that goes there and back, or two of them have one flat name and there is none. */
  @Property
  void aTableGoesThereAndBackOrThereIsNone(@ForAll("paths") Set<String> paths) {
    Map<String, Long> counts = paths.stream().map(path -> path.replace('.', '_'))
        .collect(Collectors.groupingBy(Function.identity(), Collectors.counting()));
    if (counts.size() < paths.size()) {
      assertThrows(InputException.class, () -> KohyaNames.of(Component.TEXT_ENCODER_2, paths));
    } else {
      KohyaNames names = KohyaNames.of(Component.TEXT_ENCODER_2, paths);
      paths.forEach(path -> assertEquals(path, names.layer(names.flat(path, Style.SGM))));
    }
  }
}
