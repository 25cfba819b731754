package org.deft4j.deft.cli;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import org.deft4j.deft.InputException;
import org.deft4j.deft.NoisePrediction;
import org.deft4j.deft.Objective;
import org.deft4j.deft.TrainingPicture;
import org.deft4j.deft.TrainingSet;
import org.deft4j.deft.data.TrainingRecord;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PictureException;
import org.deft4j.diffusion.image.Pictures;

/** A Stable Diffusion model learns a folder of pictures with captions. */
record StableDiffusionTraining(StableDiffusion model, TrainingRequest request, List<TrainingPicture> examples) implements TrainingJob {
  /** @throws InputException listing all that is wrong with the data */
  static StableDiffusionTraining of(StableDiffusion model, TrainingRequest request) {
    List<String> problems = new ArrayList<>();
    request.omniGen().refuse(problems, "a Stable Diffusion model");
    int side = request.sizeFor(model);
    Map<Path, Picture> pictures = new HashMap<>();
    List<TrainingPicture> examples = new ArrayList<>();
    for (TrainingRecord record : request.records()) {
      if (!record.inputImages().isEmpty()) {
        problems.add(record.place() + ": the record has input pictures, and a Stable Diffusion model takes none");
      }
      try {
        Picture picture = pictures.computeIfAbsent(record.outputImage(), Pictures::read);
        examples.add(TrainingPicture.of(record.outputImage(), record.instruction(), picture, side));
      } catch (PictureException e) {
        problems.add(e.getMessage());
      }
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return new StableDiffusionTraining(model, request, examples);
  }

  @Override
  public int pictures() {
    return examples.size();
  }

  private int side() {
    return examples.getFirst().framed().picture().width();
  }

  @Override
  public String data() {
    return examples.size() + " pictures of " + side() + " x " + side();
  }

  @Override
  public Map<String, Object> description() {
    Map<String, Object> description = new LinkedHashMap<>();
    description.put("pictures", examples.size());
    description.put("prompt", request.prompt());
    description.put("size", side());
    return description;
  }

  @Override
  public void identify(MessageDigest digest) {
    for (TrainingPicture example : examples) {
      digest.update((example.caption() + "\0" + Arrays.toString(example.timeIds()) + "\0").getBytes(StandardCharsets.UTF_8));
      digest.update(example.framed().picture().rgb());
    }
  }

  @Override
  public Map<String, Object> counts() {
    return Map.of("captions", examples.stream().map(TrainingPicture::caption).distinct().count());
  }

  @Override
  public Map<String, TrainingJob> lighter() {
    int smaller = model.half(side());
    List<TrainingPicture> small = examples.stream().map(picture -> picture.resized(smaller)).toList();
    return Map.of("--size " + smaller, new StableDiffusionTraining(model, request, small));
  }

  @Override
  public Prepared prepare(Consumer<String> reading, IntConsumer encoded) {
    model.loadWeights(reading);
    encoded.accept(0);
    TrainingSet set = request.textEncoders() ? TrainingSet.tokenize(model, examples, encoded)
        : TrainingSet.encode(model, examples, model::releaseTextEncoders, encoded);
    model.releaseVae();
    return new Encoded(set, request.textEncoders() ? new NoisePrediction(model, set.examples())
        : new NoisePrediction(model.unet(), model.scheduler(), set.examples()));
  }

  private record Encoded(TrainingSet set, Objective objective) implements Prepared {
    @Override
    public void close() {
      set.close();
    }
  }
}
