package org.deft4j.deft;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Adapter;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * An adapter of one layer: matrices, most of them trained, and the {@link LowRankUpdate} they make. The matrices are float32
 * (float64 over a float64 weight) whatever the frozen weight's type, and belong to the adapter until it is closed.
 *
 * <p>While {@linkplain #setTraining training} the update is worked out at every forward pass, under the tape; the factors of many layers
 * may be worked out together before ({@link AdapterSet#prepare}). Otherwise it is worked out once and kept.
 */
public abstract sealed class LayerAdapter implements Adapter, AutoCloseable permits DeftAdapter, ParaAdapter, LoraAdapter,
    LoraParaAdapter {
  private final String path;
  private final AdaptedLayer layer;
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private final Map<String, Tensor> trainable = new LinkedHashMap<>();
  private double strength = 1;
  private boolean enabled = true;
  private boolean merged;
  private boolean training = true;
  private boolean inSequence;
  private Dropout dropout = Dropout.NONE;
  private long dropoutSeed;
  private Factors given;
  private boolean wasAsked;
  private LowRankUpdate kept;
  /** The weight that {@link #kept} was worked out for: a DoRA's depends on it. */
  private long keptFor;

  /** An adapter of the layer with this path. */
  protected LayerAdapter(String path, AdaptedLayer layer) {
    this.path = path;
    this.layer = layer;
  }

  /** Takes ownership of a trained matrix; {@code name} is its key in a PEFT file. */
  protected final Tensor own(String name, Tensor value) {
    Tensor mine = keep(name, value);
    trainable.put(name, mine);
    return mine;
  }

  /** Takes ownership of a matrix that is not trained. */
  protected final Tensor keep(String name, Tensor value) {
    Tensor mine = Scope.release(value).named(path + "." + name);
    tensors.put(name, mine);
    return mine;
  }

  /** What is injected, R or A, as the gate lets it through: times {@code sigmoid(gate)}; all of it where {@code gate} is null. */
  static Tensor gated(Tensor input, Tensor gate) {
    return gate == null ? input : input.mul(gate.sigmoid());
  }

  /** The path of the adapted layer. */
  public final String path() {
    return path;
  }

  /** The adapted layer. */
  public final AdaptedLayer layer() {
    return layer;
  }

  /** All matrices by their key in a PEFT file ({@code deft_P}, {@code lora_A.weight}, ...), in order. */
  public final Map<String, Tensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /** Those of them that are trained. */
  public final Map<String, Tensor> trainable() {
    return Collections.unmodifiableMap(trainable);
  }

  /** P and its decomposition; null of a LoRA. */
  Projection projection() {
    return null;
  }

  /** L, S and E of {@link #projection}: those that are {@linkplain #use given}, or worked out now. */
  final Factors factors() {
    wasAsked = true;
    return given != null ? given : projection().factors(path);
  }

  /** Whether {@link #factors} was asked since {@link #use}. */
  final boolean wasAsked() {
    return wasAsked;
  }

  /** Has {@link #factors} be these, which stay the caller's; null for what they are by themselves. */
  final void use(Factors factors) {
    given = factors;
    wasAsked = false;
  }

  /** r, the width of the thin matrices. */
  public abstract long rank();

  /** The kernel's matrices for the present values; every operation passes the tape. */
  public abstract LowRankUpdate update();

  /** {@code strength * delta(x, base)}. */
  @Override
  public final Tensor delta(Tensor x, Tensor base) {
    Tensor input = injected(x);
    return current().delta(layer, input, input == x ? base : corrected(input, base), strength);
  }

  @Override
  public final Tensor applied(Tensor x, Tensor base) {
    Tensor input = injected(x);
    Tensor corrected = input == x ? base : corrected(input, base);
    return corrected == base ? current().applied(layer, input, base, strength)
        : base.add(current().delta(layer, input, corrected, strength));
  }

  /** What takes the place of {@code base} in the update of an adapter whose input is, by dropout, not the layer's but {@code input}. */
  private Tensor corrected(Tensor input, Tensor base) {
    return dropsProduct() && !inSequence ? layer.product(input, layer.weight().value()) : base;
  }

  /** Whether dropout of the adapter's own input is also that of the product it corrects, where that is the weight's. */
  boolean dropsProduct() {
    return false;
  }

  @Override
  public final Tensor input(Tensor x) {
    return drops(true) ? dropout.apply(x, dropoutSeed) : x;
  }

  private Tensor injected(Tensor x) {
    return drops(false) ? dropout.apply(x, dropoutSeed) : x;
  }

  private boolean drops(boolean wholeLayer) {
    return training && dropout.probability() > 0 && dropout.wholeLayer() == wholeLayer;
  }

  /** {@code strength * delta W}, in the adapter's type; 0 where it is switched off. */
  public final Tensor weightDelta(Tensor weight) {
    return current().weightDelta(weight, enabled ? strength : 0);
  }

  /**
   * The same as two thin factors.
   *
   * @throws InputException for a DoRA, which is not thin
   */
  final LowRank thinDelta(Tensor weight) {
    LowRankUpdate update = current();
    if (update.rows() != null) {
      throw new InputException("layer " + path + " is adapted by a DoRA, which scales the rows of the weight, as no LoRA does; keep it a "
          + "DoRA (peft, diffusers or kohya, at strength 1 and the rank it has), or merge it into the model, and extract a LoRA from that");
    }
    return update.thinDelta(weight, enabled ? strength : 0);
  }

  private LowRankUpdate current() {
    if (training) {
      return update();
    }
    long weight = layer.weight().value().id();
    if (kept == null || keptFor != weight) {
      forget();
      try (Scope _ = Scope.open()) {
        kept = update().shared();
      }
      keptFor = weight;
    }
    return kept;
  }

  /** Whether the matrices may change between forward passes. */
  final boolean isTraining() {
    return training;
  }

  /** Whether it changes the layer, in its answers or merged into its weight: it is not switched off, nor its strength 0. */
  final boolean isOn() {
    return enabled && strength != 0;
  }

  /** Whether it is on, and not in the weight already. */
  @Override
  public final boolean acts() {
    return isOn() && !merged;
  }

  /** Switches it on or off. */
  final void setEnabled(boolean value) {
    enabled = value;
  }

  /** Whether a {@link Merge} has it in the weight. */
  final boolean isMerged() {
    return merged;
  }

  /** Sets {@link #isMerged}. */
  final void setMerged(boolean value) {
    merged = value;
  }

  /** How strongly the adapter acts: 1 as trained, 0 not at all. */
  public final double strength() {
    return strength;
  }

  /** Sets {@link #strength}. */
  public final void setStrength(double value) {
    strength = value;
  }

  @Override
  public final boolean inSequence() {
    return inSequence;
  }

  /** Sets whether the adapter corrects what those before it made, instead of the layer's own product. */
  public final void setInSequence(boolean value) {
    inSequence = value;
  }

  /** Sets what is dropped while training; the seed says which elements until the next call. */
  final void setDropout(Dropout value, long seed) {
    dropout = value;
    dropoutSeed = seed;
  }

  /** Whether the matrices may change between forward passes; true at first. */
  public final void setTraining(boolean value) {
    training = value;
    forget();
  }

  private void forget() {
    if (kept != null) {
      kept.closeShared();
      kept = null;
    }
  }

  @Override
  public void close() {
    forget();
    List.copyOf(tensors.values()).forEach(Tensor::close);
  }
}
