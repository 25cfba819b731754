package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.PeftFolder;
import org.deft4j.deft.Targets;
import org.deft4j.deft.Trainable;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.tensor.RandomSource;

/** An adapter learns; it is written as PEFT does. */
record AdapterLearner(DiffusionModel model, AdapterSet adapter) implements Learner {
  /** A new adapter, attached. */
  static AdapterLearner begin(DiffusionModel model, AdapterConfig config, List<String> targets, RandomSource random) {
    return new AdapterLearner(model, AdapterSet.create(model.denoiser(), config.with(Targets.suffixes(targets)), random).attach());
  }

  @Override
  public Trainable trainable() {
    return adapter;
  }

  @Override
  public String words() {
    return String.format(Locale.ROOT, "%,d parameters in %d layers", adapter.parameterCount(), adapter.adapters().size());
  }

  @Override
  public Map<String, Object> description() {
    AdapterConfig config = adapter.config();
    Map<String, Object> description = new LinkedHashMap<>();
    description.put("method", config.method().label());
    description.put("decomposition", config.decomposition() == null ? null : config.decomposition().method());
    description.put("rank", config.rank());
    description.put("alpha", config.alpha());
    description.put("start", config.start().label());
    description.put("layers", adapter.adapters().size());
    description.put("parameters", adapter.parameterCount());
    return description;
  }

  @Override
  public void write(Path folder) {
    PeftFolder.write(folder, adapter, model.name());
  }

  @Override
  public Set<String> files() {
    return Set.of(PeftFolder.CONFIG, PeftFolder.WEIGHTS);
  }

  @Override
  public void close() {
    adapter.close();
  }
}
