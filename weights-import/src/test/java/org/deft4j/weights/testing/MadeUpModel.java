package org.deft4j.weights.testing;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.tensor.DType;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;

/**
 * Writes a whole model in the layout of diffusers with {@linkplain MadeUpTensor made-up weights}: names, shapes and
 * configurations are those of the golden data's manifests, so of the published models' full size; the tokenizers are CLIP's.
 * One tensor is in memory at a time. Parts that are large for their library come in shards, as Hugging Face's libraries save
 * them. {@code model_index.json} is written last, so where it is, all is.
 *
 * @param manifest a folder with {@code <part>.json} and {@code configs}
 * @param dtype F32, F16 or BF16
 * @param shardBytes the most bytes of tensors in a file; 0 for what the part's library takes
 */
public record MadeUpModel(Path manifest, DType dtype, long seed, long shardBytes) {
  /** What diffusers and transformers put in one file. */
  private static final long DIFFUSERS_SHARD = 10_000_000_000L;
  private static final long TRANSFORMERS_SHARD = 5_000_000_000L;
  private static final String INDEX = "model_index.json";
  /** A key of that file by which a model is known again; keys that start so are no parts. */
  private static final String MARK = "_made_up";
  private static final List<DType> TYPES = List.of(DType.F32, DType.F16, DType.BF16);

  /** Refuses what cannot be written. */
  public MadeUpModel {
    if (!TYPES.contains(dtype)) {
      throw new IllegalArgumentException("made-up weights are F32, F16 or BF16, not " + dtype);
    }
  }

  /**
   * {@code FAMILY FOLDER [f16|bf16|f32 [SEED]]}: writes the model of that manifest ({@code sdxl-base-1.0}, {@code sd-1.5}).
   */
  public static void main(String[] args) {
    List<Path> manifests = Fixtures.folders("manifests");
    Path manifest = args.length < 2 || args.length > 4 ? null
        : manifests.stream().filter(folder -> folder.endsWith(args[0])).findFirst().orElse(null);
    if (manifest == null) {
      System.err.println("usage: MadeUpModel FAMILY FOLDER [f16|bf16|f32 [SEED]]; families are "
          + manifests.stream().map(folder -> folder.getFileName().toString()).toList());
      System.exit(2);
    }
    DType dtype = DType.valueOf(args.length > 2 ? args[2].toUpperCase(Locale.ROOT) : "F16");
    new MadeUpModel(manifest, dtype, args.length > 3 ? Long.parseLong(args[3]) : 0, 0).write(Path.of(args[1]));
  }

  /** Writes the model into {@code folder}, unless it is there already. */
  public Path reuseOrWrite(Path folder) {
    boolean isThere = Files.exists(folder.resolve(INDEX))
        && description().equals(Json.read(folder.resolve(INDEX)).string(MARK, ""));
    return isThere ? folder : write(folder);
  }

  /** Writes the model into {@code folder}, which is made. */
  public Path write(Path folder) {
    try {
      Files.deleteIfExists(folder.resolve(INDEX));
      copy(manifest.resolve("configs"), folder);
      JsonObject index = Json.read(manifest.resolve("configs").resolve(INDEX));
      Map<String, Object> parts = new LinkedHashMap<>();
      for (String key : index.keys()) {
        boolean isPart = index.isList(key);
        if (isPart && key.startsWith("tokenizer")) {
          writeTokenizer(folder.resolve(key), key);
        } else if (isPart && Fixtures.exists(manifest.resolve(key + ".json"))) {
          writeWeights(folder.resolve(key), key);
        }
        boolean isMissing = isPart && !Files.isDirectory(folder.resolve(key));
        parts.put(key, isMissing ? Arrays.asList(null, null) : index.get(key));
      }
      parts.put(MARK, description());
      Json.write(folder.resolve(INDEX), parts);
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What the weights depend on, for {@code model_index.json}. */
  private String description() {
    return dtype + ", seed " + seed;
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      for (Path source : all.filter(file -> !file.endsWith(INDEX)).toList()) {
        Path target = to.resolve(from.relativize(source));
        if (Files.isDirectory(source)) {
          Files.createDirectories(target);
        } else {
          Files.write(target, Files.readAllBytes(source));
        }
      }
    }
  }

  /** CLIP's vocabulary, with the settings published for this model. */
  private void writeTokenizer(Path folder, String part) throws IOException {
    Path resources = Fixtures.repository();
    Path clip = resources.resolve("diffusion/src/main/resources/org/deft4j/diffusion/clip");
    Files.createDirectories(folder);
    for (String file : List.of("vocab.json", "merges.txt")) {
      Files.write(folder.resolve(file), Files.readAllBytes(clip.resolve(file)));
    }
    Path published = resources.resolve("weights-import/src/main/resources/org/deft4j/weights/published");
    Files.write(folder.resolve("tokenizer_config.json"),
        Files.readAllBytes(published.resolve(manifest.getFileName()).resolve(part + ".json")));
  }

  private void writeWeights(Path folder, String part) {
    boolean isDiffusers = Json.read(folder.resolve("config.json")).has("_class_name");
    long most = shardBytes > 0 ? shardBytes : isDiffusers ? DIFFUSERS_SHARD : TRANSFORMERS_SHARD;
    MadeUpWeights.of(manifest.resolve(part + ".json"), dtype).write(folder,
        isDiffusers ? "diffusion_pytorch_model" : "model", most, (name, spec) -> MadeUpTensor.of(seed, part + "." + name, spec));
  }
}
