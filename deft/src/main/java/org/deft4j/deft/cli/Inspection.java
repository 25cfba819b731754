package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterFiles;
import org.deft4j.deft.DiffusersLora;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Method;
import org.deft4j.deft.PeftFolder;
import org.deft4j.deft.Targets;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.diffusion.image.PngText;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Shape;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
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
    } else if (Files.exists(path.resolve(MODEL_INDEX))) {
      model(document, path);
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
    if (config.method() != Method.LORA) {
      document.put("decomposition", config.decomposition().method());
      document.put("start", config.start().label());
    }
    document.put("rank", config.rank());
    document.put("alpha", config.alpha());
    document.put("targets", switch (config.targets().include()) {
      case Targets.Suffixes(var names) -> names;
      case Targets.Expression(var pattern) -> pattern.pattern();
      case Targets.AllLinear() -> "all-linear";
    });
    JsonObject json = Json.read(folder.resolve(PeftFolder.CONFIG));
    document.put("base model", json.string("base_model_name_or_path", null));
    try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftFolder.WEIGHTS))) {
      document.put("layers", file.names().stream().map(Inspection::layer).distinct().count());
      tensors(document, file);
    }
  }

  /** A PEFT name without its last part, {@code .deft_P} or {@code .lora_A.weight}. */
  private static String layer(String name) {
    return name.replaceFirst("\\.(deft_[PR]|lora_[AB]\\.weight)$", "");
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
    Map<String, Long> types = new TreeMap<>();
    long elements = 0;
    long bytes = 0;
    for (String name : file.names()) {
      DType type = file.dtype(name);
      Shape shape = file.shape(name);
      listed.put(name, type + " " + shape);
      types.merge(type.toString(), shape.elementCount(), Long::sum);
      elements += shape.elementCount();
      bytes += shape.elementCount() * type.bytes();
    }
    document.put("parameters", elements);
    document.put("bytes", bytes);
    document.put("size", MemoryPool.describe(bytes));
    document.put("types", types);
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
    long elements = 0;
    long bytes = 0;
    for (Path file : weightFiles(part)) {
      try (SafetensorsFile source = SafetensorsFile.open(file)) {
        for (String name : source.names()) {
          elements += source.shape(name).elementCount();
          bytes += source.shape(name).elementCount() * source.dtype(name).bytes();
        }
      }
    }
    if (bytes > 0) {
      summary.put("parameters", elements);
      summary.put("size", MemoryPool.describe(bytes));
    }
    return summary;
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
