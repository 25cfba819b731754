package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Stream;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.tensor.DType;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.ModelSource;
import org.deft4j.weights.WeightSource;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.MadeUpModel;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * The program on models of full size, whose weights are made up: it works, and takes no more memory than it may. Runs with
 * {@code -Pfull} alone; the models, 12 GB, are written to {@code -Ddeft4j.full=FOLDER} once.
 */
@Tag("full")
@EnabledIfSystemProperty(named = "deft4j.full", matches = ".+", disabledReason = "the profile 'full' says where the models are")
class FullSizeTest {
  private static final long GIB = 1L << 30;
  private static final double WEIGHTS_SHARE = 1.25;
  private static final long SAMPLING_EXTRA = 2 * GIB;
  private static final long TRAINING_EXTRA = 4 * GIB;

  private final Path folder = Path.of(System.getProperty("deft4j.full"));

  @TempDir
  Path out;

  private Path model(String family, DType stored) {
    Path manifest = Fixtures.folders("manifests").stream().filter(path -> path.endsWith(family)).findFirst().orElseThrow();
    return new MadeUpModel(manifest, stored, 0, 0).reuseOrWrite(folder.resolve(family));
  }

  /** Bytes of a model's weights as they are held: matrices in {@code type}, vectors in F32. */
  private static long heldBytes(Path model, DType type) {
    long bytes = 0;
    try (ModelSource source = ModelSource.open(model.toString())) {
      for (String part : source.components()) {
        if (!part.startsWith("tokenizer") && !part.equals("scheduler")) {
          try (WeightSource weights = source.weights(part)) {
            bytes += weights.names().stream().map(weights::shape)
                .mapToLong(shape -> shape.elementCount() * (shape.rank() < 2 ? DType.F32 : type).bytes()).sum();
          }
        }
      }
    }
    return bytes;
  }

  private static void report(String what, ProgramRun run, long held, long extra) {
    assertEquals(0, run.status(), run.messages());
    double bound = WEIGHTS_SHARE * held + extra;
    System.out.printf(Locale.ROOT, "full size: %s: %.0f s, peak %.2f GB resident, weights %.2f GB, bound %.2f GB%n", what,
        run.seconds(), run.peakBytes() / 1e9, held / 1e9, bound / 1e9);
    assertTrue(run.peakBytes() > held, "the peak was not read: " + run.peakBytes());
    assertTrue(run.peakBytes() < bound, what + ": " + run.peakBytes() + " bytes resident, at most " + bound + " are allowed");
  }

  private static void requirePicture(Path file, int size) {
    Picture picture = Pictures.read(file);
    assertEquals(size, picture.width());
    assertEquals(size, picture.height());
    int[] counts = new int[256];
    for (byte value : picture.rgb()) {
      counts[value & 0xff]++;
    }
    long used = Arrays.stream(counts).filter(count -> count > 0).count();
    assertTrue(used > 64, "a picture of " + used + " shades");
    assertTrue(counts[0] + counts[255] < picture.rgb().length / 2, "black and white: " + counts[0] + ", " + counts[255]);
  }

  private ProgramRun generate(Path model, Path picture, String... more) throws IOException, InterruptedException {
    String[] usual = {"generate", "--model", model.toString(), "--prompt", "a toy robot on the beach", "--steps", "2",
        "--width", "512", "--height", "512", "--seed", "1", "--out", picture.toString()};
    return ProgramRun.of(out, Stream.of(usual, more).flatMap(Arrays::stream).toArray(String[]::new));
  }

  @Test
  void sdxlMakesAPicture() throws IOException, InterruptedException {
    Path model = model("sdxl-base-1.0", DType.F16);
    Path picture = out.resolve("sdxl.png");
    ProgramRun run = generate(model, picture);
    report("SDXL f16, 512 x 512, 2 steps with guidance", run, heldBytes(model, DType.F16), SAMPLING_EXTRA);
    requirePicture(picture, 512);
  }

  /** Stored in F32, held in BF16: were anything held twice, the bound would be passed. */
  @Test
  void sd15IsConvertedWhileLoading() throws IOException, InterruptedException {
    Path model = model("sd-1.5", DType.F32);
    Path picture = out.resolve("sd15.png");
    ProgramRun run = generate(model, picture, "--weights", "bf16");
    report("SD 1.5 f32 held in bf16, 512 x 512, 2 steps with guidance", run, heldBytes(model, DType.BF16), SAMPLING_EXTRA);
    requirePicture(picture, 512);
  }

  @Test
  void sdxlTrainsAnAdapterOfAllItsAttention() throws IOException, InterruptedException {
    Path model = model("sdxl-base-1.0", DType.F16);
    Path adapter = out.resolve("deft");
    Path photos = Files.createDirectory(out.resolve("photos"));
    Files.copy(Fixtures.repository().resolve("deft/src/demo/photos/00.jpg"), photos.resolve("00.jpg"));
    ProgramRun run = ProgramRun.of(out, "train", "--model", model.toString(), "--data", photos.toString(), "--prompt",
        "a toy robot", "--method", "deft", "--rank", "4", "--steps", "1", "--batch", "1", "--size", "512", "--checkpointing",
        "--seed", "1", "--json", "--out", adapter.toString());
    report("SDXL f16, one DEFT step, 512 x 512, checkpointing", run, heldBytes(model, DType.F16), TRAINING_EXTRA);
    JsonObject description = Json.read(adapter.resolve("run.json"));
    assertEquals(560, description.requireInteger("layers"));
    double loss = Json.parse(run.output(), "train").requireNumber("first_loss");
    assertTrue(loss > 0.1 && loss < 10, "loss " + loss);
  }
}
