package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.deft4j.deft.FullModel;
import org.deft4j.deft.Trainable;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.nn.Module;
import org.deft4j.tensor.MemoryPool;

/** All weights of the denoiser learn; the whole model is written, in a folder of its own. */
record ModelLearner(DiffusionModel model, FullModel full) implements Learner {
  /** The folder's name. */
  static final String FOLDER = "model";

  static ModelLearner begin(DiffusionModel model) {
    return new ModelLearner(model, new FullModel(model.denoiser()));
  }

  @Override
  public Trainable trainable() {
    return full;
  }

  @Override
  public String words() {
    return String.format(Locale.ROOT, "all %,d parameters", model.denoiser().parameterCount());
  }

  @Override
  public Map<String, Object> description() {
    Map<String, Object> description = new LinkedHashMap<>();
    description.put("method", FULL);
    description.put("parameters", model.denoiser().parameterCount());
    return description;
  }

  @Override
  public void write(Path folder) throws IOException {
    whole(() -> model.save(Files.createDirectory(folder.resolve(FOLDER))));
  }

  @Override
  public void rehearseWriting() throws IOException {
    whole(() -> {});
  }

  /** Does {@code work} with what was let go of before training loaded again, and lets go of it again: the training may go on. */
  private void whole(Activity.Work work) throws IOException {
    MemoryPool.current().trim();
    model.loadWeights(part -> {});
    try {
      work.run();
    } finally {
      model.parts().values().stream().filter(part -> part != model.denoiser()).forEach(Module::close);
      MemoryPool.current().trim();
    }
  }

  @Override
  public Set<String> files() {
    return Set.of(FOLDER);
  }

  /** The weights are the model's. */
  @Override
  public void close() {}
}
