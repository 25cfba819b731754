package org.deft4j.deft.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.deft4j.deft.InputException;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PictureException;
import org.deft4j.diffusion.image.PictureTensors;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.diffusion.omnigen.ConditionException;
import org.deft4j.diffusion.omnigen.OmniGen;
import org.deft4j.diffusion.omnigen.OmniGenPipeline;
import org.deft4j.diffusion.omnigen.OmniGenPipeline.Settings;
import org.deft4j.diffusion.omnigen.PixelSize;
import org.deft4j.tensor.TorchRandom;

/**
 * Pictures of an OmniGen model.
 *
 * @param images the input pictures, fitted
 * @param names of their files
 */
record OmniGenPictures(OmniGen model, Settings settings, List<Picture> images, List<String> names) implements PictureMaker {
  private static final String KIND = "an OmniGen model";

  /** @throws InputException listing all that is asked for and such a model cannot do */
  static OmniGenPictures of(OmniGen model, PictureRequest request) {
    OmniGenOptions options = request.omniGen();
    List<String> problems = new ArrayList<>();
    Checks.takesNo(problems, KIND, "--scheduler", request.scheduler());
    OmniGenPipeline pipeline = new OmniGenPipeline(model);
    List<Picture> images = images(problems, pipeline, options);
    PixelSize size = size(problems, model, request, images);
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    Settings usual = Settings.of(request.prompt(), size.width(), size.height());
    Settings settings = new Settings(request.prompt(), request.negative(), size.width(), size.height(),
        request.steps() == null ? usual.steps() : request.steps(), request.guidance() == null ? usual.guidance() : request.guidance(),
        options.guidanceByImages(usual.imageGuidance()), options.stacked, options.cacheKind(usual.cache()), options.mode());
    try {
      pipeline.tokens(settings, images.stream().map(PixelSize::of).toList());
    } catch (ConditionException e) {
      throw new InputException(e.getMessage(), e);
    }
    return new OmniGenPictures(model, settings, images,
        options.images.stream().map(file -> file.getFileName().toString()).toList());
  }

  private static List<Picture> images(List<String> problems, OmniGenPipeline pipeline, OmniGenOptions options) {
    int largest = options.inputSize == null ? OmniGenPipeline.LARGEST_INPUT : options.inputSize;
    List<Picture> images = new ArrayList<>();
    options.images.forEach(file -> {
      try {
        images.add(pipeline.fit(Pictures.read(file), largest));
      } catch (PictureException | ConditionException e) {
        problems.add("--image: " + e.getMessage());
      }
    });
    return images;
  }

  private static PixelSize size(List<String> problems, OmniGen model, PictureRequest request, List<Picture> images) {
    if (!request.omniGen().sizeOfImage) {
      request.checkSize(problems, model);
      return new PixelSize(request.widthFor(model), request.heightFor(model));
    }
    if (request.width() != null || request.height() != null) {
      problems.add("--size-of-image makes the picture as large as the input picture; leave out --width and --height");
    }
    if (request.omniGen().images.size() != 1) {
      problems.add("--size-of-image needs one --image, and " + request.omniGen().images.size() + " are given");
    }
    return images.isEmpty() ? new PixelSize(model.grain(), model.grain()) : PixelSize.of(images.getFirst());
  }

  @Override
  public int steps() {
    return settings.steps();
  }

  @Override
  public PictureMaker withSteps(int number) {
    return new OmniGenPictures(model, settings.withSteps(number), images, names);
  }

  @Override
  public Map<String, PictureMaker> lighter() {
    Map<String, PictureMaker> lighter = new LinkedHashMap<>();
    int width = model.half(settings.width());
    int height = model.half(settings.height());
    lighter.put("--width " + width + " --height " + height, new OmniGenPictures(model, settings.withSize(width, height), images, names));
    if (!images.isEmpty()) {
      int largest = images.stream().mapToInt(image -> Math.max(image.width(), image.height())).max().orElseThrow() / 2;
      OmniGenPipeline pipeline = new OmniGenPipeline(model);
      lighter.put("--input-size " + Math.max(model.grain(), largest), new OmniGenPictures(model, settings,
          images.stream().map(image -> pipeline.fit(image, Math.max(model.grain(), largest))).toList(), names));
    }
    return lighter;
  }

  @Override
  public Map<String, Object> description() {
    Map<String, Object> description = new LinkedHashMap<>();
    description.put("prompt", settings.prompt());
    description.put("negative", settings.negative());
    if (!images.isEmpty()) {
      description.put("images", names);
      description.put("image_sizes", images.stream().map(image -> PixelSize.of(image).toString()).toList());
      description.put("image_guidance", settings.imageGuidance());
    }
    description.put("steps", settings.steps());
    description.put("guidance", settings.guidance());
    description.put("width", settings.width());
    description.put("height", settings.height());
    description.put("cache", settings.cache().name().toLowerCase(Locale.ROOT));
    return description;
  }

  @Override
  public PictureText text(long seed, AdapterArguments adapters) {
    Map<String, Object> words = new LinkedHashMap<>();
    words.put("Steps", settings.steps());
    words.put("Sampler", "Rectified flow");
    words.put("CFG scale", settings.guidance());
    words.put("Seed", seed);
    words.put("Size", settings.width() + "x" + settings.height());
    Map<String, Object> fields = new LinkedHashMap<>(description());
    fields.put("seed", seed);
    return new PictureText(settings.prompt(), settings.negative(), words, fields, model.name(), adapters);
  }

  @Override
  public Sampling start() {
    OmniGenPipeline pipeline = new OmniGenPipeline(model);
    OmniGenPipeline.Condition condition = pipeline.encode(settings, images);
    return (seed, progress) -> PictureTensors.toPictureCut(pipeline.generate(settings, condition, new TorchRandom(seed),
        (step, all, latent) -> progress.done(step, all)));
  }
}
