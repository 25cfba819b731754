package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.IntConsumer;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.tensor.Scope;

/** Pictures and captions as a model sees them: each picture and each distinct caption is encoded once. */
public final class TrainingSet implements AutoCloseable {
  private final List<TrainingExample> examples = new ArrayList<>();

  private TrainingSet() {}

  /** Encodes all of {@code pictures}; {@code progress} is told how many are done. */
  public static TrainingSet encode(StableDiffusion model, List<TrainingPicture> pictures, IntConsumer progress) {
    return encode(model, pictures, () -> {}, progress);
  }

  /** The same; {@code captioned} runs once all captions are encoded, when the text encoders are not needed any more. */
  public static TrainingSet encode(StableDiffusion model, List<TrainingPicture> pictures, Runnable captioned,
      IntConsumer progress) {
    return of(pictures, model::encode, captioned,
        (picture, text) -> TrainingExample.encode(model.vae(), picture, text.context(), text.pooled()), progress);
  }

  /** The same with captions as token ids, for a training of the text encoders. */
  public static TrainingSet tokenize(StableDiffusion model, List<TrainingPicture> pictures, IntConsumer progress) {
    return of(pictures, model::tokenIds, () -> {}, (picture, ids) -> TrainingExample.encode(model.vae(), picture, ids), progress);
  }

  private static <C> TrainingSet of(List<TrainingPicture> pictures, Function<String, C> caption, Runnable captioned,
      BiFunction<TrainingPicture, C, TrainingExample> example, IntConsumer progress) {
    TrainingSet set = new TrainingSet();
    try (Scope _ = Scope.open()) {
      Map<String, C> captions = new LinkedHashMap<>();
      pictures.forEach(picture -> captions.computeIfAbsent(picture.caption(), caption));
      captioned.run();
      for (TrainingPicture picture : pictures) {
        set.examples.add(example.apply(picture, captions.get(picture.caption())));
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
