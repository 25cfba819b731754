package org.deft4j.deft;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Module;
import org.deft4j.nn.ParameterGroup;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * One adapter of a whole model: a {@link LayerAdapter} for each adapted layer. Several sets may be attached to one model;
 * each acts on the original product, and what they add is summed, unless a set is {@linkplain #setInSequence in sequence}. Their
 * order is that of attachment. {@link #setEnabled} switches a set off and on again where it stands: with the same sets on, the answers
 * are the same, to the bit. {@link #detach} gives its place up.
 *
 * <pre>{@code
 * try (AdapterSet deft = AdapterSet.create(unet, AdapterConfig.deft(8), new TorchRandom(0))) {
 *   deft.attach();                                    // the model now answers with the adapter
 *   ... train deft.trainable() ...
 *   PeftFolder.write(folder, deft, "my-model");
 * }
 * }</pre>
 */
public final class AdapterSet implements Trainable, AutoCloseable {
  /** Numbers of a P that {@link #prepare} counts as small. */
  private static final long SMALL = 1 << 15;

  private final Module model;
  private final AdapterConfig config;
  private final Map<String, LayerAdapter> adapters;
  private final Map<String, Object> peftFields;
  private final DType storedType;
  private boolean attached;
  private boolean enabled = true;
  private boolean merged;

  AdapterSet(Module model, AdapterConfig config, Map<String, LayerAdapter> adapters, Map<String, Object> peftFields) {
    this(model, config, adapters, peftFields, DType.F32);
  }

  AdapterSet(Module model, AdapterConfig config, Map<String, LayerAdapter> adapters, Map<String, Object> peftFields, DType storedType) {
    this.model = model;
    this.config = config;
    this.adapters = Collections.unmodifiableMap(new LinkedHashMap<>(adapters));
    this.peftFields = Collections.unmodifiableMap(new LinkedHashMap<>(peftFields));
    this.storedType = storedType;
  }

  /**
   * A new set with a starting value for every targeted layer of {@code model}, whose weights are loaded. Draws from
   * {@code random} in the model's order of layers. Not attached yet.
   *
   * @throws InputException if a target matches nothing, or the method cannot start as asked
   */
  public static AdapterSet create(Module model, AdapterConfig config, RandomSource random) {
    Map<String, AdaptedLayer> layers = config.targets().select(model);
    Map<String, LayerAdapter> adapters = new LinkedHashMap<>();
    try {
      layers.forEach((path, layer) -> adapters.put(path, AdapterStart.create(path, layer, config, random)));
    } catch (RuntimeException e) {
      adapters.values().forEach(LayerAdapter::close);
      throw e;
    }
    AdapterSet set = new AdapterSet(model, config, adapters, Map.of());
    set.startPass(random);
    return set;
  }

  /** The model it belongs to. */
  public Module model() {
    return model;
  }

  /** What it is. */
  public AdapterConfig config() {
    return config;
  }

  /** The adapter of each layer by the layer's path, in the model's order. */
  public Map<String, LayerAdapter> adapters() {
    return adapters;
  }

  /** The {@code adapter_config.json} that it was read from, with what this program gives no meaning to, kept for writing; else empty. */
  Map<String, Object> peftFields() {
    return peftFields;
  }

  /** F16 or BF16 where the set was read from a file of such tensors, else F32. */
  public DType storedType() {
    return storedType;
  }

  @Override
  public String word() {
    return "matrices";
  }

  /** Every trainable matrix, layer by layer. */
  @Override
  public List<Tensor> trainable() {
    return adapters.values().stream().map(LayerAdapter::trainable).map(Map::values).flatMap(Collection::stream).toList();
  }

  /** How many numbers are trained. */
  public long parameterCount() {
    return trainable().stream().mapToLong(Tensor::elementCount).sum();
  }

  /**
   * The trainable matrices for an optimizer. P of DEFT learns at {@code projectionFactor} times the rate of R (0.1 in the
   * paper's code); its gate, PaRa's P, and LoRA's A and B, learn at the full rate.
   */
  @Override
  public List<ParameterGroup> groups(double projectionFactor, double weightDecay) {
    if (config.method() != Method.DEFT) {
      return List.of(new ParameterGroup(config.method().label(), trainable(), 1, weightDecay));
    }
    List<ParameterGroup> groups = new ArrayList<>();
    groups.add(new ParameterGroup("R", trainable(false), 1, weightDecay));
    if (config.decomposition().trainsProjection()) {
      groups.add(new ParameterGroup("P", trainable(true), projectionFactor, weightDecay));
    }
    return groups;
  }

  private List<Tensor> trainable(boolean projections) {
    List<Tensor> found = new ArrayList<>();
    adapters.values().forEach(adapter -> adapter.trainable().forEach((name, tensor) -> {
      if (name.equals(DeftAdapter.P) == projections) {
        found.add(tensor);
      }
    }));
    return found;
  }

  /** Lets the model's layers answer with their adapters, after those of the sets that are attached. */
  public AdapterSet attach() {
    if (!attached) {
      adapters.values().forEach(adapter -> adapter.layer().attach(adapter));
      attached = true;
    }
    return this;
  }

  /** Takes the adapters from the model's layers; attached again, the set comes last. */
  public AdapterSet detach() {
    if (attached) {
      adapters.values().forEach(adapter -> adapter.layer().detach(adapter));
      attached = false;
    }
    return this;
  }

  /** Whether the set has a place among those of the model. */
  public boolean isAttached() {
    return attached;
  }

  /**
   * Switches the set on, as it is at first, or off. It keeps its place: off, the model answers, to the bit, as if the set were not
   * attached, and on again as it did before.
   */
  public AdapterSet setEnabled(boolean enabled) {
    adapters.values().forEach(adapter -> adapter.setEnabled(enabled));
    this.enabled = enabled;
    return this;
  }

  /** Whether the set is switched on. */
  public boolean isEnabled() {
    return enabled;
  }

  /** Whether a {@link Merge} that can come off has the set in the weights; until it does, the layers answer without the adapters. */
  public boolean isMerged() {
    return merged;
  }

  /** Sets {@link #isMerged}. */
  void setMerged(boolean merged) {
    adapters.values().forEach(adapter -> adapter.setMerged(merged));
    this.merged = merged;
  }

  /** Sets how strongly all adapters of the set act: 1 as trained, 0 not at all, which is the same as {@linkplain #setEnabled off}. */
  public AdapterSet setStrength(double strength) {
    if (!Double.isFinite(strength)) {
      throw new InputException("adapter strength " + strength + ": a finite number is needed");
    }
    adapters.values().forEach(adapter -> adapter.setStrength(strength));
    return this;
  }

  /**
   * Sets whether the set corrects what the sets attached before it made of each layer, as if they had been merged first, instead of the
   * model's own weights. The official merging script calls this sequential.
   */
  public AdapterSet setInSequence(boolean inSequence) {
    adapters.values().forEach(adapter -> adapter.setInSequence(inSequence));
    return this;
  }

  /**
   * Has dropout, if there is any, drop the elements that {@code seed} says until the next call: once for each forward pass of a
   * training.
   */
  public AdapterSet setDropoutSeed(long seed) {
    SplittableRandom seeds = new SplittableRandom(seed);
    adapters.values().forEach(adapter -> adapter.setDropout(config.extras().dropout(), seeds.nextLong()));
    return this;
  }

  /**
   * The factors of all small P. By itself each would be waited for by one core, with nothing of the decomposition in its caches, and with a
   * {@link org.deft4j.autograd.Checkpoint} twice. A large P would gain nothing and its factors hold memory; its layer makes them when it is
   * asked.
   */
  @Override
  public Prepared prepare() {
    Map<String, LayerAdapter> small = new LinkedHashMap<>();
    adapters.forEach((path, adapter) -> {
      if (adapter.projection() != null && adapter.isTraining() && adapter.acts() && adapter.projection().p().elementCount() <= SMALL) {
        small.put(path, adapter);
      }
    });
    if (small.isEmpty()) {
      return () -> {};
    }
    List<Tensor> held = new ArrayList<>();
    try (Scope _ = Scope.open()) {
      Map<Decomposition, Map<String, Tensor>> alike = new LinkedHashMap<>();
      small.forEach((path, adapter) -> alike.computeIfAbsent(adapter.projection().decomposition(), _ -> new LinkedHashMap<>())
          .put(path, adapter.projection().masked()));
      alike.forEach((decomposition, ps) -> decomposition.factors(ps).forEach((path, factors) -> small.get(path).use(factors.shared(held))));
    }
    return new Prepared() {
      @Override
      public List<Tensor> unused() {
        return small.values().stream().filter(adapter -> !adapter.wasAsked()).map(adapter -> adapter.projection().p()).toList();
      }

      @Override
      public void close() {
        small.values().forEach(adapter -> adapter.use(null));
        held.forEach(Tensor::close);
      }
    };
  }

  /** Gives dropout, if there is any, its seed. */
  @Override
  public void startPass(RandomSource random) {
    if (config.extras().dropout().probability() > 0) {
      setDropoutSeed(random.between(0, Long.MAX_VALUE));
    }
  }

  /** Every adapted layer takes part in every pass. */
  @Override
  public boolean mayLackGradients() {
    return false;
  }

  /** Whether the matrices may change between forward passes; see {@link LayerAdapter}. */
  @Override
  public AdapterSet setTraining(boolean training) {
    adapters.values().forEach(adapter -> adapter.setTraining(training));
    return this;
  }

  /** Detaches the set and frees its matrices. */
  @Override
  public void close() {
    detach();
    adapters.values().forEach(LayerAdapter::close);
  }
}
