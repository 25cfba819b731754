package org.deft4j.deft;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deft4j.nn.Adapter;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * An adapter of one linear layer: trainable matrices, and the {@link LowRankUpdate} they make. The matrices are float32
 * (float64 over a float64 weight) whatever the frozen weight's type, and belong to the adapter until it is closed.
 *
 * <p>While {@linkplain #setTraining training} the update is worked out at every forward pass, under the tape. Otherwise it
 * is worked out once and kept.
 */
public abstract sealed class LayerAdapter implements Adapter, AutoCloseable permits DeftAdapter, ParaAdapter,
    LoraAdapter {
  private final String layer;
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private double strength = 1;
  private boolean training = true;
  private LowRankUpdate kept;

  /** An adapter of the layer with this path. */
  protected LayerAdapter(String layer) {
    this.layer = layer;
  }

  /** Takes ownership of a trainable matrix; {@code name} is its key in a PEFT file. */
  protected final Tensor own(String name, Tensor value) {
    Tensor mine = Scope.release(value).named(layer + "." + name);
    tensors.put(name, mine);
    return mine;
  }

  /** The path of the adapted layer. */
  public final String layer() {
    return layer;
  }

  /** The trainable matrices by their key in a PEFT file ({@code deft_P}, {@code lora_A.weight}, ...), in order. */
  public final Map<String, Tensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /** r, the width of the thin matrices. */
  public abstract long rank();

  /** The kernel's matrices for the present values; every operation passes the tape. */
  public abstract LowRankUpdate update();

  /** {@code strength * delta(x, y0)}. */
  @Override
  public final Tensor delta(Tensor x, Tensor y0) {
    return current().delta(x, y0, strength);
  }

  @Override
  public final Tensor applied(Tensor x, Tensor y0) {
    return current().applied(x, y0, strength);
  }

  /** {@code strength * delta W}, in the adapter's type. */
  public final Tensor weightDelta(Tensor weight) {
    return current().weightDelta(weight, strength);
  }

  private LowRankUpdate current() {
    if (training) {
      return update();
    }
    if (kept == null) {
      try (Scope _ = Scope.open()) {
        kept = update().shared();
      }
    }
    return kept;
  }

  /** How strongly the adapter acts: 1 as trained, 0 not at all. */
  public final double strength() {
    return strength;
  }

  /** Sets {@link #strength}. */
  public final void setStrength(double value) {
    strength = value;
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
    tensors.values().forEach(Tensor::close);
  }
}
