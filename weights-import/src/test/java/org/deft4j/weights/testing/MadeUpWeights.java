package org.deft4j.weights.testing;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiFunction;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.TensorSpec;

/** Writes the tensors that a manifest lists to a safetensors file, or to several with an index; one is in memory at a time. */
record MadeUpWeights(Map<String, TensorSpec> specs) {
  /** Those of the file {@code manifest}, {@code {name: {"shape": [...]}}}, in its order, all of one type. */
  static MadeUpWeights of(Path manifest, DType dtype) {
    JsonObject names = Fixtures.json(manifest);
    Map<String, TensorSpec> specs = new LinkedHashMap<>();
    for (String name : names.keys()) {
      long[] sizes = names.requireObject(name).requireInts("shape").stream().mapToLong(Integer::longValue).toArray();
      specs.put(name, new TensorSpec(dtype, Shape.of(sizes)));
    }
    return new MadeUpWeights(specs);
  }

  /**
   * Writes them to {@code folder/stem.safetensors}, or to shards as Hugging Face's libraries name them.
   *
   * @param most the most bytes of tensors in a file
   * @param maker makes a tensor, which belongs to the innermost scope
   */
  void write(Path folder, String stem, long most, BiFunction<String, TensorSpec, Tensor> maker) {
    List<Map<String, TensorSpec>> shards = shards(most);
    Map<String, Object> places = new LinkedHashMap<>();
    for (int i = 0; i < shards.size(); i++) {
      String file = shards.size() == 1 ? stem + ".safetensors"
          : String.format(Locale.ROOT, "%s-%05d-of-%05d.safetensors", stem, i + 1, shards.size());
      Map<String, TensorSpec> shard = shards.get(i);
      SafetensorsWriter.write(folder.resolve(file), shard, name -> maker.apply(name, shard.get(name)), Map.of("format", "pt"));
      shard.keySet().forEach(name -> places.put(name, file));
    }
    if (shards.size() > 1) {
      long total = specs.values().stream().mapToLong(TensorSpec::byteCount).sum();
      Json.write(folder.resolve(stem + ".safetensors.index.json"),
          Map.of("metadata", Map.of("total_size", total), "weight_map", places));
    }
  }

  /** A new file wherever the next tensor would not fit (huggingface_hub's rule). */
  private List<Map<String, TensorSpec>> shards(long most) {
    List<Map<String, TensorSpec>> shards = new ArrayList<>();
    long size = 0;
    for (Map.Entry<String, TensorSpec> tensor : specs.entrySet()) {
      long bytes = tensor.getValue().byteCount();
      if (shards.isEmpty() || size + bytes > most) {
        shards.add(new LinkedHashMap<>());
        size = 0;
      }
      shards.getLast().put(tensor.getKey(), tensor.getValue());
      size += bytes;
    }
    return shards;
  }
}
