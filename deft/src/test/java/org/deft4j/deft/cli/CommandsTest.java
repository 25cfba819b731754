package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.image.PngText;
import org.deft4j.tensor.DType;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The commands on the smallest model: they do what they say, and twice the same. */
class CommandsTest {
  @TempDir
  Path folder;

  private final String model = Fixtures.folders("sdxl").getFirst().toString();
  private final Path photos = Path.of(System.getProperty("deft4j.root", "..")).resolve("deft/src/demo/photos");

  private Path train(String method, String name, String threads) {
    Path out = folder.resolve(name);
    Terminal terminal = Terminal.run("train", "--model", model, "--data", photos.toString(), "--prompt", "a toy", "--method",
        method, "--rank", "2", "--steps", "2", "--size", "32", "--seed", "5", "--lr", "1e-3", "--threads", threads, "--out",
        out.toString());
    assertEquals(0, terminal.status(), terminal.err());
    return out;
  }

  @Test
  void trainGenerateInspect() throws IOException {
    Path first = train("deft", "one", "1");
    Path again = train("deft", "two", "2");
    List<String> files = Terminal.files(first);
    assertEquals(List.of("adapter_config.json", "adapter_model.safetensors", "loss.png", "losses.csv", "run.json"), files);
    for (String file : files) {
      assertArrayEquals(Files.readAllBytes(first.resolve(file)), Files.readAllBytes(again.resolve(file)), file);
    }
    assertNoPathIn(first);
    JsonObject inspected = Json.parse(Terminal.run("inspect", "--json", first.toString()).out(), "inspect");
    assertEquals("relaxed", inspected.requireString("decomposition"));
    assertEquals(2, inspected.requireInteger("rank"));
    Path picture = folder.resolve("picture.png");
    Terminal made = Terminal.run("generate", "--model", model, "--adapter", first + ":0.5", "--prompt", "a toy \u2603",
        "--steps", "2", "--width", "32", "--height", "64", "--seed", "3", "--scheduler", "ddim", "--json", "--out",
        picture.toString());
    assertEquals(0, made.status(), made.err());
    assertEquals(1, Json.parse(made.out(), "generate").requireList("pictures").size());
    Map<String, String> text = PngText.read(picture);
    assertTrue(text.get("parameters").startsWith("a toy \u2603\nSteps: 2, Sampler: ddim, CFG scale: 5.0, Seed: 3, Size: 32x64"),
        text.toString());
    assertEquals(List.of("one:0.5"), Json.parse(text.get("deft4j"), "text").requireStrings("adapters"));
    assertTrue(Terminal.run("inspect", picture.toString()).out().contains("CFG scale"));
    assertTrue(Terminal.run("inspect", model).out().contains("UNet2DConditionModel"));
  }

  private void assertNoPathIn(Path out) throws IOException {
    for (String file : List.of("adapter_config.json", "run.json", "losses.csv")) {
      assertFalse(Files.readString(out.resolve(file)).contains(folder.toString()), file);
      assertFalse(Files.readString(out.resolve(file)).contains(Path.of(model).getParent().toString()), file);
    }
  }

  @Test
  void everyMethodAndSeveralPictures() throws IOException {
    Path para = train("para", "para", "2");
    Path lora = train("lora", "lora", "2");
    assertTrue(Json.read(para.resolve("adapter_config.json")).requireBool("para"));
    Path out = folder.resolve("many.png");
    Terminal made = Terminal.run("generate", "--model", model, "--adapter", para.toString(), "--adapter", lora + ":-1",
        "--prompt", "x", "--negative", "y", "--steps", "1", "--width", "32", "--height", "32", "--seed", "8", "--count", "2",
        "--out", out.toString());
    assertEquals(0, made.status(), made.err());
    assertTrue(Files.exists(folder.resolve("many-8.png")) && Files.exists(folder.resolve("many-9.png")));
    assertFalse(Files.exists(out));
  }

  @Test
  void weightsAreHeldInTheTypeThatIsAskedFor() throws IOException {
    for (String type : WeightTypes.NAMES) {
      Path out = folder.resolve(type + ".png");
      Terminal made = Terminal.run("generate", "--model", model, "--weights", type, "--prompt", "x", "--steps", "1", "--width",
          "32", "--height", "32", "--seed", "8", "--out", out.toString());
      assertEquals(0, made.status(), made.err());
    }
    try (StableDiffusion half = StableDiffusion.load(model, DType.F16)) {
      half.parts().forEach((part, module) -> module.parameters().forEach((name, parameter) -> assertEquals(
          parameter.shape().rank() < 2 ? DType.F32 : DType.F16, parameter.value().dtype(), part + "." + name)));
    }
    assertFalse(Arrays.equals(Files.readAllBytes(folder.resolve("f32.png")),
        Files.readAllBytes(folder.resolve("bf16.png"))));
    Terminal wrong = Terminal.run("generate", "--model", model, "--weights", "f61", "--prompt", "x", "--out", "x.png");
    assertEquals(2, wrong.status());
    assertEquals("deft: --weights: 'f61' is unknown; did you mean 'f16'?; there are f32, bf16, f16\n", wrong.err());
  }

  @Test
  void anEarlierRunIsReplaced() throws IOException {
    Path first = train("lora", "again", "2");
    byte[] before = Files.readAllBytes(first.resolve("adapter_model.safetensors"));
    assertArrayEquals(before, Files.readAllBytes(train("lora", "again", "2").resolve("adapter_model.safetensors")));
  }
}
