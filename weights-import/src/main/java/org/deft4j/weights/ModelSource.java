package org.deft4j.weights;

import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;

/** A whole model, however it is stored: its parts, each part's configuration, and each part's weights under diffusers' names. */
public interface ModelSource extends AutoCloseable {
  /** The folder or the file. */
  String source();

  /** The pipeline that the parts belong to: {@code StableDiffusionXLPipeline}. */
  String pipeline();

  /** The parts: {@code unet}, {@code vae}, {@code text_encoder}, {@code scheduler}, ... */
  Set<String> components();

  /** The configuration of a part. */
  JsonObject config(String component);

  /** The weights of a part, which the caller closes. */
  WeightSource weights(String component);

  /** The folder of a part; empty where it has none, as the parts of a single file. */
  Optional<Path> folder(String component);

  @Override
  void close();

  /**
   * Opens what a user names as a model: a folder in the layout of diffusers or OmniGen, a single-file checkpoint, or {@code org/name}
   * in the Hugging Face cache.
   */
  static ModelSource open(String model) {
    Path path;
    try {
      path = Path.of(model);
    } catch (InvalidPathException e) {
      throw new FormatException(Text.quote(model) + ": is not the name of a file, a folder or a model", e);
    }
    if (Files.isDirectory(path)) {
      return ofFolder(path);
    }
    if (Files.exists(path)) {
      return SingleFile.open(path);
    }
    if (Pickles.isPickle(path)) {
      throw Pickles.refuse(path);
    }
    if (HuggingFaceCache.isRepository(model)) {
      return ofFolder(HuggingFaceCache.find(model, System.getenv()));
    }
    throw new FormatException(model + ": there is no such file or folder; a model is a folder in the diffusers layout or "
        + "OmniGen's, a .safetensors file, or org/name in the Hugging Face cache");
  }

  private static ModelSource ofFolder(Path folder) {
    return OmniGenFolder.is(folder) ? OmniGenFolder.open(folder) : DiffusersFolder.open(folder);
  }
}
