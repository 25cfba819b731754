package org.deft4j.diffusion.omnigen;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.deft4j.diffusion.AutoencoderKL;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.diffusion.ModuleWeights;
import org.deft4j.diffusion.VaeConfig;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import org.deft4j.weights.ModelSource;
import org.deft4j.weights.OmniGenFolder;
import org.deft4j.weights.WeightSource;

/**
 * An OmniGen model with all its parts: the transformer, the autoencoder (SDXL's) and the tokenizer, in the folder layout that it is
 * released in.
 */
public final class OmniGen implements DiffusionModel {
  private static final String POSITIONS = "pos_embed";
  private static final int USUAL_SIZE = 1024;

  private final String model;
  private final DType weights;
  private final String name;
  private final LlamaTokenizer tokenizer;
  private final OmniGenTransformer transformer;
  private final AutoencoderKL vae;

  private OmniGen(String model, DType weights, ModelSource source) {
    this.model = model;
    this.weights = weights;
    name = Path.of(source.source()).toAbsolutePath().normalize().getFileName().toString();
    tokenizer = LlamaTokenizer.load(source.folder(OmniGenFolder.TOKENIZER).orElseThrow());
    transformer = new OmniGenTransformer(OmniGenConfig.from(source.config(OmniGenFolder.TRANSFORMER), table(source)));
    vae = new AutoencoderKL(VaeConfig.from(source.config(OmniGenFolder.VAE)));
    if (vae.config().downscale() * transformer.config().patch() != PixelSize.GRAIN
        || vae.config().latentChannels() != transformer.config().latents()) {
      throw new FormatException(source.source() + ": the autoencoder makes latents of " + vae.config().latentChannels()
          + " channels and 1/" + vae.config().downscale() + " of the size; OmniGen takes " + transformer.config().latents()
          + " channels and 1/" + PixelSize.GRAIN / transformer.config().patch());
    }
  }

  /** How many positions the stored table has; its side is in no configuration. */
  private static long table(ModelSource source) {
    try (WeightSource stored = source.weights(OmniGenFolder.TRANSFORMER)) {
      Shape shape = stored.names().contains(POSITIONS) ? stored.shape(POSITIONS) : Shape.of();
      if (shape.rank() != 3 || shape.size(0) != 1) {
        throw new FormatException(stored.source() + ": has no position table " + POSITIONS + " [1, side * side, hidden size], "
            + "so it is not OmniGen's transformer");
      }
      return shape.size(1);
    }
  }

  /**
   * Opens a model, without its weights: a folder, or {@code org/name} in the Hugging Face cache.
   *
   * @param weights what the transformer's matrices will be held in, whatever they are stored in; null: as they are stored. The
   *     autoencoder stays as it is stored, as in the reference's pipeline
   * @throws FormatException if it is none, or its configuration asks for what we do not have
   */
  public static OmniGen open(String model, DType weights) {
    try (ModelSource source = ModelSource.open(model)) {
      if (!source.pipeline().equals(OmniGenFolder.PIPELINE)) {
        throw new FormatException(model + ": is the model of a " + source.pipeline() + ", not an OmniGen");
      }
      return new OmniGen(model, weights, source);
    }
  }

  /** Opens a model and loads its weights. */
  public static OmniGen load(String model, DType weights) {
    OmniGen opened = open(model, weights);
    try {
      opened.loadWeights(part -> {});
      return opened;
    } catch (RuntimeException | Error e) {
      opened.close();
      throw e;
    }
  }

  @Override
  public void loadWeights(Consumer<String> reading) {
    loadVae(reading);
    loadTransformer(reading);
  }

  /** Loads the autoencoder's weights alone: training needs them only before the transformer's. */
  public void loadVae(Consumer<String> reading) {
    load(OmniGenFolder.VAE, vae, null, reading);
  }

  /** Loads the transformer's weights alone. */
  public void loadTransformer(Consumer<String> reading) {
    load(OmniGenFolder.TRANSFORMER, transformer, weights, reading);
    transformer.foldPositions();
  }

  private void load(String part, Module module, DType type, Consumer<String> reading) {
    if (ModuleWeights.isLoaded(module)) {
      return;
    }
    reading.accept(part);
    try (ModelSource source = ModelSource.open(model)) {
      ModuleWeights.load(source, part, module, type);
    }
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Map<String, Module> parts() {
    Map<String, Module> parts = new LinkedHashMap<>();
    parts.put(OmniGenFolder.TRANSFORMER, transformer);
    parts.put(OmniGenFolder.VAE, vae);
    return parts;
  }

  @Override
  public SequencedMap<String, Module> adaptable() {
    SequencedMap<String, Module> adaptable = new LinkedHashMap<>();
    adaptable.put(OmniGenFolder.TRANSFORMER, transformer);
    return adaptable;
  }

  @Override
  public List<String> attentionProjections() {
    return List.of("qkv_proj", "o_proj");
  }

  /** The denoiser. */
  public OmniGenTransformer transformer() {
    return transformer;
  }

  @Override
  public AutoencoderKL vae() {
    return vae;
  }

  /** The tokenizer. */
  public LlamaTokenizer tokenizer() {
    return tokenizer;
  }

  @Override
  public int grain() {
    return PixelSize.GRAIN;
  }

  /** 1024, or what the position table has room for. */
  @Override
  public int defaultSize() {
    return Math.min(USUAL_SIZE, transformer.config().largestSide());
  }

  @Override
  public void reload(String part, Collection<String> parameters) {
    try (ModelSource source = ModelSource.open(model)) {
      ModuleWeights.reload(source, part, parts().get(part), parameters);
    }
  }

  /** In the layout of the released model. */
  @Override
  public void save(Path folder) throws IOException {
    try (ModelSource source = ModelSource.open(model)) {
      Path from = source.folder(OmniGenFolder.TOKENIZER).orElseThrow();
      for (String file : OmniGenFolder.FILES) {
        if (Files.isRegularFile(from.resolve(file))) {
          Files.copy(from.resolve(file), folder.resolve(file));
        }
      }
      transformer.unfoldPositions();
      ModuleWeights.write(folder.resolve("model.safetensors"), transformer);
      transformer.foldPositions();
      Path to = Files.createDirectories(folder.resolve(OmniGenFolder.VAE));
      Json.write(to.resolve("config.json"), source.config(OmniGenFolder.VAE).asMap());
      ModuleWeights.write(to.resolve("diffusion_pytorch_model.safetensors"), vae);
    }
  }
}
