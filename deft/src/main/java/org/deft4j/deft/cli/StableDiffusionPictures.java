package org.deft4j.deft.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.InputException;
import org.deft4j.diffusion.SamplerOptions;
import org.deft4j.diffusion.Scheduler;
import org.deft4j.diffusion.SchedulerName;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.StableDiffusionPipeline;
import org.deft4j.diffusion.StableDiffusionPipeline.Prompts;
import org.deft4j.diffusion.StableDiffusionPipeline.Settings;
import org.deft4j.diffusion.image.PictureTensors;
import org.deft4j.tensor.TorchRandom;

/**
 * Pictures of a Stable Diffusion model.
 *
 * @param schedulerName null: the model's own
 */
record StableDiffusionPictures(StableDiffusion model, Settings settings, String schedulerName) implements PictureMaker {
  private static final int USUAL_STEPS = 30;

  /** @throws InputException listing all that is asked for and such a model cannot do */
  static StableDiffusionPictures of(StableDiffusion model, PictureRequest request) {
    List<String> problems = new ArrayList<>();
    request.omniGen().refuse(problems, "a Stable Diffusion model");
    request.checkSize(problems, model);
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    Settings settings = new Settings(request.prompt(), request.negative(), request.widthFor(model), request.heightFor(model),
        request.steps() == null ? USUAL_STEPS : request.steps(),
        request.guidance() == null ? model.usualGuidance() : request.guidance(), 0, SamplerOptions.DEFAULT);
    return new StableDiffusionPictures(model, settings, request.scheduler());
  }

  private StableDiffusionPictures with(int width, int height, int steps) {
    return new StableDiffusionPictures(model, new Settings(settings.prompt(), settings.negative(), width, height, steps,
        settings.guidance(), settings.rescale(), settings.sampler()), schedulerName);
  }

  @Override
  public int steps() {
    return settings.steps();
  }

  @Override
  public PictureMaker withSteps(int number) {
    return with(settings.width(), settings.height(), number);
  }

  @Override
  public Map<String, PictureMaker> lighter() {
    int width = model.half(settings.width());
    int height = model.half(settings.height());
    return Map.of("--width " + width + " --height " + height, with(width, height, settings.steps()));
  }

  @Override
  public Map<String, Object> description() {
    Map<String, Object> description = new LinkedHashMap<>();
    description.put("prompt", settings.prompt());
    description.put("negative", settings.negative());
    description.put("scheduler", scheduled());
    description.put("steps", settings.steps());
    description.put("guidance", settings.guidance());
    description.put("width", settings.width());
    description.put("height", settings.height());
    return description;
  }

  @Override
  public PictureText text(long seed, AdapterArguments adapters) {
    Map<String, Object> words = new LinkedHashMap<>();
    words.put("Steps", settings.steps());
    words.put("Sampler", scheduled());
    words.put("CFG scale", settings.guidance());
    words.put("Seed", seed);
    words.put("Size", settings.width() + "x" + settings.height());
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("prompt", settings.prompt());
    fields.put("negative", settings.negative());
    fields.put("seed", seed);
    fields.put("steps", settings.steps());
    fields.put("scheduler", scheduled());
    fields.put("guidance", settings.guidance());
    fields.put("width", settings.width());
    fields.put("height", settings.height());
    return new PictureText(settings.prompt(), settings.negative(), words, fields, model.name(), adapters);
  }

  @Override
  public Sampling start() {
    StableDiffusionPipeline pipeline = new StableDiffusionPipeline(model, scheduler());
    Prompts prompts = pipeline.encode(settings);
    model.releaseTextEncoders();
    return (seed, progress) -> PictureTensors.toPicture(pipeline.generate(settings, prompts, new TorchRandom(seed),
        (step, all, latent) -> progress.done(step, all)));
  }

  private Scheduler scheduler() {
    return schedulerName == null ? model.scheduler() : model.scheduler(SchedulerName.parse(schedulerName));
  }

  private String scheduled() {
    return schedulerName == null ? model.scheduler().config().type().className() : schedulerName;
  }
}
