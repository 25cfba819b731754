package org.deft4j.diffusion;

import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Offload;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.ModelSource;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.Target;
import org.deft4j.weights.WeightSource;
import org.deft4j.weights.Weights;

/** Between the parts of a stored model and the modules that they are. */
public final class ModuleWeights {
  private ModuleWeights() {}

  /**
   * Loads the weights of part {@code part} of {@code source} into {@code module}, each tensor converted as it is read; they are those that an
   * {@link Offload} keeps, where one is open.
   *
   * @param type what matrices and kernels will be held in; null: as they are stored
   * @throws org.deft4j.weights.FormatException if names or shapes differ, listing how, or a weight is beyond the type's range
   */
  public static void load(ModelSource source, String part, Module module, DType type) {
    Map<String, Target> expected = new LinkedHashMap<>();
    module.parameters().forEach((path, parameter) -> expected.put(path, new Target(parameter.shape(), parameter::set)));
    try (Scope _ = Scope.open(); Offload.Loading _ = Offload.weights(); WeightSource stored = source.weights(part)) {
      Weights.load(part, expected, stored, type);
    }
  }

  /** Loads these parameters of {@code module} again, as F32. */
  public static void reload(ModelSource source, String part, Module module, Collection<String> parameters) {
    try (WeightSource stored = source.weights(part)) {
      parameters.forEach(path -> module.parameters().get(path).set(Scope.release(stored.load(path, DType.F32))));
    }
  }

  /** Whether {@code module} has all its weights; buffers it may hold in another form. */
  public static boolean isLoaded(Module module) {
    return module.parameters().values().stream().allMatch(parameter -> parameter.isBuffer() || parameter.isLoaded());
  }

  /** Writes the weights that {@code module} holds to a safetensors file. */
  public static void write(Path file, Module module) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    module.parameters().forEach((name, parameter) -> tensors.put(name, parameter.value()));
    SafetensorsWriter.write(file, tensors, Map.of("format", "pt"));
  }
}
