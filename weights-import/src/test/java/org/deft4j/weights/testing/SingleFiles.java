package org.deft4j.weights.testing;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.DiffusersFolder;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.WeightSource;

/** Single-file checkpoints of the small models. */
public final class SingleFiles {
  private SingleFiles() {}

  /** The one in {@code model/single_file}, or, where there is none, one that is made in {@code temporary}. */
  public static Path of(Path model, Path temporary) {
    Path folder = model.resolve("single_file");
    return Files.isDirectory(folder) ? first(folder, "") : make(model, temporary.resolve(model.getFileName() + ".safetensors"));
  }

  /** The first file in a folder whose name starts so. */
  public static Path first(Path folder, String prefix) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(file -> file.getFileName().toString().startsWith(prefix)).sorted().findFirst().orElseThrow();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Writes a model's weights in F16 under the names of a published map, whose operations are done backwards. The small
   * model's names must be among those of the full-size one, but for shortcuts where its widths change elsewhere.
   */
  public static Path make(Path model, Path file) {
    try (Scope _ = Scope.open(); DiffusersFolder source = DiffusersFolder.open(model)) {
      Map<String, Tensor> parts = new LinkedHashMap<>();
      for (String component : List.of("unet", "vae", "text_encoder", "text_encoder_2")) {
        if (source.components().contains(component)) {
          try (WeightSource weights = source.weights(component)) {
            weights.names().forEach(name -> parts.put(component + "/" + name, weights.load(name).cast(DType.F16)));
          }
        }
      }
      Set<String> left = new TreeSet<>(parts.keySet());
      Map<String, Tensor> stored = new LinkedHashMap<>();
      JsonObject map = publishedMap(left);
      for (String name : map.keys()) {
        List<String> targets = targets(map, name);
        if (!targets.isEmpty() && parts.keySet().containsAll(targets)) {
          stored.put(name, backwards(operation(map, name), targets.stream().map(parts::get).toList()));
          left.removeAll(targets);
          String shortcut = targets.getFirst().replace(".conv1.", ".conv_shortcut.");
          if (name.contains(".conv1.") && left.remove(shortcut)) {
            stored.put(name.replace(".conv1.", ".nin_shortcut."), parts.get(shortcut));
          }
        } else if (targets.isEmpty()) {
          stored.put(name, Tensor.zeros(name.endsWith("position_ids") ? DType.I64 : DType.F16, 1));
        }
      }
      if (!left.isEmpty()) {
        throw new AssertionError("the published map has no names for " + left);
      }
      SafetensorsWriter.write(file, stored, Map.of("format", "pt"));
      return file;
    }
  }

  /** The one that has the most of these names. */
  private static JsonObject publishedMap(Set<String> names) {
    return Fixtures.folders("manifests").stream().map(folder -> Fixtures.json(first(folder, "single_file_map.")))
        .max(Comparator.comparingLong(map -> map.keys().stream().flatMap(name -> targets(map, name).stream())
            .filter(names::contains).count())).orElseThrow();
  }

  private static List<String> targets(JsonObject map, String name) {
    if (!map.isObject(name)) {
      return List.of(map.requireString(name));
    }
    JsonObject entry = map.requireObject(name);
    List<String> names = new ArrayList<>();
    entry.requireObjects("targets").forEach(t -> names.add(entry.requireString("component") + "/" + t.requireString("name")));
    return names;
  }

  private static String operation(JsonObject map, String name) {
    return map.isObject(name) ? map.requireObject(name).requireObjects("targets").getFirst().requireString("op") : "copy";
  }

  private static Tensor backwards(String operation, List<Tensor> tensors) {
    Tensor first = tensors.getFirst();
    return switch (operation) {
      case "copy" -> first;
      case "slice" -> Tensor.concat(0, tensors);
      case "transpose" -> first.t().copy();
      case "squeeze_1x1" -> first.reshape(first.size(0), first.size(1), 1, 1);
      default -> throw new AssertionError(operation);
    };
  }
}
