package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * A model in several safetensors files and their index, {@code *.safetensors.index.json}: {@code weight_map} says which
 * file holds which tensor. The index is not trusted: its files must lie beside it, each tensor must be where it says and
 * nowhere else, and {@code metadata.total_size} must be the sum of the tensors' bytes.
 */
public final class ShardIndex implements WeightSource {
  private final Path index;
  private final Map<String, SafetensorsFile> shards = new LinkedHashMap<>();
  private final Map<String, SafetensorsFile> places = new LinkedHashMap<>();

  private ShardIndex(Path index) {
    this.index = index;
  }

  /** Opens the index and every file it names. */
  public static ShardIndex open(Path index) {
    ShardIndex opened = new ShardIndex(index);
    boolean done = false;
    try {
      opened.read(Json.read(index));
      done = true;
      return opened;
    } finally {
      if (!done) {
        opened.close();
      }
    }
  }

  private void read(JsonObject json) {
    JsonObject map = json.requireObject("weight_map");
    Set<String> files = new LinkedHashSet<>();
    map.keys().forEach(tensor -> files.add(map.requireString(tensor)));
    for (String file : files) {
      shards.put(file, SafetensorsFile.open(shard(file)));
    }
    long total = 0;
    for (Map.Entry<String, SafetensorsFile> shard : shards.entrySet()) {
      for (Map.Entry<String, TensorEntry> tensor : shard.getValue().entries().entrySet()) {
        place(map, shard.getKey(), tensor.getKey());
        total += tensor.getValue().byteCount();
      }
    }
    for (String tensor : map.keys()) {
      if (!places.containsKey(tensor)) {
        throw refuse("weight_map: tensor " + Text.quote(tensor) + " is not in " + Text.quote(map.requireString(tensor)));
      }
    }
    JsonObject metadata = json.object("metadata");
    if (metadata != null && metadata.has("total_size") && metadata.requireNumber("total_size") != total) {
      throw refuse("metadata.total_size is " + metadata.get("total_size") + ", the tensors have " + total + " bytes");
    }
  }

  private void place(JsonObject map, String file, String tensor) {
    if (!map.has(tensor)) {
      throw refuse("weight_map does not name tensor " + Text.quote(tensor) + ", which is in " + Text.quote(file));
    }
    String mapped = map.requireString(tensor);
    if (!mapped.equals(file)) {
      throw refuse("tensor " + Text.quote(tensor) + " is in " + Text.quote(file) + ", weight_map says "
          + Text.quote(mapped));
    }
    places.put(tensor, shards.get(file));
  }

  /** The file of an entry: beside the index, or, where that is a link in a Hugging Face cache, among that cache's blobs. */
  private Path shard(String file) {
    if (file.isEmpty() || file.equals(".") || file.equals("..") || file.chars().anyMatch(c -> c == '/' || c == '\\' || c == 0)) {
      throw refuse("weight_map: " + Text.quote(file) + " is not the name of a file beside the index");
    }
    Path folder = index.toAbsolutePath().getParent();
    Path path = folder.resolve(file);
    if (!Files.exists(path)) {
      throw refuse("weight_map: the file " + Text.quote(file) + " is missing");
    }
    try {
      Path real = path.toRealPath();
      if (!real.startsWith(folder.toRealPath()) && !HuggingFaceCache.isBlobOf(folder.toRealPath(), real)) {
        throw refuse("weight_map: " + Text.quote(file) + " is a link to " + real + ", outside the folder");
      }
      return path;
    } catch (IOException e) {
      throw FormatException.unreadable(path, e);
    }
  }

  private FormatException refuse(String problem) {
    return FormatException.of(index, problem);
  }

  private SafetensorsFile place(String name) {
    SafetensorsFile file = places.get(name);
    if (file == null) {
      throw refuse("has no tensor " + Text.quote(name));
    }
    return file;
  }

  @Override
  public String source() {
    return index.toString();
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(places.keySet());
  }

  @Override
  public DType dtype(String name) {
    return place(name).dtype(name);
  }

  @Override
  public Shape shape(String name) {
    return place(name).shape(name);
  }

  @Override
  public Tensor load(String name, DType type) {
    return place(name).load(name, type);
  }

  @Override
  public Map<String, String> metadata() {
    Map<String, String> all = new LinkedHashMap<>();
    shards.values().forEach(shard -> all.putAll(shard.metadata()));
    return all;
  }

  @Override
  public void close() {
    shards.values().forEach(SafetensorsFile::close);
  }
}
