package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.OmniGenFolders;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** {@code inspect}, {@code convert} and {@code merge} of a small OmniGen: what they write makes the same pictures. */
class OmniGenConversionTest {
  private static final String IMAGE = "<img><|image_1|></img>";

  @TempDir
  Path folder;

  private final Path fixture = Fixtures.folders("omnigen").getFirst();
  private final String lora = fixture.resolve("lora_peft").toString();
  private String model;

  @BeforeEach
  void makeModel() {
    model = OmniGenFolders.make(fixture, folder.resolve("model")).toString();
  }

  private String out(String name) {
    return folder.resolve(name).toString();
  }

  private static Terminal run(String... command) {
    Terminal terminal = Terminal.run(command);
    assertEquals(0, terminal.status(), terminal.err());
    return terminal;
  }

  private static void refused(String sentence, String... command) {
    Terminal terminal = Terminal.run(command);
    assertEquals(2, terminal.status(), terminal.err());
    assertTrue(terminal.err().contains(sentence), terminal.err());
    assertEquals(1, terminal.err().lines().filter(line -> line.startsWith("deft: ")).count(), terminal.err());
    assertEquals("", terminal.out());
  }

  /** Of the model, with an input picture. */
  private byte[] picture(String of, String... more) {
    Path out = folder.resolve("picture.png");
    String[] usual = {"generate", "--model", of, "--prompt", "a toy beside " + IMAGE, "--image", picture().toString(), "--steps", "2",
        "--width", "48", "--height", "64", "--seed", "3", "--out", out.toString()};
    run(Stream.of(usual, more).flatMap(Arrays::stream).toArray(String[]::new));
    return Pictures.read(out).rgb();
  }

  private Path picture() {
    try (Stream<Path> images = Files.list(fixture.resolve("images"))) {
      return images.sorted().findFirst().orElseThrow();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void near(byte[] expected, byte[] actual, int allowed, String what) {
    assertEquals(expected.length, actual.length);
    for (int i = 0; i < expected.length; i++) {
      int difference = Math.abs((expected[i] & 0xff) - (actual[i] & 0xff));
      assertTrue(difference <= allowed, what + ": a value differs by " + difference);
    }
  }

  /** A DEFT of every linear layer in the decoder, trained for two steps. */
  private String trained() {
    String adapter = out("deft");
    run("train", "--model", model, "--data", Fixtures.repository().resolve("deft/src/demo/photos").toString(), "--prompt", "a toy",
        "--method", "deft", "--decomposition", "qr", "--init", "random", "--rank", "2", "--targets", "qkv_proj,o_proj,down_proj",
        "--steps", "2", "--size", "32", "--seed", "5", "--lr", "1e-2", "--out", adapter);
    return adapter;
  }

  @Test
  void aMergedModelNeedsNoAdapter() throws IOException {
    String deft = trained();
    byte[] expected = picture(model, "--adapter", deft + ":0.5", "--adapter", lora);
    assertFalse(Arrays.equals(picture(model), expected));
    String merged = out("merged");
    String[] merge = {"merge", "--model", model, "--adapter", deft + ":0.5", "--adapter", lora, "--out", merged};
    run(merge);
    near(expected, picture(merged), 1, "merged");
    assertEquals(files(Path.of(model)), files(Path.of(merged)));
    for (String same : List.of("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "vae/diffusion_pytorch_model.safetensors")) {
      assertEquals(-1, Files.mismatch(Path.of(model, same), Path.of(merged, same)), same);
    }
    run(merge); // An earlier result is replaced.
    near(expected, picture(merged), 1, "merged again");
    String folded = out("folded");
    run("merge", "--model", model, "--adapter", deft + ":0.5", "--adapter", lora, "--to", "peft", "--out", folded);
    near(expected, picture(model, "--adapter", folded), 1, "folded");
  }

  private static Set<String> files(Path of) throws IOException {
    try (Stream<Path> files = Files.walk(of)) {
      return files.filter(Files::isRegularFile).map(file -> of.relativize(file).toString()).collect(Collectors.toSet());
    }
  }

  @Test
  void anAdapterInAnotherLayoutMakesTheSamePicture() throws IOException {
    String deft = trained();
    for (String adapter : List.of(deft, lora)) {
      byte[] expected = picture(model, "--adapter", adapter);
      for (String format : List.of("peft", "authors")) {
        String out = out(format);
        run("convert", "--model", model, "--adapter", adapter, "--to", format, "--out", out);
        near(expected, picture(model, "--adapter", out), 1, format + " of " + adapter);
      }
    }
    Path parts = Files.createDirectory(folder.resolve("parts"));
    Files.move(Path.of(out("peft")), parts.resolve("transformer"));
    near(picture(model, "--adapter", lora), picture(model, "--adapter", parts.toString()), 0, "a folder of parts");
    refused("kohya's format has no names for the layers of a transformer", "convert", "--model", model, "--adapter", lora, "--to",
        "kohya", "--out", out("kohya.safetensors"));
  }

  @Test
  void weightsOfAnotherType() throws IOException {
    String half = out("half");
    run("convert", "--model", model, "--weights", "bf16", "--out", half);
    assertArrayEquals(picture(model, "--weights", "bf16"), picture(half));
    try (SafetensorsFile before = SafetensorsFile.open(Path.of(model, "model.safetensors"));
        SafetensorsFile after = SafetensorsFile.open(Path.of(half, "model.safetensors"))) {
      assertEquals(before.names(), after.names());
      for (String name : before.names()) {
        assertEquals(before.shape(name), after.shape(name), name);
        assertEquals(before.shape(name).rank() < 2 ? "F32" : "BF16", after.dtype(name).toString(), name);
      }
    }
  }

  @Test
  void inspectTellsThePartsAndTheConfiguration() {
    JsonObject document = Json.parse(run("inspect", "--json", model).out(), "inspect");
    assertEquals("model (OmniGen folder)", document.requireString("kind"));
    JsonObject config = Json.read(Path.of(model, "config.json"));
    try (SafetensorsFile file = SafetensorsFile.open(Path.of(model, "model.safetensors"))) {
      JsonObject transformer = document.requireObject("transformer");
      long elements = file.names().stream().mapToLong(name -> file.shape(name).elementCount()).sum();
      assertEquals("OmniGenTransformer", transformer.requireString("class"));
      assertEquals(elements, transformer.requireLongInteger("parameters"));
      assertEquals(4 * elements, transformer.requireLongInteger("bytes"));
      assertEquals(List.of("F32"), transformer.requireStrings("types"));
      JsonObject facts = document.requireObject("configuration");
      assertEquals(config.requireInteger("hidden_size"), facts.requireInteger("width"));
      assertEquals(config.requireInteger("num_hidden_layers"), facts.requireInteger("layers"));
      assertEquals(config.requireInteger("vocab_size"), facts.requireInteger("vocabulary"));
      long side = 16 * Math.round(Math.sqrt((double) file.shape("pos_embed").size(1)));
      assertEquals(side + "x" + side, facts.requireString("largest picture"));
    }
    assertEquals("AutoencoderKL", document.requireObject("vae").requireString("class"));
    assertTrue(run("inspect", model).out().contains("largest picture"));
    JsonObject adapter = Json.parse(run("inspect", "--json", lora).out(), "inspect");
    assertEquals("OmniGen's transformer", adapter.requireString("adapts"));
    assertEquals(2 * config.requireInteger("num_hidden_layers"), adapter.requireInteger("layers"));
  }

  @Test
  void aModelThatLacksSomethingIsRefused() throws IOException {
    Files.move(Path.of(model, "vae"), folder.resolve("aside"));
    for (String[] command : List.of(new String[] {"inspect", model},
        new String[] {"convert", "--model", model, "--weights", "bf16", "--out", out("x")},
        new String[] {"merge", "--model", model, "--adapter", lora, "--out", out("x")})) {
      refused("has no folder vae", command);
    }
    Files.move(folder.resolve("aside"), Path.of(model, "vae"));
    Path weights = Path.of(model, "model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    Files.write(weights, Arrays.copyOf(bytes, bytes.length - 100));
    refused("model.safetensors", "inspect", model);
    refused("model.safetensors", "convert", "--model", model, "--weights", "bf16", "--out", out("x"));
    Files.delete(weights);
    refused("model", "inspect", model);
    assertFalse(Files.exists(Path.of(out("x"))));
  }

  @Test
  void whatIsNoEarlierResultIsNotReplaced() throws IOException {
    refused(" is the model itself", "merge", "--model", model, "--adapter", lora, "--out", model);
    refused(" is the model itself", "convert", "--model", model, "--weights", "bf16", "--out", Path.of(model, "vae", "..").toString());
    Path other = Files.createDirectory(folder.resolve("language-model"));
    Files.writeString(other.resolve("config.json"), "{\"model_type\": \"llama\"}");
    Files.writeString(other.resolve("model.safetensors"), "mine");
    refused("holds config.json, which is not from an earlier run", "merge", "--model", model, "--adapter", lora, "--out",
        other.toString());
    assertEquals("mine", Files.readString(other.resolve("model.safetensors")));
  }

  @Test
  void anAdapterOfAnotherKindOfModelIsRefused() {
    String sdxl = Fixtures.folders("sdxl").getFirst().toString();
    refused("belong to no layer of this model", "merge", "--model", sdxl, "--adapter", lora, "--out", out("x"));
    String unets = Fixtures.folders("adapters").getFirst().resolve("lora/peft_adapter").toString();
    refused("belong to no layer of this model", "merge", "--model", model, "--adapter", unets, "--out", out("x"));
    refused("--adapter is missing", "merge", "--model", model, "--out", out("x"));
    assertFalse(Files.exists(Path.of(out("x"))));
  }
}
