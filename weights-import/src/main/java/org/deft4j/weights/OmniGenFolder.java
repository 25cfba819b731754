package org.deft4j.weights;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A model in the layout that OmniGen is released in: the transformer's {@code config.json} and {@code model.safetensors} (or shards, or
 * {@code model.pt} of a training run), the tokenizer's files beside them, and the autoencoder in {@code vae}.
 */
public final class OmniGenFolder implements ModelSource {
  /** What {@link #pipeline} gives. */
  public static final String PIPELINE = "OmniGenPipeline";
  /** The part in the folder itself. */
  public static final String TRANSFORMER = "transformer";
  /** The part in the folder of that name. */
  public static final String VAE = "vae";
  /** The part in the folder itself that has no weights. */
  public static final String TOKENIZER = "tokenizer";

  /** What may lie beside the transformer's weights and belongs to the model: its configuration, and the tokenizer's files. */
  public static final List<String> FILES = List.of("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
      "generation_config.json", "added_tokens.json");

  private static final String CONFIG = "config.json";
  private static final String TRAINED = "model.pt";

  private final Path folder;

  private OmniGenFolder(Path folder) {
    this.folder = folder;
  }

  /** Whether {@code folder} is one, by its {@code config.json}. */
  public static boolean is(Path folder) {
    return Files.isRegularFile(folder.resolve(CONFIG)) && !Files.exists(folder.resolve("model_index.json"))
        && "phi3".equals(Json.read(folder.resolve(CONFIG)).get("model_type"));
  }

  /** Opens a folder. */
  public static OmniGenFolder open(Path folder) {
    if (!is(folder)) {
      throw FormatException.of(folder, "is not a model in OmniGen's layout: it needs a config.json with model_type phi3");
    }
    return new OmniGenFolder(folder);
  }

  @Override
  public String source() {
    return folder.toString();
  }

  @Override
  public String pipeline() {
    return PIPELINE;
  }

  @Override
  public Set<String> components() {
    return Set.of(TRANSFORMER, VAE, TOKENIZER);
  }

  private Path part(String component) {
    if (!components().contains(component)) {
      throw FormatException.of(folder, "has no part " + Text.quote(component) + "; it has "
          + Text.list(List.of(TRANSFORMER, VAE, TOKENIZER)));
    }
    if (!component.equals(VAE)) {
      return folder;
    }
    if (!Files.isDirectory(folder.resolve(VAE))) {
      throw FormatException.of(folder, "has no folder vae; OmniGen's pictures go through the autoencoder of SDXL, which "
          + "belongs there with its config.json and diffusion_pytorch_model.safetensors");
    }
    return folder.resolve(VAE);
  }

  @Override
  public JsonObject config(String component) {
    return Json.read(part(component).resolve(component.equals(TOKENIZER) ? "tokenizer_config.json" : CONFIG));
  }

  @Override
  public WeightSource weights(String component) {
    Path part = part(component);
    boolean isTrained = component.equals(TRANSFORMER) && Files.exists(part.resolve(TRAINED))
        && !Files.exists(part.resolve("model.safetensors")) && !Files.exists(part.resolve("model.safetensors.index.json"));
    return isTrained ? TorchFile.open(part.resolve(TRAINED)) : DiffusersFolder.weightsIn(part);
  }

  @Override
  public Optional<Path> folder(String component) {
    return Optional.of(part(component));
  }

  @Override
  public void close() {}
}
