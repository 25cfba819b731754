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
import org.deft4j.deft.AdapterSummary;
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
      if (name.equals(PeftFolder.WEIGHTS) && PeftFolder.is(path.toAbsolutePath().getParent())) {
        adapter(document, path.toAbsolutePath().getParent());
      } else if (name.endsWith(SAFETENSORS)) {
        safetensors(document, path);
      } else if (AdapterFiles.isAuthors(path)) {
        authors(document, path);
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
      authors(document, AdapterFiles.authorsFile(path).get());
    } else {
      throw new InputException(path + " is no model or adapter: it has none of " + PeftFolder.CONFIG + ", " + MODEL_INDEX
          + ", config.json, " + DiffusersLora.FILE);
    }
    return document;
  }

  private static void adapter(Map<String, Object> document, Path folder) {
    AdapterConfig config = PeftFolder.config(folder);
    document.put("kind", "adapter (PEFT folder)");
    AdapterSummary summary = AdapterFiles.summary(folder).orElseThrow();
    document.putAll(summary.facts());
    if (config.method().projects()) {
      document.put("start", config.start().label());
    }
    document.put("targets", Targets.notation(config.targets().include()));
    if (config.targets().include() instanceof Targets.Indexed(_, var blocks, _)) {
      document.put("blocks", blocks);
    }
    if (Targets.notation(config.targets().exclude()) != null) {
      document.put("excluded", Targets.notation(config.targets().exclude()));
    }
    JsonObject json = Json.read(folder.resolve(PeftFolder.CONFIG));
    document.put("base model", json.string("base_model_name_or_path", null));
    try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(PeftFolder.WEIGHTS))) {
      adapted(file.names()).ifPresent(model -> document.put("adapts", model));
      tensors(document, file, Optional.of(summary));
    }
  }

  /** What cannot be read as an adapter is shown all the same, with the reason. */
  private static void authors(Map<String, Object> document, Path file) {
    document.put("kind", "adapter (the DEFT authors' files)");
    Optional<AdapterSummary> summary = Optional.empty();
    try {
      summary = AdapterFiles.summary(file);
      document.putAll(summary.orElseThrow().facts());
    } catch (InputException e) {
      document.put("unreadable", String.join("; ", e.problems()));
    }
    try (TorchFile tensors = TorchFile.open(file)) {
      tensors(document, tensors, summary);
    }
  }

  /** The kind of model that has such layers. */
  private static Optional<String> adapted(Set<String> names) {
    return names.stream().anyMatch(name -> name.contains(".llm.layers.")) ? Optional.of("OmniGen's transformer")
        : names.stream().anyMatch(name -> name.contains(".down_blocks.") || name.contains(".mid_block."))
            ? Optional.of("a UNet of Stable Diffusion")
        : names.stream().anyMatch(name -> name.contains(".text_model.")) ? Optional.of("a text encoder") : Optional.empty();
  }

  private static void torch(Map<String, Object> document, Path path) {
    try (TorchFile file = TorchFile.open(path)) {
      tensors(document, file, Optional.empty());
    }
  }

  private static void safetensors(Map<String, Object> document, Path path) {
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      document.putIfAbsent("kind", AdapterFiles.kind(file.names()).orElse("safetensors file"));
      Optional<AdapterSummary> summary = AdapterFiles.summary(path);
      summary.ifPresent(adapter -> document.putAll(adapter.facts()));
      if (!file.metadata().isEmpty()) {
        document.put("metadata", new TreeMap<>(file.metadata()));
      }
      tensors(document, file, summary);
    }
  }

  /** Of an adapter those are parameters that are in its matrices, in all and by part. */
  private static void tensors(Map<String, Object> document, WeightSource file, Optional<AdapterSummary> adapter) {
    adapter.ifPresent(summary -> document.put("layers", summary.total().layers()));
    Map<String, String> listed = new LinkedHashMap<>();
    file.names().forEach(name -> listed.put(name, file.dtype(name) + " " + file.shape(name)));
    Stored stored = new Stored();
    stored.add(file);
    stored.put(document);
    adapter.ifPresent(summary -> {
      document.put("parameters", summary.total().parameters());
      summary.parts().forEach((part, held) -> {
        if (!part.isEmpty()) {
          Map<String, Object> told = new LinkedHashMap<>();
          told.put("layers", held.layers());
          told.put("parameters", held.parameters());
          document.put(part, told);
        }
      });
      if (!summary.notices().isEmpty()) {
        document.put("notices", summary.notices());
      }
    });
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
