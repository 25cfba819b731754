package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.InputException;
import org.deft4j.deft.PipelineAdapter;
import org.deft4j.deft.cli.MemoryCheck.Remedy;
import org.deft4j.diffusion.SamplerOptions;
import org.deft4j.diffusion.Scheduler;
import org.deft4j.diffusion.SchedulerName;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.StableDiffusionPipeline;
import org.deft4j.diffusion.StableDiffusionPipeline.Prompts;
import org.deft4j.diffusion.StableDiffusionPipeline.Settings;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PictureTensors;
import org.deft4j.diffusion.image.PngWriter;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;

/** One call of {@code generate}: loads the model and its adapters, samples, writes the pictures. */
record Generation(ModelArgument modelArgument, AdapterArguments adapters, String prompt, String negative,
    String schedulerName, int steps, Double guidance, Integer width, Integer height, long seed, int count, Path out) {

  /** Steps that show all a run needs: the second has what multistep methods remember. */
  private static final int REHEARSED_STEPS = 2;

  /** Takes what is made, and what there is to say. */
  private interface Receiver {
    void notice(String sentence);

    void step(int step, int steps, Duration elapsed);

    void made(long pictureSeed, Picture picture, Duration took) throws IOException;
  }

  /** Makes the pictures; returns the exit status. */
  int run(Console console, Activity activity) throws IOException {
    try (StableDiffusion model = modelArgument.open()) {
      Settings request = request(model);
      activity.begin(Phase.ESTIMATING, "");
      MemoryCheck check = check(model, request);
      check.require(() -> remedies(model, request));
      activity.begin(Phase.LOADING, "");
      console.message(check.announcement());
      List<Map<String, Object>> pictures = new ArrayList<>();
      activity.named(() -> make(model, request, count, activity, new Receiver() {
        @Override
        public void notice(String sentence) {
          console.message(sentence);
        }

        @Override
        public void step(int step, int steps, Duration elapsed) {
          console.progress("step", step, steps, "", elapsed);
        }

        @Override
        public void made(long pictureSeed, Picture picture, Duration took) throws IOException {
          pictures.add(write(console, model, request, pictureSeed, picture, took));
        }
      }));
      Map<String, Object> document = new LinkedHashMap<>();
      document.put("pictures", pictures);
      console.document(Json.format(document));
      return ExitStatus.OK;
    }
  }

  /** Prints what {@link #run} would do, and what memory it would take; returns the exit status. */
  int plan(Console console, Activity activity) throws IOException {
    activity.begin(Phase.ESTIMATING, "");
    try (StableDiffusion model = modelArgument.open()) {
      Settings request = request(model);
      MemoryCheck check = check(model, request);
      Map<String, Object> run = new LinkedHashMap<>();
      run.put("adapters", adapters.labels());
      run.put("prompt", prompt);
      run.put("negative", negative);
      run.put("scheduler", scheduled(model));
      run.put("steps", steps);
      run.put("guidance", request.guidance());
      run.put("width", request.width());
      run.put("height", request.height());
      run.put("seed", seed);
      run.put("pictures", count);
      return PlanReport.print(console, model, run, check);
    }
  }

  private Settings request(StableDiffusion model) {
    Settings request = new Settings(prompt, negative, side(width, model), side(height, model), steps,
        guidance == null ? model.usualGuidance() : guidance, 0, SamplerOptions.DEFAULT);
    requireSize(model, request);
    return request;
  }

  // -------------------------------------------------------------------------------------------------------- memory

  private MemoryCheck check(StableDiffusion model, Settings request) throws IOException {
    return MemoryCheck.of(MemoryPlan.of(model, rehearsal(model, request)));
  }

  /** The run with one picture of few steps, which is not written. */
  private MemoryPlan.Run rehearsal(StableDiffusion model, Settings request) {
    Settings few = new Settings(request.prompt(), request.negative(), request.width(), request.height(),
        Math.min(REHEARSED_STEPS, request.steps()), request.guidance(), request.rescale(), request.sampler());
    return activity -> make(model, few, 1, activity, new Receiver() {
      @Override
      public void notice(String sentence) {}

      @Override
      public void step(int step, int all, Duration elapsed) {}

      @Override
      public void made(long pictureSeed, Picture picture, Duration took) {}
    });
  }

  private List<Remedy> remedies(StableDiffusion model, Settings request) {
    int grain = model.vae().config().downscale();
    int smallerWidth = Math.max(grain, request.width() / 2 / grain * grain);
    int smallerHeight = Math.max(grain, request.height() / 2 / grain * grain);
    Settings smaller = new Settings(request.prompt(), request.negative(), smallerWidth, smallerHeight, request.steps(),
        request.guidance(), request.rescale(), request.sampler());
    List<Remedy> remedies = new ArrayList<>();
    remedies.add(new Remedy("--width " + smallerWidth + " --height " + smallerHeight, model, rehearsal(model, smaller)));
    modelArgument.inHalf().ifPresent(half -> remedies.add(new Remedy(ModelArgument.HALF, half, rehearsal(half, request))));
    return remedies;
  }

  // -------------------------------------------------------------------------------------------------------- pictures

  /** Loads, samples and hands over the pictures; the model has no weights before and after. */
  private void make(StableDiffusion model, Settings request, int pictures, Activity activity, Receiver receiver)
      throws IOException {
    List<PipelineAdapter> attached = List.of();
    try {
      model.loadWeights(part -> activity.begin(Phase.LOADING, part));
      activity.begin(Phase.ADAPTING, "");
      attached = adapters.attach(model, receiver::notice);
      StableDiffusionPipeline pipeline = new StableDiffusionPipeline(model, scheduler(model));
      activity.begin(Phase.PROMPTING, "");
      try (Scope _ = Scope.open()) {
        Prompts prompts = pipeline.encode(request);
        model.releaseTextEncoders();
        for (int i = 0; i < pictures; i++) {
          long started = System.nanoTime();
          Picture picture = sample(pipeline, request, prompts, seed + i, activity, (step, all, latent) -> receiver.step(step,
              all, Duration.ofNanos(System.nanoTime() - started)));
          activity.begin(Phase.WRITING, file(seed + i).toString());
          receiver.made(seed + i, picture, Duration.ofNanos(System.nanoTime() - started));
        }
      }
    } finally {
      attached.forEach(PipelineAdapter::close);
      model.close();
    }
  }

  private Picture sample(StableDiffusionPipeline pipeline, Settings request, Prompts prompts, long pictureSeed,
      Activity activity, StableDiffusionPipeline.Progress progress) {
    activity.begin(Phase.SAMPLING, 1, request.steps());
    try (Scope _ = Scope.open()) {
      return PictureTensors.toPicture(pipeline.generate(request, prompts, new TorchRandom(pictureSeed),
          (step, all, latent) -> {
            progress.done(step, all, latent);
            if (step < all) {
              activity.begin(Phase.SAMPLING, step + 1, all);
            } else {
              activity.begin(Phase.DECODING, "");
            }
          }));
    }
  }

  private Scheduler scheduler(StableDiffusion model) {
    return schedulerName == null ? model.scheduler() : model.scheduler(SchedulerName.parse(schedulerName));
  }

  private String scheduled(StableDiffusion model) {
    return schedulerName == null ? model.scheduler().config().type().className() : schedulerName;
  }

  private static int side(Integer given, StableDiffusion model) {
    return given == null ? model.defaultSize() : given;
  }

  private static void requireSize(StableDiffusion model, Settings request) {
    int grain = model.vae().config().downscale();
    if (request.width() % grain != 0 || request.height() % grain != 0) {
      throw new InputException("--width " + request.width() + ", --height " + request.height() + ": multiples of " + grain
          + " are needed for this model");
    }
  }

  private Map<String, Object> write(Console console, StableDiffusion model, Settings request, long pictureSeed,
      Picture picture, Duration took) throws IOException {
    PictureText text = new PictureText(prompt, negative, pictureSeed, steps, scheduled(model), request.guidance(),
        request.width(), request.height(), model.name(), adapters.labels());
    Path file = file(pictureSeed);
    if (file.toAbsolutePath().getParent() != null) {
      Files.createDirectories(file.toAbsolutePath().getParent());
    }
    PngWriter.write(file, picture, text.chunks());
    console.result(file + ": " + request.width() + " x " + request.height() + ", seed " + pictureSeed + ", "
        + Console.duration(took.toNanos() / 1e9));
    Map<String, Object> made = new LinkedHashMap<>();
    made.put("file", file.toString());
    made.putAll(text.fields());
    return made;
  }

  /** {@code --out}, with the seed at the end of its name where there are several. */
  private Path file(long pictureSeed) {
    if (count == 1) {
      return out;
    }
    String name = out.getFileName().toString();
    return out.resolveSibling(name.substring(0, name.length() - ".png".length()) + "-" + pictureSeed + ".png");
  }
}
