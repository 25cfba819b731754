package org.deft4j.diffusion;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.deft4j.nn.Module;
import org.deft4j.weights.DiffusersFolder;
import org.deft4j.weights.Json;
import org.deft4j.weights.ModelSource;

/**
 * Writes a model in diffusers' layout: {@code model_index.json}, a folder with configuration and weights for each network, and
 * what else the model
 * came with (tokenizers, scheduler, ...) as it is, or, where it is a single file, as published.
 */
final class DiffusersFolderWriter {
  private static final String INDEX = "model_index.json";
  private static final Map<String, List<String>> PUBLISHED = Map.of(
      "text_encoder", List.of("transformers", "CLIPTextModel"),
      "text_encoder_2", List.of("transformers", "CLIPTextModelWithProjection"),
      "tokenizer", List.of("transformers", "CLIPTokenizer"),
      "tokenizer_2", List.of("transformers", "CLIPTokenizer"),
      "unet", List.of("diffusers", "UNet2DConditionModel"),
      "vae", List.of("diffusers", "AutoencoderKL"));

  private final ModelSource source;
  private final Map<String, Module> networks;
  private final Path folder;

  private DiffusersFolderWriter(ModelSource source, Map<String, Module> networks, Path folder) {
    this.source = source;
    this.networks = networks;
    this.folder = folder;
  }

  /** Writes {@code networks}, whose weights are loaded, and what else {@code source} has, to {@code folder}, which exists. */
  static void write(ModelSource source, Map<String, Module> networks, Path folder) throws IOException {
    DiffusersFolderWriter writer = new DiffusersFolderWriter(source, networks, folder);
    Set<String> parts = new TreeSet<>(source.components());
    parts.addAll(networks.keySet());
    networks.keySet().stream().filter(part -> part.startsWith("text_encoder"))
        .forEach(part -> parts.add(part.replace("text_encoder", "tokenizer")));
    for (String part : parts) {
      writer.part(part, Files.createDirectories(folder.resolve(part)));
    }
    writer.index(parts);
  }

  private void part(String part, Path to) throws IOException {
    Module network = networks.get(part);
    Optional<Path> from = source.components().contains(part) ? source.folder(part) : Optional.empty();
    if (network != null) {
      Json.write(to.resolve("config.json"), source.config(part).asMap());
      String stem = part.startsWith("text_encoder") ? "model" : "diffusion_pytorch_model";
      ModuleWeights.write(to.resolve(stem + ".safetensors"), network);
    } else if (from.isPresent()) {
      copy(from.get(), to);
    } else if (part.startsWith("tokenizer")) {
      ClipTokenizer.writePublished(to, source.config(part));
    } else {
      Json.write(to.resolve("scheduler_config.json"), source.config(part).asMap());
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, to.resolve(file.getFileName().toString()));
      }
    }
  }

  private void index(Set<String> parts) {
    Map<String, Object> index = new LinkedHashMap<>();
    if (source instanceof DiffusersFolder diffusers) {
      index.putAll(diffusers.index().asMap());
    } else {
      index.put("_class_name", source.pipeline());
      for (String part : parts) {
        index.put(part, PUBLISHED.containsKey(part) ? PUBLISHED.get(part)
            : List.of("diffusers", source.config(part).requireString("_class_name")));
      }
    }
    Json.write(folder.resolve(INDEX), index);
  }
}
