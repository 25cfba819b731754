package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.deft4j.diffusion.image.PngText;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.OmniGenFolders;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The commands on a small OmniGen model. */
class OmniGenCommandsTest {
  private static final String EDIT = "the hat of <img><|image_1|></img> on <img><|image_2|></img>";

  @TempDir
  Path folder;

  private Path model;
  private Path pictures;
  private Path records;

  @BeforeEach
  void makeRecords() throws IOException {
    model = OmniGenFolders.make(folder.resolve("omnigen"));
    pictures = Fixtures.folders("omnigen").getFirst().resolve("images");
    records = folder.resolve("records.jsonl");
    Files.writeString(records, """
        {"task_type": "text_to_image", "instruction": "a photo of sks fox", "output_image": "a.png"}
        {"task_type": "edit", "instruction": "make <img><|image_1|></img> like <img><|image_2|></img>",
         "input_images": ["a.png", "b.png"],
         "output_image": "c.png"}
        """);
  }

  private Terminal deft(Object... arguments) {
    return Terminal.run(Arrays.stream(arguments).map(String::valueOf).toArray(String[]::new));
  }

  private Terminal generate(Path out, Object... more) {
    return generate(model, out, more);
  }

  private Terminal generate(Path which, Path out, Object... more) {
    List<Object> arguments = new ArrayList<>(List.of("generate", "--model", which, "--steps", 2, "--seed", 3, "--out", out));
    arguments.addAll(List.of(more));
    return deft(arguments.toArray());
  }

  private byte[] picture(String name, Object... more) throws IOException {
    return pictureOf(model, name, more);
  }

  private byte[] pictureOf(Path which, String name, Object... more) throws IOException {
    Path out = folder.resolve(name + ".png");
    Terminal made = generate(which, out, more);
    assertEquals(0, made.status(), made.err());
    return Files.readAllBytes(out);
  }

  @Test
  void picturesFromTextAndPictures() throws IOException {
    byte[] first = picture("one", "--prompt", "a red fox", "--width", 64, "--height", 96, "--threads", 1);
    assertArrayEquals(first, picture("two", "--prompt", "a red fox", "--width", 64, "--height", 96, "--threads", 2));
    byte[] edited = picture("edit", "--prompt", EDIT, "--image", pictures.resolve("a.png"), "--image", pictures.resolve("b.png"),
        "--width", 64, "--height", 64);
    Map<String, String> text = PngText.read(folder.resolve("edit.png"));
    JsonObject said = Json.parse(text.get("deft4j"), "text");
    assertEquals(List.of("a.png", "b.png"), said.requireStrings("images"));
    assertEquals(1.6, said.requireNumber("image_guidance"));
    assertTrue(text.get("parameters").startsWith(EDIT + "\nSteps: 2, Sampler: Rectified flow"), text.get("parameters"));
    assertFalse(text.toString().contains(folder.toString()));
    byte[] exchanged = picture("exchanged", "--prompt", EDIT, "--image", pictures.resolve("b.png"), "--image",
        pictures.resolve("a.png"), "--width", 64, "--height", 64);
    assertFalse(Arrays.equals(edited, exchanged), "the order of the pictures matters");
    picture("same-size", "--prompt", "darker <img><|image_1|></img>", "--image", pictures.resolve("a.png"), "--size-of-image");
    JsonObject size = Json.parse(PngText.read(folder.resolve("same-size.png")).get("deft4j"), "text");
    assertEquals(List.of(size.requireInteger("width") + " x " + size.requireInteger("height")), size.requireStrings("image_sizes"));
  }

  /** The ways to compute the same picture, and the official one's first step, which makes another. */
  @Test
  void cachesAndBatches() throws IOException {
    Object[] edit = {"--prompt", "darker <img><|image_1|></img>", "--image", pictures.resolve("a.png"), "--width", 64, "--height", 64,
        "--image-latent", "mode"};
    byte[] exact = pixels("exact", edit);
    assertNear(exact, pixels("none", with(edit, "--cache", "none")));
    assertNear(exact, pixels("stacked", with(edit, "--stacked")));
    assertFalse(Arrays.equals(exact, pixels("official", with(edit, "--cache", "official"))));
    assertFalse(Arrays.equals(exact, pixels("two", with(edit, "--image-guidance", "none"))));
  }

  private static Object[] with(Object[] arguments, Object... more) {
    List<Object> all = new ArrayList<>(List.of(arguments));
    all.addAll(List.of(more));
    return all.toArray();
  }

  private byte[] pixels(String name, Object... more) throws IOException {
    picture(name, more);
    return org.deft4j.diffusion.image.Pictures.read(folder.resolve(name + ".png")).rgb();
  }

  private static void assertNear(byte[] a, byte[] b) {
    for (int i = 0; i < a.length; i++) {
      assertTrue(Math.abs((a[i] & 0xff) - (b[i] & 0xff)) <= 1, "byte " + i);
    }
  }

  @Test
  void mistakesAreOneSentenceEach() {
    Path out = folder.resolve("x.png");
    assertMistake("the prompt names no input picture, and 1 is given", generate(out, "--prompt", "a", "--image", pictures.resolve("a.png")));
    assertMistake("the prompt names <|image_1|>, and there is no input picture", generate(out, "--prompt", "<img><|image_1|></img>"));
    assertMistake("the picture to be made has 1024 x 16 pixels; the model's table of positions has room for",
        generate(out, "--prompt", "a", "--width", 1024, "--height", 16));
    assertMistake("--width 72, --height 64: multiples of 16 are needed", generate(out, "--prompt", "a", "--width", 72, "--height", 64));
    assertMistake("an OmniGen model takes no --scheduler", generate(out, "--prompt", "a", "--scheduler", "ddim"));
    assertMistake("--cache: 'exat' is unknown; did you mean 'exact'?", generate(out, "--prompt", "a", "--cache", "exat"));
    assertMistake("--image: " + folder.resolve("no.png") + " does not exist", generate(out, "--prompt", "a", "--image", folder.resolve("no.png")));
    assertMistake("--image: picture " + records, generate(out, "--prompt", "<|image_1|>", "--image", records));
    assertMistake("--size-of-image needs one --image, and 0 are given", generate(out, "--prompt", "a", "--size-of-image"));
    String sdxl = Fixtures.folders("sdxl").getFirst().toString();
    assertMistake("a Stable Diffusion model takes no --image", deft("generate", "--model", sdxl, "--prompt", "a", "--image",
        pictures.resolve("a.png"), "--out", out));
  }

  private static void assertMistake(String sentence, Terminal terminal) {
    assertEquals(2, terminal.status(), terminal.err());
    List<String> lines = terminal.err().lines().filter(line -> line.startsWith("deft: ")).toList();
    assertEquals(1, lines.size(), terminal.err());
    assertTrue(lines.getFirst().startsWith("deft: " + sentence), terminal.err());
  }

  @Test
  void aTokenizerOfAnotherFamily() throws IOException {
    Path other = folder.resolve("other");
    Files.createDirectories(other.resolve("vae"));
    Files.copy(model.resolve("config.json"), other.resolve("config.json"));
    Files.createSymbolicLink(other.resolve("model.safetensors"), model.resolve("model.safetensors").toAbsolutePath());
    Files.writeString(other.resolve("tokenizer.json"), "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {}}, \"added_tokens\": []}");
    Terminal terminal = deft("generate", "--model", other, "--prompt", "a", "--out", folder.resolve("x.png"));
    assertEquals(2, terminal.status(), terminal.err());
    assertTrue(terminal.err().contains("WordPiece"), terminal.err());
  }

  // ---------------------------------------------------------------------------------------------------------- training

  /** With small settings, unless {@code more} says otherwise. */
  private Terminal train(Path out, Object... more) {
    List<Object> arguments = new ArrayList<>(List.of("train", "--model", model, "--data", records, "--image-root", pictures, "--seed", 5,
        "--out", out));
    Map.of("--size", "64", "--steps", "2", "--batch", "2", "--lr", "1e-3").forEach((option, value) -> {
      if (!List.of(more).contains(option)) {
        arguments.addAll(List.of(option, value));
      }
    });
    arguments.addAll(List.of(more));
    return deft(arguments.toArray());
  }

  private byte[] adapter(String name, Object... more) throws IOException {
    Terminal trained = train(folder.resolve(name), more);
    assertEquals(0, trained.status(), trained.err());
    return Files.readAllBytes(folder.resolve(name).resolve("adapter_model.safetensors"));
  }

  @Test
  void trainingHasTheSameBytes() throws IOException {
    byte[] first = adapter("one", "--rank", 2, "--threads", 1);
    assertArrayEquals(first, adapter("two", "--rank", 2, "--threads", 2));
    assertArrayEquals(first, adapter("checkpointed", "--rank", 2, "--checkpointing"));
    Path cache = folder.resolve("cache");
    assertArrayEquals(first, adapter("cached", "--rank", 2, "--latent-cache", cache));
    assertEquals(3, Terminal.files(cache).size());
    assertArrayEquals(first, adapter("from-cache", "--rank", 2, "--latent-cache", cache));
    assertFalse(Arrays.equals(first, adapter("templated", "--rank", 2, "--template")));
    assertFalse(Arrays.equals(first, adapter("dropped", "--rank", 2, "--condition-dropout", 1)));
    assertFalse(Arrays.equals(first, adapter("repeated", "--rank", 2, "--repeats", 3)));
    JsonObject run = Json.read(folder.resolve("one").resolve("run.json"));
    assertEquals(2, run.requireInteger("records"));
    assertEquals(3, run.requireInteger("pictures"));
    assertFalse(Files.readString(folder.resolve("one").resolve("run.json")).contains(folder.toString()));
  }

  /** A list of data in a configuration is the option given several times, with whatever signs in the paths. */
  @Test
  void severalDataInAConfiguration() throws IOException {
    Path photos = Files.createDirectories(folder.resolve("photos, of two"));
    Files.copy(pictures.resolve("a.png"), photos.resolve("a.png"));
    Path config = folder.resolve("config.json");
    Json.write(config, Map.of("model", model.toString(), "data", List.of(records.toString(), photos.toString()), "repeats", List.of(2, 1),
        "image-root", pictures.toString(), "prompt", "a toy", "seed", 5, "size", 64, "steps", 2));
    Path listed = folder.resolve("listed");
    Terminal trained = deft("train", "--config", config, "--out", listed);
    assertEquals(0, trained.status(), trained.err());
    assertEquals(5, Json.read(listed.resolve("run.json")).requireInteger("records"));
    Path given = folder.resolve("given");
    Terminal again = deft("train", "--model", model, "--data", records, "--data", photos, "--repeats", "2,1", "--image-root", pictures,
        "--prompt", "a toy", "--seed", 5, "--size", 64, "--steps", 2, "--out", given);
    assertEquals(0, again.status(), again.err());
    assertArrayEquals(Files.readAllBytes(given.resolve("adapter_model.safetensors")),
        Files.readAllBytes(listed.resolve("adapter_model.safetensors")));
    Terminal one = deft("train", "--config", config, "--data", photos, "--repeats", 1, "--out", folder.resolve("one"), "--dry-run", "--json");
    assertEquals(0, one.status(), one.err());
    assertEquals(1, Json.parse(one.out(), "plan").requireInteger("records"), "the command line wins");
  }

  @Test
  void everyMethod() throws IOException {
    byte[] plain = picture("plain", "--prompt", "a red fox", "--width", 64, "--height", 64);
    for (String method : List.of("deft", "para", "lora", "dora", "lora-para")) {
      adapter(method, "--method", method, "--rank", 2, "--init", "official", "--lr", "0.1");
      byte[] adapted = picture(method, "--adapter", folder.resolve(method), "--prompt", "a red fox", "--width", 64, "--height", 64);
      assertFalse(Arrays.equals(plain, adapted), method);
    }
    JsonObject config = Json.read(folder.resolve("lora").resolve("adapter_config.json"));
    assertEquals(List.of("qkv_proj", "o_proj"), config.requireStrings("target_modules"));
  }

  @Test
  void theWholeModel() throws IOException {
    Path out = folder.resolve("full");
    Terminal trained = train(out, "--method", "full", "--steps", 3);
    assertEquals(0, trained.status(), trained.err());
    double[] losses = Files.readAllLines(out.resolve("losses.csv")).stream().skip(1)
        .mapToDouble(line -> Double.parseDouble(line.split(",", -1)[1])).toArray();
    assertTrue(losses[2] < losses[0], Arrays.toString(losses));
    byte[] before = picture("before", "--prompt", "a", "--width", 32, "--height", 32);
    byte[] after = pictureOf(out.resolve("model"), "after", "--prompt", "a", "--width", 32, "--height", 32);
    assertFalse(Arrays.equals(before, after), "what was learned is in the written model");
    assertArrayEquals(after, pictureOf(out.resolve("model"), "again", "--prompt", "a", "--width", 32, "--height", 32));
    assertMistake("full fine-tuning needs float32 weights", train(folder.resolve("half"), "--method", "full", "--weights", "bf16"));
  }

  @Test
  void presetsAndWhatIsGivenBesides() {
    Terminal plan = train(folder.resolve("plan"), "--preset", "omnigen-deft", "--rank", 3, "--dry-run", "--json");
    assertEquals(0, plan.status(), plan.err());
    JsonObject run = Json.parse(plan.out(), "plan");
    assertEquals("qr", run.requireString("decomposition"));
    assertEquals(0.99, run.requireNumber("beta2"));
    assertEquals(3, run.requireInteger("rank"));
    assertTrue(run.requireBool("checkpointing"));
    assertMistake("--preset: 'omnigen-def' is unknown; did you mean 'omnigen-deft'?", train(folder.resolve("x"), "--preset", "omnigen-def"));
  }

  @Test
  void badRecordsAreToldWithTheirLines() throws IOException {
    Files.writeString(records, """
        {"instruction": "a <img><|image_1|></img>", "output_image": "a.png"}
        {"instruction": "a", "output_image": "none.png"}
        """);
    Terminal terminal = train(folder.resolve("x"));
    assertEquals(2, terminal.status());
    assertTrue(terminal.err().contains(records + ", line 1: "), terminal.err());
    assertTrue(terminal.err().contains(records + ", line 2: "), terminal.err());
    Files.writeString(records, "{\"instruction\": \"a very long instruction of many words\", \"output_image\": \"a.png\"}");
    assertMistake(records + ", line 1: the prompt takes", train(folder.resolve("x"), "--max-tokens", 5));
    assertMistake("size 1024: a multiple of 16 is needed", train(folder.resolve("x"), "--size", 1024));
  }
}
