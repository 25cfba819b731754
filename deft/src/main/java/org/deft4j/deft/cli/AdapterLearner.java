package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterFormat;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.PeftFolder;
import org.deft4j.deft.PipelineAdapter;
import org.deft4j.deft.Targets;
import org.deft4j.deft.Trainable;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;

/** An adapter of the denoiser learns, and of the text encoders where that is asked for; it is written as PEFT does, a folder for each. */
record AdapterLearner(DiffusionModel model, PipelineAdapter adapter) implements Learner {
  /** The projections of every attention layer of a text encoder: those that diffusers' trainers adapt. */
  private static final List<String> TEXT_ATTENTION = List.of("q_proj", "k_proj", "v_proj", "out_proj");

  /** A new adapter, attached. */
  static AdapterLearner begin(DiffusionModel model, AdapterConfig config, TrainingRequest request, RandomSource random) {
    Map<String, AdapterSet> sets = new LinkedHashMap<>();
    try {
      sets.put(model.adaptable().firstEntry().getKey(), AdapterSet.create(model.denoiser(),
          config.with(Targets.suffixes(request.targetsFor(model))), random));
      if (request.textEncoders() && model instanceof StableDiffusion stable) {
        stable.textEncoders().forEach((part, encoder) -> sets.put(part, AdapterSet.create(encoder,
            config.with(targets(stable.usedLayers(encoder), encoder.config().layers())), random)));
      }
    } catch (RuntimeException e) {
      sets.values().forEach(AdapterSet::close);
      throw e;
    }
    return new AdapterLearner(model, new PipelineAdapter(sets, Map.of(), List.of()).attach());
  }

  /** Layers that take no part would never learn. */
  private static Targets targets(int used, int layers) {
    Targets all = Targets.suffixes(TEXT_ATTENTION);
    if (used == layers) {
      return all;
    }
    String unused = IntStream.range(used, layers).mapToObj(String::valueOf).collect(Collectors.joining("|", "(", ")"));
    return all.without(new Targets.Expression(Pattern.compile(".*\\.layers\\." + unused + "\\..*")));
  }

  @Override
  public Trainable trainable() {
    return adapter;
  }

  private long layers() {
    return adapter.sets().values().stream().mapToLong(set -> set.adapters().size()).sum();
  }

  private long parameters() {
    return adapter.sets().values().stream().mapToLong(AdapterSet::parameterCount).sum();
  }

  @Override
  public String words() {
    return String.format(Locale.ROOT, "%,d parameters in %d layers", parameters(), layers());
  }

  @Override
  public Map<String, Object> description() {
    AdapterConfig config = adapter.sets().values().iterator().next().config();
    Map<String, Object> description = new LinkedHashMap<>();
    description.put("method", config.method().label());
    description.put("decomposition", config.decomposition() == null ? null : config.decomposition().method());
    description.put("rank", config.rank());
    description.put("alpha", config.alpha());
    description.put("start", config.start().label());
    if (adapter.sets().size() > 1) {
      description.put("adapts", List.copyOf(adapter.sets().keySet()));
    }
    description.put("layers", layers());
    description.put("parameters", parameters());
    return description;
  }

  @Override
  public void write(Path folder) throws IOException {
    AdapterFormat.PEFT.write(folder, adapter, model.adaptable(), DType.F32, model.name(), model.name());
  }

  /** A matrix at a time, which is less than a step takes. */
  @Override
  public void rehearseWriting() {}

  @Override
  public Set<String> files() {
    return adapter.sets().size() == 1 ? Set.of(PeftFolder.CONFIG, PeftFolder.WEIGHTS) : adapter.sets().keySet();
  }

  @Override
  public void close() {
    adapter.close();
  }
}
