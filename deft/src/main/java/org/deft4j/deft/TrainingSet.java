package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.tensor.Scope;

/** Pictures and captions as a model sees them: each picture and each distinct caption is encoded once. */
public final class TrainingSet implements AutoCloseable {
  private final List<TrainingExample> examples = new ArrayList<>();
  private final NoiseSchedule schedule;

  private TrainingSet(NoiseSchedule schedule) {
    this.schedule = schedule;
  }

  /** Encodes all of {@code pictures}; {@code progress} is told how many are done. */
  public static TrainingSet encode(StableDiffusion model, List<TrainingPicture> pictures, IntConsumer progress) {
    TrainingSet set = new TrainingSet(new NoiseSchedule(model.alphasCumprod(), model.predictsVelocity()));
    try (Scope _ = Scope.open()) {
      Map<String, StableDiffusion.Text> captions = new LinkedHashMap<>();
      for (TrainingPicture picture : pictures) {
        StableDiffusion.Text text = captions.computeIfAbsent(picture.caption(), model::encode);
        set.examples.add(TrainingExample.encode(model.vae(), picture, text.context(), text.pooled()));
        progress.accept(set.examples.size());
      }
    } catch (RuntimeException e) {
      set.close();
      throw e;
    }
    return set;
  }

  /** One for each picture, in order. */
  public List<TrainingExample> examples() {
    return List.copyOf(examples);
  }

  /** The noise that the model was trained with. */
  public NoiseSchedule schedule() {
    return schedule;
  }

  @Override
  public void close() {
    examples.forEach(TrainingExample::close);
  }
}
