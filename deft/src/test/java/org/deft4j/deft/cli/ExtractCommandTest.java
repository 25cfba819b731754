package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** {@code convert --tuned}: what a merge changed, in the text encoders and convolutions too, comes back as one LoRA. */
class ExtractCommandTest {
  @TempDir
  Path folder;

  private final String model = Fixtures.folders("sdxl").getFirst().toString();
  private final Path photos = Fixtures.repository().resolve("deft/src/demo/photos");

  private Terminal run(String command, String... more) {
    return Terminal.run(Stream.concat(Stream.of(command, "--model", model), Stream.of(more)).toArray(String[]::new));
  }

  private static Terminal done(Terminal terminal) {
    assertEquals(0, terminal.status(), terminal.err());
    return terminal;
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }

  private byte[] picture(String of, String... adapters) {
    String[] command = {"generate", "--model", of, "--prompt", "a toy", "--steps", "2", "--width", "32", "--height", "32", "--seed", "3",
        "--out", path("picture.png")};
    done(Terminal.run(Stream.concat(Stream.of(command), Stream.of(adapters)).toArray(String[]::new)));
    return Pictures.read(folder.resolve("picture.png")).rgb();
  }

  @Test
  void everythingThatAMergeChanged() {
    done(run("train", "--data", photos.toString(), "--prompt", "a toy", "--targets", "to_q,conv1", "--train-text-encoder", "--rank", "2",
        "--steps", "2", "--size", "32", "--lr", "1e-2", "--seed", "5", "--out", path("deft")));
    done(run("merge", "--adapter", path("deft"), "--out", path("tuned")));
    byte[] expected = picture(path("tuned"));
    for (String format : List.of("peft", "kohya", "kohya-diffusers", "diffusers")) {
      String out = path(format + (format.equals("peft") ? "" : ".safetensors"));
      Terminal extracted = done(run("convert", "--tuned", path("tuned"), "--rank", "2", "--to", format, "--out", out, "--json"));
      JsonObject document = Json.parse(extracted.out(), "convert");
      assertTrue(document.keys().containsAll(Set.of("unet", "text_encoder", "text_encoder_2")), extracted.out());
      for (String part : List.of("unet", "text_encoder", "text_encoder_2")) {
        int layers = document.requireObject(part).requireInteger("layers");
        assertTrue(extracted.err().contains("\n" + part + ": " + layers + " of "), extracted.err());
      }
      byte[] found = picture(model, "--adapter", out);
      for (int i = 0; i < expected.length; i++) {
        assertEquals(expected[i] & 0xff, found[i] & 0xff, 1, format);
      }
    }
    Terminal linear = done(run("convert", "--tuned", path("tuned"), "--targets", "all-linear", "--rank", "2", "--to", "peft", "--out",
        path("linear")));
    assertTrue(linear.err().contains("left out, as the LoRA does not hold them: ") && linear.err().contains(".conv1.weight"), linear.err());
  }

  @Test
  void nothingToExtract() {
    Terminal same = run("convert", "--tuned", model, "--rank", "2", "--to", "peft", "--out", path("none"));
    assertEquals(2, same.status());
    assertTrue(same.err().contains(" do not differ in any layer that can be adapted"), same.err());
    Terminal unused = run("convert", "--targets", "to_q", "--out", path("other"));
    assertEquals(2, unused.status());
    assertTrue(unused.err().contains("--targets goes with --tuned"), unused.err());
  }
}
