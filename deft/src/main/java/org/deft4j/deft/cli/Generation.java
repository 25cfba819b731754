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
import org.deft4j.deft.LoadedModel;
import org.deft4j.deft.TextToPicture;
import org.deft4j.diffusion.Scheduler;
import org.deft4j.diffusion.SchedulerName;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PngWriter;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;

/** One call of {@code generate}: loads the model and its adapters, samples, writes the pictures. */
record Generation(String modelName, List<AdapterArgument> adapters, String prompt, String negative, String schedulerName,
    int steps, Double guidance, Integer width, Integer height, long seed, int count, Path out) {

  /** Makes the pictures; returns the exit status. */
  int run(Console console) throws IOException {
    try (LoadedModel model = LoadedModel.load(modelName)) {
      List<AdapterSet> sets = attach(model);
      try {
        Scheduler scheduler = schedulerName == null ? model.scheduler()
            : model.scheduler(SchedulerName.parse(schedulerName));
        TextToPicture request = new TextToPicture(prompt, negative, steps,
            guidance == null ? model.usualGuidance() : guidance, side(width, model), side(height, model));
        requireSize(model, request);
        List<Map<String, Object>> made = new ArrayList<>();
        for (int i = 0; i < count; i++) {
          made.add(picture(console, model, scheduler, request, seed + i));
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

  private List<AdapterSet> attach(LoadedModel model) {
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

  private static int side(Integer given, LoadedModel model) {
    return given == null ? model.defaultSize() : given;
  }

  private static void requireSize(LoadedModel model, TextToPicture request) {
    int grain = model.vae().config().downscale();
    if (request.width() % grain != 0 || request.height() % grain != 0) {
      throw new InputException("--width " + request.width() + ", --height " + request.height() + ": multiples of " + grain
          + " are needed for this model");
    }
  }

  private Map<String, Object> picture(Console console, LoadedModel model, Scheduler scheduler, TextToPicture request,
      long pictureSeed) throws IOException {
    long started = System.nanoTime();
    Picture picture = request.sample(model, scheduler, new TorchRandom(pictureSeed), done -> console.progress("step", done,
        steps, "", Duration.ofNanos(System.nanoTime() - started)));
    String scheduled = schedulerName == null ? scheduler.config().type().className() : schedulerName;
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
