package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.tensor.Scope;
import org.deft4j.weights.Json;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.OmniGenFolders;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** {@code train --train-text-encoder}: what learns, what is written, and that all that reads adapters reads it. */
class TextEncoderTrainingTest {
  @TempDir
  Path folder;

  private final Path photos = Path.of(System.getProperty("deft4j.root", "..")).resolve("deft/src/demo/photos");

  private Terminal train(Path model, String name, String... more) {
    return deft(Stream.concat(Stream.of("train", "--model", model.toString(), "--data", photos.toString(), "--prompt", "a toy", "--rank",
        "2", "--steps", "2", "--size", "32", "--seed", "5", "--lr", "1e-2", "--out", folder.resolve(name).toString()), Stream.of(more)));
  }

  private Path trained(Path model, String name, String... more) {
    Terminal terminal = train(model, name, Stream.concat(Stream.of("--train-text-encoder"), Stream.of(more)).toArray(String[]::new));
    assertEquals(0, terminal.status(), terminal.err());
    return folder.resolve(name);
  }

  private static Terminal deft(Stream<String> words) {
    return Terminal.run(words.toArray(String[]::new));
  }

  private static void done(Object... words) {
    Terminal terminal = deft(Arrays.stream(words).map(String::valueOf));
    assertEquals(0, terminal.status(), terminal.err());
  }

  private byte[] picture(Path model, Path... adapters) {
    Path out = folder.resolve("picture.png");
    Stream<String> usual = Stream.of("generate", "--model", model.toString(), "--prompt", "a toy", "--steps", "2", "--width", "32",
        "--height", "32", "--seed", "3", "--out", out.toString());
    Terminal made = deft(Stream.concat(usual, Stream.of(adapters).flatMap(adapter -> Stream.of("--adapter", adapter.toString()))));
    assertEquals(0, made.status(), made.err());
    return Pictures.read(out).rgb();
  }

  private static void near(byte[] expected, byte[] actual, String what) {
    for (int i = 0; i < expected.length; i++) {
      assertTrue(Math.abs((expected[i] & 0xff) - (actual[i] & 0xff)) <= 1, what);
    }
  }

  private static byte[] tensors(Path adapter, String part) throws IOException {
    return Files.readAllBytes(adapter.resolve(part).resolve("adapter_model.safetensors"));
  }

  private static List<String> encoders(Path model) {
    return Stream.of("text_encoder", "text_encoder_2").filter(part -> Files.isDirectory(model.resolve(part))).toList();
  }

  /** B starts as zeros, and no layer's stays so: SDXL's first encoder has no adapter where it would. */
  @Test
  void everyLayerThatIsAdaptedLearns() {
    for (Path model : Fixtures.models()) {
      Path adapter = trained(model, "lora" + model.getFileName(), "--method", "lora");
      assertFalse(Files.exists(adapter.resolve("adapter_config.json")));
      for (String part : encoders(model)) {
        int layers = Json.read(model.resolve(part).resolve("config.json")).requireInteger("num_hidden_layers");
        boolean cut = encoders(model).size() == 2 && part.equals("text_encoder");
        Path tensors = adapter.resolve(part).resolve("adapter_model.safetensors");
        try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(tensors)) {
          assertEquals(2L * 4 * (cut ? layers - 1 : layers), file.names().size(), part);
          file.names().stream().filter(name -> name.endsWith("lora_B.weight"))
              .forEach(name -> assertNotEquals(0, file.load(name).abs().sum().item(), name));
        }
      }
    }
  }

  @Test
  void theBytesAreTheSameHoweverItIsComputed() throws IOException {
    for (Path model : Fixtures.models()) {
      String name = model.getFileName().toString();
      Path one = trained(model, name + 1, "--threads", "1", "--batch", "2");
      Path two = trained(model, name + 2, "--threads", "2", "--batch", "2", "--checkpointing");
      for (String part : Stream.concat(Stream.of("unet"), encoders(model).stream()).toList()) {
        assertArrayEquals(tensors(one, part), tensors(two, part), part);
      }
    }
  }

  /** In every layout the picture that the folders make, and in a merged model; it needs the text encoders' part. */
  @Test
  void whateverReadsAdaptersReadsIt() throws IOException {
    for (Path model : Fixtures.models()) {
      String name = model.getFileName().toString();
      Path adapter = trained(model, name, "--method", "deft", "--init", "random");
      byte[] expected = picture(model, adapter);
      assertFalse(Arrays.equals(expected, picture(model, adapter.resolve("unet"))), "the text encoders take part");
      List<String> prefixes = encoders(model).size() == 2 ? List.of("lora_unet_", "lora_te1_", "lora_te2_")
          : List.of("lora_unet_", "lora_te_");
      Path kohya = folder.resolve(name + ".safetensors");
      done("convert", "--model", model, "--adapter", adapter, "--to", "kohya", "--out", kohya);
      holds(kohya, prefixes);
      near(expected, picture(model, kohya), "kohya");
      Path diffusers = folder.resolve(name + "-diffusers.safetensors");
      done("convert", "--model", model, "--adapter", adapter, "--to", "diffusers", "--out", diffusers);
      holds(diffusers, Stream.concat(Stream.of("unet."), encoders(model).stream().map(part -> part + ".")).toList());
      near(expected, picture(model, diffusers), "diffusers");
      Path peft = folder.resolve(name + "-peft");
      done("convert", "--model", model, "--adapter", adapter, "--to", "peft", "--out", peft);
      near(expected, picture(model, peft), "peft");
      Path merged = folder.resolve(name + "-merged");
      done("merge", "--model", model, "--adapter", adapter, "--out", merged);
      near(expected, picture(merged), "merged");
      Terminal inspected = Terminal.run("inspect", adapter.toString());
      assertTrue(inspected.out().contains("a PEFT folder for each model") && inspected.out().contains("a text encoder"), inspected.out());
    }
  }

  private static void holds(Path file, List<String> prefixes) {
    try (SafetensorsFile read = SafetensorsFile.open(file)) {
      prefixes.forEach(prefix -> assertTrue(read.names().stream().anyMatch(name -> name.startsWith(prefix)), prefix));
    }
  }

  /** A run without the option, in the same folder, leaves nothing of the one before. */
  @Test
  void anEarlierRunIsReplaced() throws IOException {
    Path model = Fixtures.models().getFirst();
    Path out = trained(model, "run");
    assertEquals(0, train(model, "run").status());
    assertTrue(Files.exists(out.resolve("adapter_config.json")) && !Files.exists(out.resolve("unet")));
  }

  @Test
  void whereThereIsNothingToAdapt() throws IOException {
    Terminal whole = train(Fixtures.models().getFirst(), "full", "--method", "full", "--train-text-encoder");
    assertEquals(2, whole.status());
    assertTrue(whole.err().contains("--train-text-encoder"), whole.err());
    Terminal other = train(OmniGenFolders.make(folder.resolve("omnigen")), "other", "--train-text-encoder");
    assertEquals(2, other.status());
    assertTrue(other.err().contains("an OmniGen has no text encoder"), other.err());
  }
}
