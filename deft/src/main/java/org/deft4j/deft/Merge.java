package org.deft4j.deft;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Adapter;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Adapters folded into the weights: {@code W' = W + sum of strength * delta W}, every delta taken from the original W, or, for
 * a set that is {@linkplain AdapterSet#setInSequence in sequence}, from what the sets before it made; worked out in float32 (float64
 * over a float64 weight) and rounded once to the weight's type. The original weights are kept, so that {@link #unmerge} brings back the
 * very bits: a projection cannot be undone from W'.
 *
 * <p>The sets keep their places while they are merged, and act again, in the same order, once they are out; strength and switch, if set
 * meanwhile, show then.
 *
 * <p>An adapter that stays attached has W' to correct where it had W. In sequence after all that are merged, that is what it corrected
 * before, so the answers stay; any other, and a DoRA, whose lengths are those of the layer's own weight, would answer otherwise: such a
 * merge, or unmerge, is refused.
 *
 * <p>Merges on one layer are a stack: W' of the first is W of the second, so the last comes off first, and the others are refused until
 * then. {@link #close} keeps W' for good, and with it what it was made from: no merge below comes off after that.
 */
public final class Merge implements AutoCloseable {
  /** What a layer's weight was, and the {@link Tensor#id} of what took its place. */
  private record Exchange(Tensor original, long merged) {}

  private final List<AdapterSet> sets;
  private final Map<AdaptedLayer, List<LayerAdapter>> layers;
  private final Map<AdaptedLayer, Exchange> exchanges = new LinkedHashMap<>();
  private boolean open = true;

  private Merge(List<AdapterSet> sets) {
    this.sets = sets;
    this.layers = byLayer(sets);
  }

  /**
   * Folds {@code sets} into the weights of their model, in the order of attachment and after those in the given one. What is switched
   * off, or has strength 0, changes nothing.
   *
   * @throws InputException naming the layer, if an adapter that stays attached would answer otherwise; or if a set would be in twice
   * @throws NumericException naming the layer, if an adapter or a merged weight is not finite; nothing is changed in either case
   */
  public static Merge into(AdapterSet... sets) {
    List<AdapterSet> all = List.of(sets);
    if (all.stream().distinct().count() < all.size() || all.stream().anyMatch(AdapterSet::isMerged)) {
      throw new InputException("merge: a set that is given twice, or is merged already, would be in the weights twice; unmerge it first");
    }
    Merge merge = new Merge(all);
    merge.layers.forEach((layer, adapters) -> requireSameAnswers("merge", layer, adapters));
    try {
      merge.fold();
    } catch (RuntimeException e) {
      merge.restore();
      throw e;
    }
    all.forEach(set -> set.setMerged(true));
    return merge;
  }

  /** The adapters of every layer that they change, in the order that they act in. */
  private static Map<AdaptedLayer, List<LayerAdapter>> byLayer(List<AdapterSet> sets) {
    Map<AdaptedLayer, List<LayerAdapter>> byLayer = new LinkedHashMap<>();
    for (AdapterSet set : sets) {
      set.adapters().values().forEach(adapter -> byLayer.computeIfAbsent(adapter.layer(), _ -> new ArrayList<>()).add(adapter));
    }
    byLayer.values().removeIf(adapters -> adapters.stream().noneMatch(LayerAdapter::isOn));
    byLayer.forEach((layer, adapters) -> {
      List<Adapter> attached = layer.adapters();
      adapters.sort(Comparator.comparingInt(adapter -> attached.contains(adapter) ? attached.indexOf(adapter) : attached.size()));
    });
    return byLayer;
  }

  /** Refuses adapters on {@code layer}, besides {@code merged}, that would not answer the same with another weight below them. */
  private static void requireSameAnswers(String operation, AdaptedLayer layer, List<LayerAdapter> merged) {
    List<Adapter> attached = layer.adapters();
    int last = merged.stream().mapToInt(attached::indexOf).max().orElseThrow();
    for (Adapter other : attached) {
      boolean inWeight = merged.contains(other) || (other instanceof LayerAdapter adapter && adapter.isMerged());
      String why = inWeight ? null : whyOther(other, attached.indexOf(other) > last);
      if (why != null) {
        throw new InputException(operation + ": layer " + merged.getFirst().path() + " has another set attached, which would answer "
            + "otherwise: " + why + "; merge both sets together, or detach the other one" + (other.inSequence() ? ""
                : ", or set it in sequence, attached after those merged"));
      }
    }
  }

  /** Why {@code adapter} would answer otherwise with another weight below it; null if it would not. */
  private static String whyOther(Adapter adapter, boolean follows) {
    if (!adapter.inSequence()) {
      return "it is summed, a correction of the layer's own weight";
    }
    if (!follows) {
      return "it comes before what is merged";
    }
    return adapter instanceof DoraAdapter ? "it is a DoRA, which has the lengths of the layer's own weight" : null;
  }

  private void fold() {
    layers.forEach((layer, adapters) -> {
      Tensor weight = layer.weight().value();
      try (Scope _ = Scope.open()) {
        Tensor merged = merged(weight, adapters);
        Tensor original = weight.share();
        layer.weight().set(Scope.release(merged));
        exchanges.put(layer, new Exchange(original, layer.weight().value().id()));
      }
    });
  }

  private static Tensor merged(Tensor weight, List<LayerAdapter> adapters) {
    Tensor sum = weight.cast(weight.dtype() == DType.F64 ? DType.F64 : DType.F32);
    for (LayerAdapter adapter : adapters) {
      if (adapter.isOn()) {
        adapter.tensors().forEach((name, value) -> requireFinite(value, adapter.path() + "." + name + " of the adapter"));
        sum = sum.add(adapter.weightDelta(adapter.inSequence() ? sum : weight));
      }
    }
    Tensor result = sum.cast(weight.dtype());
    requireFinite(result, "the merged weight of " + adapters.getFirst().path() + " in " + weight.dtype());
    return result;
  }

  private static void requireFinite(Tensor values, String what) {
    if (!Finite.holds(values)) {
      throw new NumericException("merge: " + what + " has a value that is not finite; nothing was changed");
    }
  }

  /**
   * Brings back the weights as they were, to the bit, and has the sets act again as they did.
   *
   * @throws IllegalStateException if it is unmerged or closed already, or naming the layer, if it is not the last one there; nothing is
   *     changed then
   * @throws InputException naming the layer, if an adapter that is attached now would answer otherwise; nothing is changed then
   */
  public void unmerge() {
    if (!open) {
      throw new IllegalStateException("unmerge: this merge is unmerged already, or was closed, which keeps the merged weights for good");
    }
    exchanges.forEach((layer, exchange) -> {
      if (layer.weight().value().id() != exchange.merged) {
        throw new IllegalStateException("unmerge: layer " + layers.get(layer).getFirst().path() + " has another weight than this merge "
            + "gave it; what was merged since must be unmerged first, the last one first (if that was closed, or a weight was loaded, this "
            + "merge can only be closed too)");
      }
      requireSameAnswers("unmerge", layer, layers.get(layer));
    });
    restore();
    end();
  }

  private void restore() {
    exchanges.forEach((layer, exchange) -> layer.weight().set(exchange.original));
    exchanges.clear();
  }

  private void end() {
    sets.forEach(set -> set.setMerged(false));
    open = false;
  }

  /** Keeps the merged weights, frees the original ones and detaches the sets, unless they are out already. */
  @Override
  public void close() {
    if (open) {
      exchanges.values().forEach(exchange -> exchange.original.close());
      exchanges.clear();
      end();
      sets.forEach(AdapterSet::detach);
    }
  }
}
