package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.tensor.DType;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.ModelSource;
import org.deft4j.weights.OmniGenFolder;
import org.deft4j.weights.WeightSource;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.MadeUpModel;
import org.deft4j.weights.testing.MadeUpOmniGen;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * The program on models of full size, whose weights are made up: it works, and takes no more memory than it may. Runs with
 * {@code -Pfull} alone; the models, 20 GB, are written to {@code -Ddeft4j.full=FOLDER} once.
 */
@Tag("full")
@EnabledIfSystemProperty(named = "deft4j.full", matches = ".+", disabledReason = "the profile 'full' says where the models are")
class FullSizeTest {
  private static final long GIB = 1L << 30;
  private static final double WEIGHTS_SHARE = 1.25;
  private static final long SAMPLING_EXTRA = 2 * GIB;
  private static final long TRAINING_EXTRA = 4 * GIB;
  /** What DEFT's paper reports for a step on OmniGen at rank 64, and a GiB. */
  private static final double OMNIGEN_BOUND = 7.95e9 + GIB;
  /** How far from the peak the prediction may be. */
  private static final double PREDICTION_ERROR = 0.1;

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

  /** Bytes of OmniGen's transformer, which is held as it is stored. */
  private static long transformerBytes(Path model) {
    try (ModelSource source = ModelSource.open(model.toString()); WeightSource weights = source.weights(OmniGenFolder.TRANSFORMER)) {
      return weights.names().stream().mapToLong(name -> weights.shape(name).elementCount() * weights.dtype(name).bytes()).sum();
    }
  }

  private static void report(String what, ProgramRun run, long held, double bound) {
    assertEquals(0, run.status(), run.messages());
    System.out.printf(Locale.ROOT, "full size: %s: %.0f s, peak %.2f GB resident, weights %.2f GB, bound %.2f GB%n", what,
        run.seconds(), run.peakBytes() / 1e9, held / 1e9, bound / 1e9);
    assertTrue(run.peakBytes() > held, "the peak was not read: " + run.peakBytes());
    assertTrue(run.peakBytes() < bound, what + ": " + run.peakBytes() + " bytes resident, at most " + bound + " are allowed");
  }

  /** The same with the bound of a pipeline's run: a share of the weights held, and {@code extra}. */
  private static void reportPipeline(String what, ProgramRun run, long held, long extra) {
    report(what, run, held, WEIGHTS_SHARE * held + extra);
  }

  /** Runs the program, with {@code --json} among the arguments; its peak must be near what {@code --dry-run} says of it. */
  private ProgramRun asPredicted(String... arguments) throws IOException, InterruptedException {
    ProgramRun plan = ProgramRun.of(out, Stream.concat(Arrays.stream(arguments), Stream.of("--dry-run")).toArray(String[]::new));
    assertEquals(0, plan.status(), plan.messages());
    double predicted = Json.parse(plan.output(), "plan").requireObject("memory").requireNumber("total");
    ProgramRun run = ProgramRun.of(out, arguments);
    assertEquals(predicted, (double) run.peakBytes(), PREDICTION_ERROR * predicted, run.messages());
    System.out.printf(Locale.ROOT, "full size: predicted %.2f GB%n", predicted / 1e9);
    return run;
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
    reportPipeline("SDXL f16, 512 x 512, 2 steps with guidance", run, heldBytes(model, DType.F16), SAMPLING_EXTRA);
    requirePicture(picture, 512);
  }

  /** Stored in F32, held in BF16: were anything held twice, the bound would be passed. */
  @Test
  void sd15IsConvertedWhileLoading() throws IOException, InterruptedException {
    Path model = model("sd-1.5", DType.F32);
    Path picture = out.resolve("sd15.png");
    ProgramRun run = generate(model, picture, "--weights", "bf16");
    reportPipeline("SD 1.5 f32 held in bf16, 512 x 512, 2 steps with guidance", run, heldBytes(model, DType.BF16), SAMPLING_EXTRA);
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
    reportPipeline("SDXL f16, one DEFT step, 512 x 512, checkpointing", run, heldBytes(model, DType.F16), TRAINING_EXTRA);
    JsonObject description = Json.read(adapter.resolve("run.json"));
    assertEquals(560, description.requireInteger("layers"));
    double loss = Json.parse(run.output(), "train").requireNumber("first_loss");
    assertTrue(loss > 0.1 && loss < 10, "loss " + loss);
  }

  @Test
  void omniGenMakesAPicture() throws IOException, InterruptedException {
    Path model = MadeUpOmniGen.published(DType.BF16, 0).reuseOrWrite(folder.resolve("omnigen-v1"));
    Path picture = out.resolve("omnigen.png");
    ProgramRun run = asPredicted("generate", "--model", model.toString(), "--prompt", "a toy robot on the beach", "--steps", "2",
        "--width", "256", "--height", "256", "--seed", "1", "--json", "--out", picture.toString());
    report("OmniGen bf16, 256 x 256, 2 steps with guidance and cache", run, transformerBytes(model), OMNIGEN_BOUND);
    requirePicture(picture, 256);
  }

  /** The paper's setting. The second step runs beside the optimizer's state, as all later ones do. */
  @Test
  void omniGenTrainsAnAdapterOfItsAttention() throws IOException, InterruptedException {
    Path model = MadeUpOmniGen.published(DType.BF16, 0).reuseOrWrite(folder.resolve("omnigen-v1"));
    Path adapter = out.resolve("deft");
    Path photos = Files.createDirectory(out.resolve("photos"));
    for (String photo : List.of("00.jpg", "01.jpg")) {
      Files.copy(Fixtures.repository().resolve("deft/src/demo/photos").resolve(photo), photos.resolve(photo));
    }
    ProgramRun run = asPredicted("train", "--model", model.toString(), "--data", photos.toString(), "--prompt", "a toy robot",
        "--method", "deft", "--rank", "64", "--steps", "2", "--batch", "2", "--size", "256", "--squares", "--checkpointing",
        "--seed", "1", "--json", "--out", adapter.toString());
    report("OmniGen bf16, two DEFT steps, rank 64, batch 2, 256 x 256, checkpointing", run, transformerBytes(model),
        OMNIGEN_BOUND);
    JsonObject description = Json.read(adapter.resolve("run.json"));
    assertEquals(64, description.requireInteger("layers"));
    assertEquals(37_748_736, description.requireInteger("parameters"));
    double loss = Json.parse(run.output(), "train").requireNumber("first_loss");
    assertTrue(loss > 0.1 && loss < 10, "loss " + loss);
  }
}
