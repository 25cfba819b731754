package org.deft4j.deft;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.TorchFile;
import org.deft4j.weights.TorchFileWriter;
import org.deft4j.weights.WeightSource;

/** Adapters whose tensors are called otherwise than the model's layers. */
public final class RenamedTensors {
  private RenamedTensors() {}

  /** Calls a tensor of {@code adapter}, a file, or a folder with its configuration beside it, what {@code names} makes of its name. */
  public static void in(Path adapter, UnaryOperator<String> names) {
    Path file = file(adapter);
    boolean torch = file.toString().endsWith(".bin");
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      try (WeightSource read = torch ? TorchFile.open(file) : SafetensorsFile.open(file)) {
        read.names().forEach(name -> tensors.put(names.apply(name), read.load(name).copy()));
      }
      if (torch) {
        TorchFileWriter.write(file, tensors);
      } else {
        SafetensorsWriter.write(file, tensors, Map.of());
      }
    }
  }

  private static Path file(Path adapter) {
    return List.of("adapter_model.safetensors", "knowledge_injection_state.bin", "para_rank_state.bin").stream().map(adapter::resolve)
        .filter(Files::isRegularFile).findFirst().orElse(adapter);
  }
}
