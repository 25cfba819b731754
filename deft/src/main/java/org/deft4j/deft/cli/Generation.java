package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.AdapterFiles;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.InputException;
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
record Generation(ModelArgument modelArgument, List<AdapterArgument> adapters, String prompt, String negative,
    String schedulerName, int steps, Double guidance, Integer width, Integer height, long seed, int count, Path out) {

  /** Makes the pictures; returns the exit status. */
  int run(Console console) throws IOException {
    try (StableDiffusion model = modelArgument.load()) {
      List<AdapterSet> sets = attach(model);
      try {
        Scheduler scheduler = schedulerName == null ? model.scheduler()
            : model.scheduler(SchedulerName.parse(schedulerName));
        Settings request = new Settings(prompt, negative, side(width, model), side(height, model), steps,
            guidance == null ? model.usualGuidance() : guidance, 0, SamplerOptions.DEFAULT);
        requireSize(model, request);
        StableDiffusionPipeline pipeline = new StableDiffusionPipeline(model, scheduler);
        List<Map<String, Object>> made = new ArrayList<>();
        try (Scope _ = Scope.open()) {
          Prompts prompts = pipeline.encode(request);
          model.releaseTextEncoders();
          for (int i = 0; i < count; i++) {
            made.add(picture(console, model, pipeline, request, prompts, seed + i));
          }
        }
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("pictures", made);
        console.document(Json.format(document));
        return ExitStatus.OK;
      } finally {
        sets.forEach(AdapterSet::close);
      }
    }
  }

  private List<AdapterSet> attach(StableDiffusion model) {
    List<AdapterSet> sets = new ArrayList<>();
    try {
      for (AdapterArgument adapter : adapters) {
        sets.add(AdapterFiles.read(adapter.path(), model.unet()).setStrength(adapter.strength()).attach());
      }
      return sets;
    } catch (RuntimeException e) {
      sets.forEach(AdapterSet::close);
      throw e;
    }
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

  private Map<String, Object> picture(Console console, StableDiffusion model, StableDiffusionPipeline pipeline,
      Settings request, Prompts prompts, long pictureSeed) throws IOException {
    long started = System.nanoTime();
    Picture picture;
    try (Scope _ = Scope.open()) {
      picture = PictureTensors.toPicture(pipeline.generate(request, prompts, new TorchRandom(pictureSeed),
          (step, all, latent) -> console.progress("step", step, all, "", Duration.ofNanos(System.nanoTime() - started))));
    }
    String scheduled = schedulerName == null ? model.scheduler().config().type().className() : schedulerName;
    PictureText text = new PictureText(prompt, negative, pictureSeed, steps, scheduled, request.guidance(), request.width(),
        request.height(), model.name(), adapters.stream().map(AdapterArgument::label).toList());
    Path file = file(pictureSeed);
    if (file.toAbsolutePath().getParent() != null) {
      Files.createDirectories(file.toAbsolutePath().getParent());
    }
    PngWriter.write(file, picture, text.chunks());
    console.result(file + ": " + request.width() + " x " + request.height() + ", seed " + pictureSeed + ", "
        + Console.duration((System.nanoTime() - started) / 1e9));
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
