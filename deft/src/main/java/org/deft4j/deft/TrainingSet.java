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

  private TrainingSet() {}

  /** Encodes all of {@code pictures}; {@code progress} is told how many are done. */
  public static TrainingSet encode(StableDiffusion model, List<TrainingPicture> pictures, IntConsumer progress) {
    TrainingSet set = new TrainingSet();
    try (Scope _ = Scope.open()) {
      Map<String, StableDiffusion.Conditioning> captions = new LinkedHashMap<>();
      for (TrainingPicture picture : pictures) {
        StableDiffusion.Conditioning text = captions.computeIfAbsent(picture.caption(), model::encode);
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

  @Override
  public void close() {
    examples.forEach(TrainingExample::close);
  }
}
