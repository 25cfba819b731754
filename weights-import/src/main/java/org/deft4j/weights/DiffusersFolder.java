package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A model in the layout of diffusers: {@code model_index.json} names the parts, and each is a folder with its
 * configuration and its weights, as {@code diffusion_pytorch_model} or {@code model}, whole or in shards, perhaps with
 * {@code .fp16} in the name (taken where there is nothing else).
 */
public final class DiffusersFolder implements ModelSource {
  private static final List<String> STEMS = List.of("diffusion_pytorch_model", "model");
  private static final List<String> VARIANTS = List.of("", ".fp16");
  /** What the attention of an autoencoder was called before diffusers 0.15. */
  private static final Pattern OLD_ATTENTION =
      Pattern.compile("(.*\\.mid_block\\.attentions\\.\\d+)\\.(query|key|value|proj_attn)\\.(weight|bias)");
  private static final Map<String, String> NEW_ATTENTION =
      Map.of("query", "to_q", "key", "to_k", "value", "to_v", "proj_attn", "to_out.0");

  private final Path folder;
  private final JsonObject index;
  private final Map<String, String> classes = new LinkedHashMap<>();

  private DiffusersFolder(Path folder, JsonObject index) {
    this.folder = folder;
    this.index = index;
    for (String key : index.keys()) {
      if (!key.startsWith("_") && index.isList(key) && index.requireList(key).size() == 2
          && index.requireList(key).get(1) instanceof String className) {
        classes.put(key, className);
      }
    }
  }

  /** Opens a folder and reads its index. */
  public static DiffusersFolder open(Path folder) {
    Path index = folder.resolve("model_index.json");
    if (!Files.isDirectory(folder)) {
      throw FormatException.of(folder, Files.exists(folder) ? "is not a folder" : "there is no such folder");
    }
    if (!Files.exists(index)) {
      throw FormatException.of(folder, "has no model_index.json, so it is not a model in the diffusers layout"
          + pickleHint(folder));
    }
    return new DiffusersFolder(folder, Json.read(index));
  }

  @Override
  public String source() {
    return folder.toString();
  }

  @Override
  public String pipeline() {
    return index.requireString("_class_name");
  }

  /** What {@code model_index.json} says. */
  public JsonObject index() {
    return index;
  }

  @Override
  public Set<String> components() {
    return classes.keySet();
  }

  /** The class of a part: {@code UNet2DConditionModel}. */
  public String className(String component) {
    requirePart(component);
    return classes.get(component);
  }

  private Path requirePart(String component) {
    if (!classes.containsKey(component)) {
      throw FormatException.of(folder.resolve("model_index.json"), "has no part " + Text.quote(component)
          + "; it has " + Text.list(List.copyOf(classes.keySet())));
    }
    Path part = folder.resolve(component);
    if (component.contains("/") || component.contains("\\") || component.equals("..") || !Files.isDirectory(part)) {
      throw FormatException.of(folder.resolve("model_index.json"), "names the part " + Text.quote(component)
          + ", but there is no folder of that name");
    }
    return part;
  }

  @Override
  public Optional<Path> folder(String component) {
    return Optional.of(requirePart(component));
  }

  @Override
  public JsonObject config(String component) {
    Path part = requirePart(component);
    Path config = part.resolve("config.json");
    for (String other : List.of("scheduler_config.json", "tokenizer_config.json")) {
      config = Files.exists(config) || !Files.exists(part.resolve(other)) ? config : part.resolve(other);
    }
    return Json.read(config);
  }

  @Override
  public WeightSource weights(String component) {
    return weightsIn(requirePart(component));
  }

  /** The weights in a part's folder, whole or in shards. */
  static WeightSource weightsIn(Path part) {
    List<String> tried = new ArrayList<>();
    for (String variant : VARIANTS) {
      for (String stem : STEMS) {
        Path whole = part.resolve(stem + variant + ".safetensors");
        Path shards = part.resolve(stem + ".safetensors.index" + variant + ".json");
        if (Files.exists(whole)) {
          return current(SafetensorsFile.open(whole));
        }
        if (Files.exists(shards)) {
          return current(ShardIndex.open(shards));
        }
        tried.add(whole.getFileName().toString());
        tried.add(shards.getFileName().toString());
      }
    }
    throw FormatException.of(part, "has no weights; looked for " + Text.list(tried) + pickleHint(part));
  }

  /** {@code source} under today's names. */
  private static WeightSource current(WeightSource source) {
    Map<String, String> origins = new LinkedHashMap<>();
    for (String name : source.names()) {
      Matcher old = OLD_ATTENTION.matcher(name);
      String today = old.matches() ? old.group(1) + "." + NEW_ATTENTION.get(old.group(2)) + "." + old.group(3) : name;
      if (!Weights.isBuffer(name) && origins.put(today, name) != null) {
        source.close();
        throw new FormatException(source.source() + ": tensor " + Text.quote(today) + " is there under its old name too");
      }
    }
    return new RenamedSource(source, origins);
  }

  private static String pickleHint(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(Pickles::isPickle).findFirst()
          .map(file -> ". It has " + file.getFileName() + "; " + Pickles.REMEDY).orElse("");
    } catch (IOException e) {
      throw FormatException.unreadable(folder, e);
    }
  }

  @Override
  public void close() {}
}
