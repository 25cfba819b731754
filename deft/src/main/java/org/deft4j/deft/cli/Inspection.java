package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterFiles;
import org.deft4j.deft.DiffusersLora;
import org.deft4j.deft.InputException;
import org.deft4j.deft.PeftFolder;
import org.deft4j.deft.Targets;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.diffusion.image.PngText;
import org.deft4j.diffusion.omnigen.OmniGen;
import org.deft4j.diffusion.omnigen.OmniGenConfig;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.OmniGenFolder;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.TorchFile;
import org.deft4j.weights.WeightSource;

/** What a file or folder is, as an ordered document. */
final class Inspection {
  private static final String MODEL_INDEX = "model_index.json";
  private static final String SAFETENSORS = ".safetensors";

  private Inspection() {}

  /** @throws InputException if it is nothing that is known here */
  static Map<String, Object> of(Path path) {
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("path", path.toString());
    String name = path.getFileName() == null ? "" : path.getFileName().toString().toLowerCase(Locale.ROOT);
    if (!Files.isDirectory(path)) {
      if (name.endsWith(SAFETENSORS)) {
        safetensors(document, path);
      } else if (name.endsWith(".pt") || name.endsWith(".bin")) {
        document.put("kind", "torch file");
        torch(document, path);
      } else if (name.endsWith(".png")) {
        picture(document, path);
      } else {
        throw new InputException(path + " is none of a safetensors file, a torch file and a PNG");
      }
    } else if (PeftFolder.is(path)) {
      adapter(document, path);
    } else if (!AdapterFiles.parts(path).isEmpty()) {
      document.put("kind", "adapter (a PEFT folder for each model)");
      AdapterFiles.parts(path).forEach(part -> {
        Map<String, Object> one = of(path.resolve(part));
        one.keySet().removeAll(List.of("path", "tensors"));
        document.put(part, one);
      });
    } else if (Files.exists(path.resolve(MODEL_INDEX))) {
      model(document, path);
    } else if (OmniGenFolder.is(path)) {
      omniGen(document, path);
    } else if (Files.exists(path.resolve("config.json"))) {
      part(document, path);
    } else if (Files.exists(path.resolve(DiffusersLora.FILE))) {
      document.put("kind", "LoRA of diffusers");
      safetensors(document, path.resolve(DiffusersLora.FILE));
    } else if (AdapterFiles.authorsFile(path).isPresent()) {
      document.put("kind", "adapter (the DEFT authors' files)");
      torch(document, AdapterFiles.authorsFile(path).get());
    } else {
      throw new InputException(path + " is no model or adapter: it has none of " + PeftFolder.CONFIG + ", " + MODEL_INDEX
          + ", config.json, " + DiffusersLora.FILE);
    }
    return document;
  }

  private static void adapter(Map<String, Object> document, Path folder) {
    AdapterConfig config = PeftFolder.config(folder);
    document.put("kind", "adapter (PEFT folder)");
    document.put("method", config.method().label());
    if (config.method().projects()) {
      document.put("decomposition", config.decomposition().method());
      document.put("start", config.start().label());
    }
    document.put("rank", config.rank());
    document.put("alpha", config.alpha());
    document.put("targets", Targets.notation(config.targets().include()));
    JsonObject json = Json.read(folder.resolve(PeftFolder.CONFIG));
    document.put("base model", json.string("base_model_name_or_path", null));
    try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftFolder.WEIGHTS))) {
      adapted(file.names()).ifPresent(model -> document.put("adapts", model));
      document.put("layers", file.names().stream().map(Inspection::layer).distinct().count());
      tensors(document, file);
    }
  }

  /** The kind of model that has such layers. */
  private static Optional<String> adapted(Set<String> names) {
    return names.stream().anyMatch(name -> name.contains(".llm.layers.")) ? Optional.of("OmniGen's transformer")
        : names.stream().anyMatch(name -> name.contains(".down_blocks.") || name.contains(".mid_block."))
            ? Optional.of("a UNet of Stable Diffusion")
        : names.stream().anyMatch(name -> name.contains(".text_model.")) ? Optional.of("a text encoder") : Optional.empty();
  }

  /** A PEFT name without its last part, {@code .deft_P} or {@code .lora_A.weight}. */
  private static String layer(String name) {
    return name.replaceFirst("\\.(deft_[PR]|lora_[AB]\\.weight|lora_magnitude_vector)$", "");
  }

  private static void torch(Map<String, Object> document, Path path) {
    try (TorchFile file = TorchFile.open(path)) {
      tensors(document, file);
    }
  }

  private static void safetensors(Map<String, Object> document, Path path) {
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      document.putIfAbsent("kind", AdapterFiles.kind(file.names()).orElse("safetensors file"));
      if (!file.metadata().isEmpty()) {
        document.put("metadata", new TreeMap<>(file.metadata()));
      }
      tensors(document, file);
    }
  }

  private static void tensors(Map<String, Object> document, WeightSource file) {
    Map<String, String> listed = new LinkedHashMap<>();
    file.names().forEach(name -> listed.put(name, file.dtype(name) + " " + file.shape(name)));
    Stored stored = new Stored();
    stored.add(file);
    stored.put(document);
    document.put("types", stored.types);
    document.put("tensors", listed);
  }

  private static void model(Map<String, Object> document, Path folder) {
    JsonObject index = Json.read(folder.resolve(MODEL_INDEX));
    document.put("kind", "model (diffusers folder)");
    document.put("pipeline", index.string("_class_name", null));
    for (String key : index.keys()) {
      Path part = folder.resolve(key);
      if (!key.startsWith("_") && Files.isDirectory(part)) {
        document.put(key, summary(part, index.get(key)));
      }
    }
  }

  private static Map<String, Object> summary(Path part, Object declared) {
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("class", declared instanceof List<?> pair && pair.size() == 2 ? pair.get(1) : declared);
    Stored stored = new Stored();
    for (Path file : weightFiles(part)) {
      try (SafetensorsFile source = SafetensorsFile.open(file)) {
        stored.add(source);
      }
    }
    if (stored.bytes > 0) {
      stored.put(summary);
      summary.put("types", List.copyOf(stored.types.keySet()));
    }
    return summary;
  }

  /** Opened as the other commands do, so that what they would refuse is refused here with the same words. */
  private static void omniGen(Map<String, Object> document, Path folder) {
    document.put("kind", "model (OmniGen folder)");
    document.put("pipeline", OmniGenFolder.PIPELINE);
    try (OmniGen model = OmniGen.open(folder.toString(), null); OmniGenFolder files = OmniGenFolder.open(folder)) {
      model.parts().forEach((part, module) -> {
        Map<String, Object> summary = new LinkedHashMap<>();
        summary.put("class", module.getClass().getSimpleName());
        Stored stored = new Stored();
        try (WeightSource source = files.weights(part)) {
          stored.add(source);
        }
        stored.put(summary);
        summary.put("types", List.copyOf(stored.types.keySet()));
        document.put(part, summary);
      });
      document.put("configuration", facts(model.transformer().config()));
    }
  }

  private static Map<String, Object> facts(OmniGenConfig config) {
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("width", config.hidden());
    facts.put("layers", config.layers());
    facts.put("heads", config.heads());
    facts.put("key-value heads", config.keyValueHeads());
    facts.put("width inside", config.intermediate());
    facts.put("vocabulary", config.vocabulary());
    facts.put("positions", config.rope().longest());
    facts.put("long factors beyond", config.rope().original());
    facts.put("largest picture", config.largestSide() + "x" + config.largestSide());
    return facts;
  }

  /** How much is stored. */
  private static final class Stored {
    private final Map<String, Long> types = new TreeMap<>();
    private long elements;
    private long bytes;

    void add(WeightSource source) {
      for (String name : source.names()) {
        long count = source.shape(name).elementCount();
        types.merge(source.dtype(name).toString(), count, Long::sum);
        elements += count;
        bytes += count * source.dtype(name).bytes();
      }
    }

    void put(Map<String, Object> document) {
      document.put("parameters", elements);
      document.put("bytes", bytes);
      document.put("size", MemoryPool.describe(bytes));
    }
  }

  private static void part(Map<String, Object> document, Path folder) {
    document.put("kind", "part of a model");
    JsonObject config = Json.read(folder.resolve("config.json"));
    document.put("class", config.string("_class_name", null));
    for (Path file : weightFiles(folder)) {
      safetensors(document, file);
    }
  }

  private static List<Path> weightFiles(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(file -> file.getFileName().toString().endsWith(SAFETENSORS)).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void picture(Map<String, Object> document, Path file) {
    Picture picture = Pictures.read(file);
    document.put("kind", "picture");
    document.put("width", picture.width());
    document.put("height", picture.height());
    Map<String, String> text = PngText.read(file);
    if (!text.isEmpty()) {
      document.put("text", text);
    }
  }
}
