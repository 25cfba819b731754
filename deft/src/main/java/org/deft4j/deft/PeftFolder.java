package org.deft4j.deft;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;

/**
 * An adapter as PEFT keeps it: a folder with {@code adapter_config.json} and {@code adapter_model.safetensors}, whose
 * tensors are called {@code base_model.model.<layer>.<matrix>}.
 */
public final class PeftFolder {
  /** The file with the tensors. */
  public static final String WEIGHTS = "adapter_model.safetensors";
  /** The file that says what they are. */
  public static final String CONFIG = PeftConfig.FILE;

  private static final String MODEL = "model";
  static final String PREFIX = "base_model.model.";
  private static final List<String> MATRICES = List.of(DeftAdapter.P, DeftAdapter.R, DeftAdapter.GATE, DeftAdapter.MASK,
      LoraAdapter.A, LoraAdapter.B, DoraAdapter.MAGNITUDE);

  private PeftFolder() {}

  /** Whether {@code folder} is one. */
  public static boolean is(Path folder) {
    return Files.isRegularFile(folder.resolve(CONFIG));
  }

  /** What the adapter in {@code folder} is, without its tensors. */
  public static AdapterConfig config(Path folder) {
    return PeftConfig.parse(Json.read(folder.resolve(CONFIG)));
  }

  /**
   * Reads the adapter for {@code model}; not attached yet, and not in training.
   *
   * @throws InputException listing everything that does not fit
   * @throws org.deft4j.weights.FormatException if a file is missing or malformed
   */
  public static AdapterSet read(Path folder, Module model) {
    return read(folder, MODEL, Map.of(MODEL, model), false).sets().get(MODEL);
  }

  /** The same for the model called {@code name} in its pipeline; a partial reading leaves out tensors that belong to none of its layers. */
  static PipelineAdapter read(Path folder, String name, Map<String, Module> pipeline, boolean partial) {
    JsonObject json = Json.read(folder.resolve(CONFIG));
    AdapterConfig config = PeftConfig.parse(json);
    Path weights = folder.resolve(WEIGHTS);
    AdapterReader reader = new AdapterReader(weights.toString(), Map.of(name, pipeline.get(name)), config, partial,
        Strangers.byPath(Set.of(name), pipeline, "; a folder called %s is read for that part"));
    try (SafetensorsFile file = SafetensorsFile.open(weights)) {
      Map<String, AdapterSet> sets = reader.read(file, key -> place(name, key), true,
          (site, rank) -> scale(json, config, site.layer(), rank), json.asMap());
      return new PipelineAdapter(sets, file.metadata(), reader.notices());
    }
  }

  /** What the adapter in {@code folder} is, without its model. */
  static AdapterSummary summary(Path folder) {
    JsonObject json = Json.read(folder.resolve(CONFIG));
    AdapterConfig config = PeftConfig.parse(json);
    try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(WEIGHTS))) {
      return AdapterSummary.of(config, file, key -> place("", key), (site, rank) -> scale(json, config, site.layer(), rank), List.of());
    }
  }

  private static double scale(JsonObject json, AdapterConfig config, String layer, long rank) {
    return config.method().isLora() ? PeftConfig.loraScale(json, "", layer, rank) : config.scaleFor(rank);
  }

  /**
   * The model of {@code models} that has most of the layers in {@code folder}; the first of them where none has any.
   *
   * @throws InputException if two have as many, as the text encoders of SDXL may
   */
  static String fitting(Path folder, Map<String, Module> models) {
    Map<String, Long> counts = new LinkedHashMap<>();
    try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(WEIGHTS))) {
      models.forEach((model, module) -> {
        Map<String, AdaptedLayer> layers = Targets.layers(module);
        counts.put(model, file.names().stream().filter(name -> fits(file, name, layers)).count());
      });
    }
    long most = Collections.max(counts.values());
    List<String> fitting = counts.keySet().stream().filter(model -> counts.get(model) == most).toList();
    if (most > 0 && fitting.size() > 1) {
      throw new InputException("adapter " + folder + " fits " + String.join(" and ", fitting)
          + " alike; give its folder the name of the one it is for");
    }
    return fitting.getFirst();
  }

  /** Whether a layer of such a name has as many inputs, or outputs, as its matrix. */
  private static boolean fits(SafetensorsFile file, String name, Map<String, AdaptedLayer> layers) {
    AdapterReader.Place place = place(MODEL, name);
    AdaptedLayer layer = place == null ? null : layers.get(place.site().layer());
    Shape shape = file.shape(name);
    if (layer == null || shape.rank() < 2) {
      return false;
    }
    int side = Set.of(LoraAdapter.A, DeftAdapter.R).contains(place.matrix()) ? 1 : 0;
    return shape.size(side) == layer.weight().shape().size(side);
  }

  private static AdapterReader.Place place(String model, String name) {
    // A state dict that was saved as it is still has the adapter's name in it.
    String plain = name.replace(".default", "");
    for (String matrix : MATRICES) {
      if (plain.startsWith(PREFIX) && plain.endsWith("." + matrix)) {
        return new AdapterReader.Place(model, plain.substring(PREFIX.length(), plain.length() - matrix.length() - 1), matrix);
      }
    }
    return null;
  }

  /**
   * Writes the adapter to {@code folder}, which exists, in the type it is trained in. What was read keeps its fields, those unknown to us too.
   *
   * @param baseModel name of the model it belongs to, or null
   */
  public static void write(Path folder, AdapterSet set, String baseModel) {
    write(folder, set, tensor -> Finite.require(tensor, String.valueOf(tensor)), baseModel, Map.of());
  }

  /**
   * The same with tensors of another type, F16 or BF16.
   *
   * @param metadata what else the header of the tensors' file says
   */
  static void write(Path folder, AdapterSet set, DType type, String baseModel, Map<String, String> metadata) {
    write(folder, set, tensor -> Finite.cast(tensor, type, String.valueOf(tensor)), baseModel, metadata);
  }

  private static void write(Path folder, AdapterSet set, UnaryOperator<Tensor> typed, String baseModel, Map<String, String> metadata) {
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      set.adapters().forEach((layer, adapter) -> adapter.tensors().forEach((matrix, tensor) -> tensors.put(PREFIX + layer + "." + matrix,
          typed.apply(stored(adapter, matrix, tensor)))));
      Map<String, String> header = new LinkedHashMap<>(metadata);
      header.put("format", "pt");
      SafetensorsWriter.write(folder.resolve(WEIGHTS), tensors, header);
      Json.write(folder.resolve(CONFIG), set.peftFields().isEmpty() ? PeftConfig.write(set, baseModel) : set.peftFields());
    }
  }

  private static Tensor stored(LayerAdapter adapter, String matrix, Tensor tensor) {
    return switch (matrix) {
      case LoraAdapter.B -> LoraAdapter.stored(adapter.layer(), tensor);
      case DoraAdapter.MAGNITUDE -> DoraAdapter.peft(adapter.layer(), tensor);
      default -> tensor;
    };
  }
}
