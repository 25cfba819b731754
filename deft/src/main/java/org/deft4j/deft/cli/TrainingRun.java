package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.InputException;
import org.deft4j.deft.LossLog;
import org.deft4j.deft.Method;
import org.deft4j.deft.OutputFolder;
import org.deft4j.deft.PeftFolder;
import org.deft4j.deft.PictureFolder;
import org.deft4j.deft.Trainer;
import org.deft4j.deft.TrainingExample;
import org.deft4j.deft.TrainingOptions;
import org.deft4j.deft.TrainingPicture;
import org.deft4j.deft.TrainingSet;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;

/**
 * One training: reads and checks everything, encodes the pictures, trains, and writes the folder whole. What it writes
 * depends on the model, the pictures and the options alone: no time, no path, no name of the machine is in it.
 */
final class TrainingRun {
  /** What was asked, and what came of it. */
  static final String RUN = "run.json";

  private static final String TABLE = "losses.csv";
  private static final String PLOT = "loss.png";
  private static final int RECENT = 20;

  /** The files that a run leaves. */
  static final Set<String> FILES = Set.of(PeftFolder.CONFIG, PeftFolder.WEIGHTS, RUN, TABLE, PLOT);

  private final ModelArgument modelArgument;
  private final Path data;
  private final String prompt;
  private final Integer size;
  private final AdapterConfig config;
  private final TrainingOptions options;
  private final long seed;
  private final Path out;
  private final LossLog log = new LossLog();

  TrainingRun(ModelArgument modelArgument, Path data, String prompt, Integer size, AdapterConfig config,
      TrainingOptions options, long seed, Path out) {
    this.modelArgument = modelArgument;
    this.data = data;
    this.prompt = prompt;
    this.size = size;
    this.config = config;
    this.options = options;
    this.seed = seed;
    this.out = out;
  }

  /** Trains and writes; returns the exit status. */
  int run(Console console, Interruption interruption) throws IOException {
    long started = System.nanoTime();
    List<TrainingPicture> given = size == null ? null : PictureFolder.read(data, prompt, size);
    try (StableDiffusion model = modelArgument.load()) {
      int side = size == null ? model.defaultSize() : size;
      requireSize(model, side);
      List<TrainingPicture> pictures = given == null ? PictureFolder.read(data, prompt, side) : given;
      TorchRandom random = new TorchRandom(seed);
      long encoding = System.nanoTime();
      try (AdapterSet adapter = AdapterSet.create(model.unet(), config, random);
          TrainingSet examples = TrainingSet.encode(model, pictures, model::releaseTextEncoders,
              done -> console.progress("encoding pictures", done, pictures.size(), "", since(encoding)))) {
        model.releaseVae();
        console.message(String.format(Locale.ROOT, "training %,d parameters in %d layers on %d pictures of %d x %d",
            adapter.parameterCount(), adapter.adapters().size(), pictures.size(), side, side));
        long done = train(console, model, examples, adapter.attach(), random, interruption);
        try (OutputFolder folder = OutputFolder.open(out)) {
          write(console, folder, model, adapter, side, pictures.size());
          folder.publish();
        }
        report(console, done, since(started));
        return done < options.steps() ? ExitStatus.INTERRUPTED : ExitStatus.OK;
      }
    }
  }

  private static void requireSize(StableDiffusion model, int side) {
    int grain = model.vae().config().downscale();
    if (side % grain != 0) {
      throw new InputException("--size " + side + ": a multiple of " + grain + " is needed for this model");
    }
  }

  /** For each step the mean loss of the last {@code window} ones. */
  double[] losses(int window) {
    return log.means(window);
  }

  private long train(Console console, StableDiffusion model, TrainingSet examples, AdapterSet adapter, TorchRandom random,
      Interruption interruption) {
    List<TrainingExample> all = examples.examples();
    long start = System.nanoTime();
    return new Trainer(model.unet(), model.scheduler(), all, adapter, options, random).run(step -> {
      log.done(step);
      console.progress("step", step.number(), options.steps(), String.format(Locale.ROOT, "loss %.4f", log.recent(RECENT)),
          since(start));
    }, interruption);
  }

  private static Duration since(long start) {
    return Duration.ofNanos(System.nanoTime() - start);
  }

  private void write(Console console, OutputFolder folder, StableDiffusion model, AdapterSet adapter, int side,
      int pictures) throws IOException {
    PeftFolder.write(folder.path(), adapter, model.name());
    Json.write(folder.path().resolve(RUN), description(model, adapter, side, pictures));
    log.writeTable(folder.path().resolve(TABLE));
    try {
      log.writePlot(folder.path().resolve(PLOT), config.method().label() + ", rank " + config.rank());
    } catch (IOException e) {
      console.message(e.getMessage() + "; the losses are in " + TABLE);
    }
  }

  private Map<String, Object> description(StableDiffusion model, AdapterSet adapter, int side, int pictures) {
    Map<String, Object> run = new LinkedHashMap<>();
    run.put("model", model.name());
    run.put("weights", modelArgument.weights());
    run.put("method", config.method().label());
    run.put("decomposition", config.method() == Method.LORA ? null : config.decomposition().method());
    run.put("rank", config.rank());
    run.put("alpha", config.alpha());
    run.put("start", config.identityStart() ? "identity" : "random");
    run.put("layers", adapter.adapters().size());
    run.put("parameters", adapter.parameterCount());
    run.put("pictures", pictures);
    run.put("prompt", prompt);
    run.put("size", side);
    run.put("steps", log.steps().size());
    run.put("steps_asked", options.steps());
    run.put("lr", options.learningRate());
    run.put("projection_lr", options.projectionFactor());
    run.put("weight_decay", options.weightDecay());
    run.put("clip", options.clip());
    run.put("schedule", options.schedule());
    run.put("warmup", options.warmup());
    run.put("batch", options.batch());
    run.put("accumulate", options.accumulate());
    run.put("seed", seed);
    run.put("first_loss", log.steps().getFirst().loss());
    run.put("recent_loss", log.recent(RECENT));
    return run;
  }

  private void report(Console console, long done, Duration took) {
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("out", out.toString());
    document.put("steps", done);
    document.put("interrupted", done < options.steps());
    document.put("seed", seed);
    document.put("first_loss", log.steps().getFirst().loss());
    document.put("recent_loss", log.recent(RECENT));
    document.put("seconds", took.toMillis() / 1e3);
    document.put("files", new ArrayList<>(FILES.stream().sorted().toList()));
    console.document(Json.format(document));
    console.result(String.format(Locale.ROOT, "%s: %d steps in %s, loss %.4f at first, %.4f over the last %d", out, done,
        Console.duration(took.toNanos() / 1e9), log.steps().getFirst().loss(), log.recent(RECENT),
        Math.min(RECENT, log.steps().size())));
  }
}
