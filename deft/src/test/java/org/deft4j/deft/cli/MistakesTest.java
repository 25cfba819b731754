package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Whatever is wrong with a command or its input: status 2, a sentence for each mistake, nothing written. */
class MistakesTest {
  @TempDir
  Path folder;

  private Path model;
  private Path photos;
  private Path out;

  @BeforeEach
  void prepare() throws IOException {
    model = Fixtures.folders("sdxl").getFirst();
    photos = Path.of(System.getProperty("deft4j.root", "..")).resolve("deft/src/demo/photos");
    out = folder.resolve("out");
    Files.createDirectory(folder.resolve("empty"));
  }

  /** A correct call of train but for the options that replace or follow. */
  private Terminal train(String... changes) {
    List<String> args = new ArrayList<>(List.of("train", "--model", model.toString(), "--data", photos.toString(),
        "--prompt", "a toy", "--steps", "1", "--size", "64", "--seed", "0", "--out", out.toString()));
    for (int i = 0; i < changes.length; i += 2) {
      int at = args.indexOf(changes[i]);
      if (at >= 0) {
        args.set(at + 1, changes[i + 1]);
      } else {
        args.addAll(Arrays.asList(changes).subList(i, Math.min(i + 2, changes.length)));
      }
    }
    return Terminal.run(args.toArray(String[]::new));
  }

  private void assertMistake(Terminal terminal, String... parts) throws IOException {
    assertEquals(2, terminal.status(), terminal.err());
    assertEquals(parts.length, terminal.err().lines().filter(line -> line.startsWith("deft: ")).count(), terminal.err());
    for (String part : parts) {
      assertTrue(terminal.err().contains(part), "'" + part + "' in: " + terminal.err());
    }
    assertFalse(terminal.err().contains("\tat "), "no stack trace: " + terminal.err());
    assertEquals("", terminal.out());
    try (Stream<Path> files = Files.list(folder)) {
      assertTrue(files.noneMatch(file -> file.getFileName().toString().contains("out")), "nothing is written");
    }
  }

  @Test
  void options() throws IOException {
    assertMistake(train("--rank", "0"), "rank 0: at least 1 is needed");
    assertMistake(train("--size", "60"), "--size 60: a positive multiple of 8 is needed, such as 56 or 64");
    assertMistake(train("--stepz", "3"), "unknown option --stepz; did you mean '--steps'?");
    assertMistake(train("--method", "deftt"), "method 'deftt' is unknown; did you mean 'deft'?");
    assertMistake(train("--decomposition", "qrr"), "decomposition 'qrr' is unknown; did you mean 'qr'?");
    assertMistake(train("--steps", "many"), "--steps");
    assertMistake(train("--device", "cuda:7"), "--device: device cuda:7");
    assertMistake(train("--device", "gpu"), "--device: device 'gpu' is unknown; use cpu, cuda or cuda:1");
    assertMistake(train("--precision", "bf17"), "--precision: precision 'bf17' is unknown; use full, tf32, bf16 or f16");
    assertMistake(train("--lr", "-1"), "lr -1.0: a positive number is needed");
    assertMistake(train("--method", "lora", "--decomposition", "qr"), "method lora takes no decomposition");
    assertMistake(train("--targets", "to_q,to_x"), "target 'to_x' matches no layer");
  }

  @Test
  void allAtOnce() throws IOException {
    assertMistake(train("--rank", "0", "--size", "60", "--steps", "0", "--threads", "0", "--data", "nowhere"), "rank 0",
        "--size 60", "steps 0", "--threads 0", "--data: nowhere does not exist");
    assertMistake(Terminal.run("train"), "--model is missing", "--data is missing", "--out is missing");
    assertMistake(Terminal.run("generate", "--scheduler", "eulr", "--width", "12"), "--model is missing",
        "--prompt is missing", "--scheduler: 'eulr' is unknown", "--width 12", "--out is missing");
    assertMistake(Terminal.run("trian"), "unknown command 'trian'; did you mean 'train'?");
  }

  @Test
  void models() throws IOException {
    assertMistake(train("--model", folder.resolve("none").toString()), "none");
    assertMistake(train("--model", folder.resolve("empty").toString()), "model_index.json");
    Path broken = copyModel("broken");
    Path weights = broken.resolve("unet/diffusion_pytorch_model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    Files.write(weights, Arrays.copyOf(bytes, bytes.length - 100));
    assertMistake(train("--model", broken.toString()), "diffusion_pytorch_model.safetensors");
    Files.write(weights, new byte[] {(byte) 0xFF, (byte) 0xFF, (byte) 0xFF, (byte) 0xFF, 0, 0, 0, 0, '{', '}'});
    assertMistake(train("--model", broken.toString()), "diffusion_pytorch_model.safetensors");
    Files.write(weights, bytes);
    Path config = broken.resolve("unet/config.json");
    Files.writeString(config, Files.readString(config).replaceFirst("\"layers_per_block\": 2", "\"layers_per_block\": 3"));
    assertEquals(2, train("--model", broken.toString()).status());
  }

  private Path copyModel(String name) throws IOException {
    Path copy = folder.resolve(name);
    try (Stream<Path> files = Files.walk(model)) {
      for (Path file : files.filter(Files::isRegularFile).filter(file -> !model.relativize(file).startsWith("golden")).toList()) {
        Path target = copy.resolve(model.relativize(file).toString());
        Files.createDirectories(target.getParent());
        Files.write(target, Files.readAllBytes(file));
      }
    }
    return copy;
  }

  @Test
  void data() throws IOException {
    assertMistake(train("--data", folder.resolve("empty").toString()), "has no picture in it");
    Path data = Files.createDirectory(folder.resolve("data"));
    Files.write(data.resolve("a.jpg"), new byte[] {1, 2, 3});
    Files.copy(photos.resolve("00.jpg"), data.resolve("b.jpg"));
    Files.write(data.resolve("c.png"), new byte[0]);
    assertMistake(train("--data", data.toString()), "a.jpg", "c.png");
    Terminal without = Terminal.run("train", "--model", model.toString(), "--data", photos.toString(), "--size", "64",
        "--seed", "0", "--out", out.toString());
    assertEquals(2, without.status());
    assertTrue(without.err().contains("00.jpg has no caption: write one to 00.txt beside it, or give --prompt for all"),
        without.err());
  }

  @Test
  void configurationFiles() throws IOException {
    Path config = folder.resolve("c.json");
    Files.writeString(config, "{\"rnak\": 2, \"stepz\": 3, \"rank\": 2}");
    assertMistake(train("--config", config.toString()), "unknown key 'rnak'; did you mean 'rank'?",
        "unknown key 'stepz'; did you mean 'steps'?");
    Files.writeString(config, "{\"rank\": ");
    assertMistake(train("--config", config.toString()), "c.json");
    Files.writeString(config, "{\"rank\": 0, \"targets\": [\"to_q\"]}");
    assertMistake(train("--config", config.toString()), "rank 0: at least 1 is needed");
  }

  @Test
  void adaptersThatDoNotFit() throws IOException {
    Path adapter = Files.createDirectory(folder.resolve("adapter"));
    Terminal none = Terminal.run("generate", "--model", model.toString(), "--adapter", adapter.toString(), "--prompt", "x",
        "--seed", "0", "--out", folder.resolve("out.png").toString());
    assertMistake(none, "has neither adapter_config.json");
  }

  @Test
  void aFolderThatIsNotFromAnEarlierRunIsLeftAlone() throws IOException {
    Path other = Files.createDirectory(folder.resolve("other"));
    Files.writeString(other.resolve("thesis.txt"), "mine");
    Terminal terminal = train("--out", other.toString());
    assertEquals(2, terminal.status());
    assertTrue(terminal.err().contains("holds thesis.txt, which is not from an earlier run"), terminal.err());
  }

  @Test
  void helpHasAnExample() {
    for (String command : List.of("demo", "train", "generate", "merge", "convert", "inspect", "records", "records in-context",
        "records condition", "records camera", "records check", "bench")) {
      Terminal help = Terminal.run((command + " --help").split(" "));
      assertEquals(0, help.status());
      assertTrue(help.out().contains("Example: deft " + command), help.out());
    }
    Terminal main = Terminal.run("--help");
    assertEquals(0, main.status());
    assertTrue(main.out().contains("Exit status") && !main.out().contains("evaluate"), main.out());
  }
}
