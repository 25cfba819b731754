package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Adapters folded into the weights: {@code W' = W + sum of strength * delta W}, every delta taken from the original W, or, for
 * a set that is
 * {@linkplain AdapterSet#setInSequence in sequence}, from what the sets before it made; worked out in float32 (float64 over a float64
 * weight) and rounded once to the weight's type. The original weights are kept, so that {@link #unmerge} brings back the very
 * bits: a projection cannot be undone from W'.
 */
public final class Merge implements AutoCloseable {
  private final Map<AdaptedLayer, Tensor> originals = new LinkedHashMap<>();
  private final List<AdapterSet> sets;
  private final List<AdapterSet> wereAttached;

  private Merge(List<AdapterSet> sets) {
    this.sets = List.copyOf(sets);
    this.wereAttached = sets.stream().filter(AdapterSet::isAttached).toList();
  }

  /**
   * Folds {@code sets} into the weights of their model and detaches them.
   *
   * @throws NumericException naming the layer, if an adapter or a merged weight is not finite; nothing is changed then
   */
  public static Merge into(AdapterSet... sets) {
    Merge merge = new Merge(List.of(sets));
    try {
      merge.fold();
    } catch (RuntimeException e) {
      merge.restore();
      throw e;
    }
    merge.sets.forEach(AdapterSet::detach);
    return merge;
  }

  private void fold() {
    for (Map.Entry<String, List<LayerAdapter>> entry : byLayer().entrySet()) {
      AdaptedLayer layer = entry.getValue().getFirst().layer();
      Tensor weight = layer.weight().value();
      try (Scope _ = Scope.open()) {
        Tensor merged = merged(entry.getKey(), weight, entry.getValue());
        originals.put(layer, weight.share());
        layer.weight().set(Scope.release(merged));
      }
    }
  }

  private Map<String, List<LayerAdapter>> byLayer() {
    Map<String, List<LayerAdapter>> byLayer = new LinkedHashMap<>();
    for (AdapterSet set : sets) {
      set.adapters().forEach((path, adapter) -> byLayer.computeIfAbsent(path, p -> new ArrayList<>()).add(adapter));
    }
    return byLayer;
  }

  private static Tensor merged(String path, Tensor weight, List<LayerAdapter> adapters) {
    Tensor sum = weight.cast(weight.dtype() == DType.F64 ? DType.F64 : DType.F32);
    for (LayerAdapter adapter : adapters) {
      adapter.tensors().forEach((name, value) -> requireFinite(value, path + "." + name + " of the adapter"));
      sum = sum.add(adapter.weightDelta(adapter.inSequence() ? sum : weight));
    }
    Tensor result = sum.cast(weight.dtype());
    requireFinite(result.cast(sum.dtype()), "the merged weight of " + path + " in " + weight.dtype());
    return result;
  }

  /** Only finite values give zero when multiplied by zero; their sum is then zero too. */
  private static void requireFinite(Tensor values, String what) {
    try (Scope _ = Scope.open()) {
      if (values.mul(0).sum().item() != 0) {
        throw new NumericException("merge: " + what + " has a value that is not finite; nothing was changed");
      }
    }
  }

  /** Brings back the weights as they were, to the bit, and attaches the sets that were attached. */
  public void unmerge() {
    restore();
    wereAttached.forEach(AdapterSet::attach);
  }

  private void restore() {
    originals.forEach((layer, original) -> layer.weight().set(original));
    originals.clear();
  }

  /** Keeps the merged weights and frees the original ones. */
  @Override
  public void close() {
    originals.values().forEach(Tensor::close);
    originals.clear();
  }
}
