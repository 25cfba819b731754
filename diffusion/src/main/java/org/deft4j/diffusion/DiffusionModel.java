package org.deft4j.diffusion;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.deft4j.diffusion.omnigen.OmniGen;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.ModelSource;
import org.deft4j.weights.OmniGenFolder;

/**
 * A model that makes pictures, with all its parts: what every kind of them has. What is done with one depends on its kind; a
 * switch over the kinds has no default, so that a new kind does not compile until everything is said about it.
 */
public sealed interface DiffusionModel extends AutoCloseable permits StableDiffusion, OmniGen {
  /**
   * Opens a model of any kind, without its weights.
   *
   * @param model a folder in the layout of its kind, a single-file checkpoint, or {@code org/name} in the Hugging Face cache
   * @param weights what matrices and kernels will be held in, whatever they are stored in; null: as they are stored
   * @throws FormatException if it is none of these, or its configuration asks for what we do not have
   */
  static DiffusionModel open(String model, DType weights) {
    String pipeline;
    try (ModelSource source = ModelSource.open(model)) {
      pipeline = source.pipeline();
    }
    return pipeline.equals(OmniGenFolder.PIPELINE) ? OmniGen.open(model, weights) : StableDiffusion.open(model, weights);
  }

  /**
   * Refuses what is not there, or no model, by a look at the names of its files.
   *
   * @throws FormatException if so
   */
  static void require(String model) {
    ModelSource.open(model).close();
  }

  /** The folder's or file's name, without its path and ending. */
  String name();

  /** The parts that have weights, by the names of their folders. */
  Map<String, Module> parts();

  /** The parts that adapters may belong to, by the same names, the denoiser first. */
  SequencedMap<String, Module> adaptable();

  /** What is trained: the part that takes the noise out. */
  default Module denoiser() {
    return adaptable().firstEntry().getValue();
  }

  /** The layers of the denoiser that adapters are usually put on, its attention projections, by the ends of their names. */
  List<String> attentionProjections();

  /** The autoencoder. */
  AutoencoderKL vae();

  /** Widths and heights of pictures are multiples of this many pixels. */
  int grain();

  /** The side of the square pictures the model was made for. */
  int defaultSize();

  /** About half of a side of so many pixels: the largest multiple of {@link #grain} that is no more, but at least one. */
  default int half(int side) {
    return Math.max(grain(), side / 2 / grain() * grain());
  }

  /** Lets go of the autoencoder's weights, which training needs no more once the pictures are encoded. */
  default void releaseVae() {
    vae().close();
    MemoryPool.current().trim();
  }

  /**
   * Loads the weights of every part that has none, each tensor converted as it is read, so that nothing is held twice; {@code reading} is
   * told of each part before it is read.
   *
   * @throws FormatException if they do not fit the configuration (every difference is listed), or a weight is beyond the
   *     range of the type asked for
   */
  void loadWeights(Consumer<String> reading);

  /** Loads these parameters of a part again, as F32, whatever the others are held in: for what is to be rounded once. */
  void reload(String part, Collection<String> parameters);

  /**
   * Writes the model, whose weights are loaded, to {@code folder}, which exists, in the layout of its kind: the weights as they
   * are held now, all else as it came.
   */
  void save(Path folder) throws IOException;

  /** Lets go of all weights. */
  @Override
  default void close() {
    parts().values().forEach(Module::close);
  }
}
