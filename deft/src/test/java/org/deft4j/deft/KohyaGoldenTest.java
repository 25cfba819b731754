package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.diffusion.ClipTextEncoder;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Kohya's files, in both styles of names, on the UNet, its convolutions, and the text encoders. */
class KohyaGoldenTest {
  private static final double OUTPUT = 3e-5;

  @TempDir
  Path temporary;

  @TestFactory
  Stream<DynamicTest> files() {
    return AdapterFixture.all().stream().flatMap(fixture -> fixture.kohyaFiles().stream().flatMap(file -> Stream.of(
        DynamicTest.dynamicTest(file.getFileName() + " outputs", () -> outputs(fixture, file)),
        DynamicTest.dynamicTest(file.getFileName() + " written again", () -> writtenAgain(fixture, file)))));
  }

  private static Map<String, Module> models(StableDiffusion model) {
    Map<String, Module> models = new LinkedHashMap<>();
    models.put("unet", model.unet());
    models.put("text_encoder", model.textEncoder());
    models.put("text_encoder_2", model.textEncoder2());
    return models;
  }

  private static void outputs(AdapterFixture fixture, Path file) {
    try (Scope _ = Scope.open(); StableDiffusion model = StableDiffusion.load(fixture.model.toString());
        PipelineAdapter adapter = AdapterFiles.read(file, models(model), ReadOptions.STRICT)) {
      Map<String, Tensor> in = Fixtures.golden(fixture.model.resolve("golden/unet_t0.safetensors"));
      Map<String, Tensor> golden = fixture.golden("lora/golden.safetensors");
      assertEquals(List.of("unet", "text_encoder", "text_encoder_2"), List.copyOf(adapter.sets().keySet()));
      adapter.attach();
      Fixtures.closeTo("unet", AdapterFixture.predict(model.unet(), in.get("sample"), in.get("timestep"), in),
          golden.get("kohya.scale1.0.merged"), OUTPUT);
      text(fixture, "text_encoder", model.textEncoder(), golden);
      text(fixture, "text_encoder_2", model.textEncoder2(), golden);
      adapter.setStrength(0.6);
      try (Merge _ = Merge.into(adapter.sets().get("unet"))) {
        Fixtures.closeTo("merged", AdapterFixture.predict(model.unet(), in.get("sample"), in.get("timestep"), in),
            golden.get("kohya.scale0.6.merged"), OUTPUT);
      }
    }
  }

  private static void text(AdapterFixture fixture, String part, ClipTextEncoder encoder, Map<String, Tensor> golden) {
    Map<String, Tensor> ids = Fixtures.golden(fixture.model.resolve("golden/text_encoders.safetensors"));
    Tensor tokens = ids.get(part.equals("text_encoder_2") ? "input_ids_2" : "input_ids");
    ClipTextEncoder.Output output = encoder.forward(tokens);
    Fixtures.closeTo(part, output.penultimate(), golden.get("kohya.scale1.0." + part + ".penultimate"), OUTPUT);
    Tensor pooled = golden.get("kohya.scale1.0." + part + ".text_embeds");
    assertEquals(encoder.config().projection() > 0, pooled != null);
    if (pooled != null) {
      Fixtures.closeTo(part + " pooled", output.pooled(), pooled, OUTPUT);
    }
  }

  /** The same tensors under the same names, bit for bit, and metadata that readers want. */
  private void writtenAgain(AdapterFixture fixture, Path file) throws IOException {
    Path copy = temporary.resolve(file.getFileName());
    try (Scope _ = Scope.open(); StableDiffusion model = StableDiffusion.load(fixture.model.toString());
        PipelineAdapter adapter = AdapterFiles.read(file, models(model), ReadOptions.STRICT)) {
      KohyaNames.Style style = file.getFileName().toString().contains("sgm") ? KohyaNames.Style.SGM : KohyaNames.Style.DIFFUSERS;
      KohyaLora.write(copy, adapter, models(model), style, DType.F32, "copy");
    }
    try (Scope _ = Scope.open(); SafetensorsFile first = SafetensorsFile.open(file); SafetensorsFile second = SafetensorsFile.open(copy)) {
      assertEquals(first.names(), second.names());
      for (String name : first.names()) {
        assertEquals(first.shape(name), second.shape(name), name);
        assertArrayEquals(first.load(name).toFloats(), second.load(name).toFloats(), name);
      }
      assertTrue(second.metadata().containsKey("ss_network_dim") && second.metadata().containsKey("sshs_model_hash"));
    }
  }
}
