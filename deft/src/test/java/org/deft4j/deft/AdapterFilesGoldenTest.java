package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Adapter files of PEFT and diffusers: read, they give the outputs that those libraries give; written, they are as they were. */
class AdapterFilesGoldenTest {
  private static final double OUTPUT = 3e-5;

  @TempDir
  Path temporary;

  @TestFactory
  Stream<DynamicTest> files() {
    return AdapterFixture.all().stream().flatMap(fixture -> Stream.concat(peftFolders(fixture),
        Stream.<Map.Entry<String, Consumer<AdapterFixture>>>of(Map.entry("peft.scale1.0.unmerged", f -> lora(f, 1)),
            Map.entry("peft.scale0.6.unmerged", f -> lora(f, 0.6)),
            Map.entry("processor style", this::processorStyle), Map.entry("two adapters", this::twoAdapters),
            Map.entry("peft adapter with alpha", this::peftLora))
            .map(test -> DynamicTest.dynamicTest(fixture + " " + test.getKey(), () -> test.getValue().accept(fixture)))));
  }

  /** The trained state of a variant in PEFT's layout gives the output after training. */
  private Stream<DynamicTest> peftFolders(AdapterFixture fixture) {
    try (Stream<Path> all = Files.list(fixture.folder.resolve("deft"))) {
      return all.filter(PeftFolder::is).toList().stream().map(folder -> DynamicTest.dynamicTest(
          fixture + " " + folder.getFileName(), () -> peftDeft(fixture, folder)));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private void peftDeft(AdapterFixture fixture, Path folder) {
    fixture.withUnet(unet -> {
      Map<String, Tensor> data = fixture.golden("deft/training_data.safetensors");
      try (AdapterSet set = AdapterFiles.read(folder, unet)) {
        String variant = set.config().method() == Method.PARA ? "para"
            : set.config().decomposition().method().replace("relu", "p_relu");
        set.attach();
        Tensor output = AdapterFixture.predict(unet, data.get("noisy").select(0, 0), data.get("timesteps").select(0, 0), data);
        Fixtures.closeTo(variant, output,
            fixture.golden("deft/" + variant + ".golden.safetensors").get("output_after_10_steps"), OUTPUT);
        assertRoundTrip(folder, set, temporary);
      }
    });
  }

  /** What was read of {@code folder} is written into a folder in {@code temporary} as it was: the tensors' file to the byte. */
  static void assertRoundTrip(Path folder, AdapterSet set, Path temporary) {
    try {
      Path copy = Files.createTempDirectory(temporary, "peft");
      PeftFolder.write(copy, set, null);
      assertArrayEquals(Files.readAllBytes(folder.resolve(PeftFolder.WEIGHTS)),
          Files.readAllBytes(copy.resolve(PeftFolder.WEIGHTS)), "the tensors' file");
      assertEquals(Json.read(folder.resolve(PeftFolder.CONFIG)).asMap(), Json.read(copy.resolve(PeftFolder.CONFIG)).asMap());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static Tensor predict(AdapterFixture fixture, UNet2DConditionModel unet) {
    Map<String, Tensor> in = Fixtures.golden(fixture.model.resolve("golden/unet_t0.safetensors"));
    return AdapterFixture.predict(unet, in.get("sample"), in.get("timestep"), in);
  }

  private static Path lora(AdapterFixture fixture) {
    return Fixtures.unpacked(fixture.folder.resolve("lora/pytorch_lora_weights.peft.safetensors"));
  }

  private static void lora(AdapterFixture fixture, double strength) {
    fixture.withUnet(unet -> {
      Map<String, Tensor> golden = fixture.golden("lora/golden.safetensors");
      Fixtures.closeTo("base", predict(fixture, unet), golden.get("base_output"), OUTPUT);
      try (AdapterSet set = AdapterFiles.read(lora(fixture), unet)) {
        set.attach().setStrength(strength);
        Fixtures.closeTo("unmerged", predict(fixture, unet), golden.get("peft.scale" + strength + ".unmerged"), OUTPUT);
        Tensor merged = golden.get("peft.scale" + strength + ".merged");
        try (Merge _ = Merge.into(set)) {
          Fixtures.closeTo("merged", predict(fixture, unet),
              merged == null ? golden.get("peft.scale" + strength + ".unmerged") : merged, OUTPUT);
        }
      }
    });
  }

  /** The older names of the same tensors. */
  private void processorStyle(AdapterFixture fixture) {
    fixture.withUnet(unet -> {
      Map<String, Tensor> tensors = Fixtures.golden(lora(fixture));
      Map<String, Tensor> renamed = new LinkedHashMap<>();
      Fixtures.json(fixture.folder.resolve("lora/processor_style_names.json")).asMap()
          .forEach((older, name) -> renamed.put(older, tensors.get(name)));
      assertEquals(tensors.size(), renamed.size());
      Path file = temporary.resolve("older.safetensors");
      SafetensorsWriter.write(file, renamed, Map.of());
      try (AdapterSet set = AdapterFiles.read(file, unet)) {
        set.attach();
        Fixtures.closeTo("processor style", predict(fixture, unet),
            fixture.golden("lora/golden.safetensors").get("peft.scale1.0.unmerged"), OUTPUT);
      }
    });
  }

  private void twoAdapters(AdapterFixture fixture) {
    fixture.withUnet(unet -> {
      try (AdapterSet first = AdapterFiles.read(lora(fixture), unet);
          AdapterSet second = AdapterFiles.read(Fixtures.unpacked(fixture.folder.resolve("lora/pytorch_lora_weights.second.safetensors")),
              unet)) {
        first.attach().setStrength(0.7);
        second.attach().setStrength(0.4);
        Tensor golden = fixture.golden("lora/golden.safetensors").get("two_adapters.0.7_0.4");
        Fixtures.closeTo("two adapters", predict(fixture, unet), golden, OUTPUT);
        try (Merge _ = Merge.into(first, second)) {
          Fixtures.closeTo("merged", predict(fixture, unet), golden, OUTPUT);
        }
      }
    });
  }

  private void peftLora(AdapterFixture fixture) {
    fixture.withUnet(unet -> {
      Path folder = fixture.folder.resolve("lora/peft_adapter");
      Map<String, Tensor> golden = fixture.golden("lora/golden.safetensors");
      String name = golden.keySet().stream().filter(key -> key.startsWith("peft_adapter.alpha")).findFirst().orElseThrow();
      try (AdapterSet set = AdapterFiles.read(folder, unet)) {
        set.attach();
        Fixtures.closeTo(name, predict(fixture, unet), golden.get(name), OUTPUT);
        assertTrue(set.config().alpha() > 0);
        assertRoundTrip(folder, set, temporary);
      }
    });
  }
}
