package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Adapters made into LoRAs: what any adapter changes in a weight is {@code u v} with thin factors, {@code s E R - L S^T W} for
 * DEFT, so that tools that
 * know LoRA alone can use it, on the very model it was made for. Needs the model's weights.
 */
public final class AdapterFold {
  private AdapterFold() {}

  /**
   * One LoRA that changes the weights as {@code sets} do together: each at its strength, from the original weights or in
   * sequence, as set. Exact up to the
   * rounding of its matrices at the sum of their ranks (twice that of a DEFT that injects through another basis than it
   * removes), and the best
   * approximation in the Frobenius norm where {@code rank} is less.
   *
   * @param sets of one model, in the order of attachment
   * @param rank the most that a layer gets
   * @throws org.deft4j.tensor.NumericException if a matrix has a value that is not finite
   */
  public static AdapterSet lora(List<AdapterSet> sets, long rank) {
    Map<String, List<LayerAdapter>> byLayer = new LinkedHashMap<>();
    sets.forEach(set -> set.adapters().forEach((path, adapter) -> byLayer.computeIfAbsent(path, _ -> new ArrayList<>()).add(adapter)));
    Map<String, LayerAdapter> adapters = new LinkedHashMap<>();
    try {
      byLayer.forEach((path, layers) -> adapters.put(path, lora(path, layers, rank)));
    } catch (RuntimeException e) {
      adapters.values().forEach(LayerAdapter::close);
      throw e;
    }
    return set(sets.getFirst().model(), adapters);
  }

  /** The same for pipelines, model by model; of a single adapter what it says about itself goes along, but for what held of its matrices. */
  public static PipelineAdapter pipeline(List<PipelineAdapter> adapters, long rank) {
    Map<String, AdapterSet> sets = new LinkedHashMap<>();
    try {
      PipelineAdapter.byModel(adapters).forEach((name, all) -> sets.put(name, lora(all, rank)));
    } catch (RuntimeException e) {
      sets.values().forEach(AdapterSet::close);
      throw e;
    }
    return new PipelineAdapter(sets, adapters.size() == 1 ? AdapterMetadata.plain(adapters.getFirst().metadata()) : Map.of(), List.of());
  }

  private static LayerAdapter lora(String path, List<LayerAdapter> adapters, long rank) {
    AdaptedLayer layer = adapters.getFirst().layer();
    Tensor weight = layer.weight().value();
    boolean chained = adapters.stream().anyMatch(LayerAdapter::inSequence);
    try (Scope _ = Scope.open()) {
      List<LowRank> deltas = new ArrayList<>();
      Tensor merged = weight;
      for (LayerAdapter adapter : adapters) {
        LowRank delta = adapter.thinDelta(adapter.inSequence() ? merged : weight);
        deltas.add(delta);
        if (chained) {
          merged = merged.cast(delta.u().dtype()).add(delta.matrix().reshape(weight.shape().toArray()));
        }
      }
      return lora(path, layer, LowRank.sum(deltas).truncated(rank));
    }
  }

  /** A LoRA that adds {@code delta} to the weight. */
  static LayerAdapter lora(String path, AdaptedLayer layer, LowRank delta) {
    long[] sizes = layer.weight().shape().toArray();
    sizes[0] = delta.width();
    return new LoraAdapter(path, layer, delta.v().reshape(sizes).copy(), delta.u().copy(), 1);
  }

  /** Those of a model's layers. */
  static AdapterSet set(Module model, Map<String, LayerAdapter> adapters) {
    return new AdapterSet(model, AdapterReader.described(adapters), adapters, Map.of()).setTraining(false);
  }
}
