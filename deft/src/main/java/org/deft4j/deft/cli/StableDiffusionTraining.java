package org.deft4j.deft.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import org.deft4j.deft.InputException;
import org.deft4j.deft.NoisePrediction;
import org.deft4j.deft.Objective;
import org.deft4j.deft.PictureFolder;
import org.deft4j.deft.TrainingPicture;
import org.deft4j.deft.TrainingSet;
import org.deft4j.diffusion.StableDiffusion;

/** A Stable Diffusion model learns a folder of pictures with captions. */
record StableDiffusionTraining(StableDiffusion model, String prompt, List<TrainingPicture> examples) implements TrainingJob {
  /** @throws InputException listing all that is wrong with the data */
  static StableDiffusionTraining of(StableDiffusion model, TrainingRequest request) {
    return new StableDiffusionTraining(model, request.prompt(),
        PictureFolder.read(request.data(), request.prompt(), request.sizeFor(model)));
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
    description.put("prompt", prompt);
    description.put("size", side());
    return description;
  }

  @Override
  public Map<String, Object> counts() {
    return Map.of("captions", examples.stream().map(TrainingPicture::caption).distinct().count());
  }

  @Override
  public Map<String, TrainingJob> lighter() {
    int grain = model.grain();
    int smaller = Math.max(grain, side() / 2 / grain * grain);
    List<TrainingPicture> small = examples.stream().map(picture -> picture.resized(smaller)).toList();
    return Map.of("--size " + smaller, new StableDiffusionTraining(model, prompt, small));
  }

  @Override
  public Prepared prepare(IntConsumer encoded) {
    TrainingSet set = TrainingSet.encode(model, examples, model::releaseTextEncoders, encoded);
    model.releaseVae();
    return new Encoded(set, new NoisePrediction(model.unet(), model.scheduler(), set.examples()));
  }

  private record Encoded(TrainingSet set, Objective objective) implements Prepared {
    @Override
    public void close() {
      set.close();
    }
  }
}
