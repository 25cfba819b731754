package org.deft4j.deft;

import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleBiFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.WeightSource;

/**
 * LoRA as diffusers keeps it, {@code pytorch_lora_weights.safetensors}, in any of its three namings:
 * {@code unet.<layer>.lora_A.weight}, {@code unet.<layer>.lora.down.weight}, and for attention
 * {@code unet.<attention>.processor.to_q_lora.down.weight}. Without an alpha in the file the scale is 1.
 */
public final class DiffusersLora {
  /** The file's usual name. */
  public static final String FILE = "pytorch_lora_weights.safetensors";

  private static final String PREFIX = "unet.";
  private static final String ALPHA = ".alpha";
  private static final String CONFIG = "lora_adapter_metadata";
  private static final Pattern PLAIN = Pattern.compile("(.+)\\.(?:lora_A|lora\\.down|lora_B|lora\\.up)\\.weight");
  private static final Pattern PROCESSOR = Pattern.compile("(.+)\\.processor\\.(to_q|to_k|to_v|to_out)_lora\\.(?:down|up)\\.weight");

  private DiffusersLora() {}

  /**
   * Reads the adapter for {@code model}; not attached yet, and not in training.
   *
   * @throws InputException listing everything that does not fit
   * @throws org.deft4j.weights.FormatException if the file is missing or malformed
   */
  public static AdapterSet read(Path path, Module model) {
    try (SafetensorsFile file = SafetensorsFile.open(path); WeightSource tensors = new WithoutAlphas(file)) {
      AdapterReader reader = new AdapterReader(path.toString(), model, AdapterConfig.lora(1));
      Map<String, LayerAdapter> adapters = reader.read(tensors, DiffusersLora::place, false, scale(path, file));
      int rank = Math.toIntExact(adapters.values().stream().mapToLong(LayerAdapter::rank).max().orElseThrow());
      Set<String> names = adapters.keySet();
      AdapterConfig config = AdapterConfig.lora(rank).with(Targets.suffixes(names.stream().toList()));
      return new AdapterSet(model, config, reader.layers(names), adapters, Map.of()).setTraining(false);
    }
  }

  private static AdapterReader.Place place(String name) {
    if (!name.startsWith(PREFIX)) {
      return null;
    }
    String rest = name.substring(PREFIX.length());
    String matrix = rest.endsWith("lora_A.weight") || rest.endsWith("down.weight") ? LoraAdapter.A : LoraAdapter.B;
    Matcher processor = PROCESSOR.matcher(rest);
    if (processor.matches()) {
      String projection = processor.group(2);
      return new AdapterReader.Place(processor.group(1) + "." + (projection.equals("to_out") ? "to_out.0" : projection),
          matrix);
    }
    Matcher plain = PLAIN.matcher(rest);
    return plain.matches() ? new AdapterReader.Place(plain.group(1), matrix) : null;
  }

  /** A layer's own alpha, the file's, or 1 in all. */
  private static ToDoubleBiFunction<String, Long> scale(Path path, SafetensorsFile file) {
    String text = file.metadata().get(CONFIG);
    JsonObject config = text == null ? null : Json.parse(text, path + ", " + CONFIG);
    return (layer, rank) -> {
      String own = PREFIX + layer + ALPHA;
      if (file.names().contains(own)) {
        try (Scope _ = Scope.open()) {
          return file.load(own).item() / rank;
        }
      }
      if (config == null || !config.has("unet.lora_alpha")) {
        return 1;
      }
      double divisor = config.bool("unet.use_rslora", false) ? Math.sqrt((double) rank) : (double) rank;
      return config.requireNumber("unet.lora_alpha") / divisor;
    };
  }

  /** The file without its alphas, which belong to no matrix. */
  private record WithoutAlphas(SafetensorsFile file) implements WeightSource {
    @Override
    public String source() {
      return file.source();
    }

    @Override
    public Set<String> names() {
      return file.names().stream().filter(name -> !name.endsWith(ALPHA))
          .collect(Collectors.toCollection(LinkedHashSet::new));
    }

    @Override
    public DType dtype(String name) {
      return file.dtype(name);
    }

    @Override
    public Shape shape(String name) {
      return file.shape(name);
    }

    @Override
    public Tensor load(String name, DType type) {
      return file.load(name, type);
    }

    @Override
    public Map<String, String> metadata() {
      return file.metadata();
    }

    @Override
    public void close() {}
  }
}
