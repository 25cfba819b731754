package org.deft4j.deft;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.deft4j.nn.ParameterGroup;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * An adapter of a pipeline, as a file holds it: an {@link AdapterSet} for each model that it adapts, by the model's name in
 * diffusers ({@code unet}, {@code text_encoder}, {@code text_encoder_2}).
 */
public final class PipelineAdapter implements Trainable, AutoCloseable {
  private final Map<String, AdapterSet> sets;
  private final Map<String, String> metadata;
  private final List<String> notices;

  /**
   * Takes ownership of the sets.
   *
   * @param metadata what the file says about itself, kept for writing
   * @param notices what the user should know about how it was read
   */
  public PipelineAdapter(Map<String, AdapterSet> sets, Map<String, String> metadata, List<String> notices) {
    this.sets = Collections.unmodifiableMap(new LinkedHashMap<>(sets));
    this.metadata = Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
    this.notices = List.copyOf(notices);
  }

  /** The sets of several adapters, by the model that they adapt, in their order. */
  public static Map<String, List<AdapterSet>> byModel(List<PipelineAdapter> adapters) {
    Map<String, List<AdapterSet>> byModel = new LinkedHashMap<>();
    adapters.forEach(adapter -> adapter.sets().forEach((name, set) -> byModel.computeIfAbsent(name, _ -> new ArrayList<>()).add(set)));
    return byModel;
  }

  /** The set of each adapted model. */
  public Map<String, AdapterSet> sets() {
    return sets;
  }

  /** What the file says about itself. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** The same sets, saying this about themselves; closing either closes them. */
  public PipelineAdapter withMetadata(Map<String, String> other) {
    return new PipelineAdapter(sets, other, notices);
  }

  /** What was left out or assumed while reading, a sentence each. */
  public List<String> notices() {
    return notices;
  }

  /** F16 or BF16 where it was read from a file of such tensors, else F32. */
  public DType storedType() {
    Set<DType> types = sets.values().stream().map(AdapterSet::storedType).collect(Collectors.toSet());
    return types.size() == 1 ? types.iterator().next() : DType.F32;
  }

  @Override
  public String word() {
    return "matrices";
  }

  /** Every trainable matrix, model by model. */
  @Override
  public List<Tensor> trainable() {
    return sets.values().stream().flatMap(set -> set.trainable().stream()).toList();
  }

  /** Those of each set; where there are several, called by their model too. */
  @Override
  public List<ParameterGroup> groups(double projectionFactor, double weightDecay) {
    List<ParameterGroup> groups = new ArrayList<>();
    sets.forEach((model, set) -> set.groups(projectionFactor, weightDecay).forEach(group -> groups.add(sets.size() == 1 ? group
        : new ParameterGroup(model + "." + group.name(), group.parameters(), group.lrFactor(), group.weightDecay()))));
    return groups;
  }

  @Override
  public boolean mayLackGradients() {
    return sets.values().stream().anyMatch(AdapterSet::mayLackGradients);
  }

  @Override
  public PipelineAdapter setTraining(boolean training) {
    sets.values().forEach(set -> set.setTraining(training));
    return this;
  }

  @Override
  public Prepared prepare() {
    List<Prepared> prepared = new ArrayList<>();
    try {
      sets.values().forEach(set -> prepared.add(set.prepare()));
    } catch (RuntimeException e) {
      prepared.forEach(Prepared::close);
      throw e;
    }
    return new Prepared() {
      @Override
      public List<Tensor> unused() {
        return prepared.stream().flatMap(each -> each.unused().stream()).toList();
      }

      @Override
      public void close() {
        prepared.forEach(Prepared::close);
      }
    };
  }

  @Override
  public void startPass(RandomSource random) {
    sets.values().forEach(set -> set.startPass(random));
  }

  /** {@link AdapterSet#attach} for all. */
  public PipelineAdapter attach() {
    sets.values().forEach(AdapterSet::attach);
    return this;
  }

  /** {@link AdapterSet#detach} for all. */
  public PipelineAdapter detach() {
    sets.values().forEach(AdapterSet::detach);
    return this;
  }

  /** {@link AdapterSet#setEnabled} for all. */
  public PipelineAdapter setEnabled(boolean enabled) {
    sets.values().forEach(set -> set.setEnabled(enabled));
    return this;
  }

  /** {@link AdapterSet#setStrength} for all. */
  public PipelineAdapter setStrength(double strength) {
    sets.values().forEach(set -> set.setStrength(strength));
    return this;
  }

  /** {@link AdapterSet#setInSequence} for all. */
  public PipelineAdapter setInSequence(boolean inSequence) {
    sets.values().forEach(set -> set.setInSequence(inSequence));
    return this;
  }

  @Override
  public void close() {
    sets.values().forEach(AdapterSet::close);
  }
}
