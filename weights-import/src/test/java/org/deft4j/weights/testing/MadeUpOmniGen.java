package org.deft4j.weights.testing;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.TensorSpec;

/**
 * Writes an OmniGen in the layout that it is released in, with {@linkplain MadeUpTensor made-up weights} and the real table of
 * positions: names and shapes are those of the golden data's manifests, the configuration is the released one, the tokenizer, of
 * few words, that of the small golden model, whose ids are all below the vocabulary's size. The autoencoder is stored in F32, as
 * released. {@code config.json} is written last, so where it is, all is.
 *
 * @param manifests the folder of {@code omnigen-v1.json}, {@code omnigen-v1-vae.json} and SDXL's manifests
 * @param dtype of the transformer: F32, as released, or F16 or BF16
 */
public record MadeUpOmniGen(Path manifests, DType dtype, long seed) {
  private static final String CONFIG = "config.json";
  /** A key of that file by which a model is known again. */
  private static final String MARK = "_made_up";
  private static final String POSITIONS = "pos_embed";
  private static final String TRANSFORMER = "omnigen-v1.json";
  /** OmniGen comes with SDXL's autoencoder. */
  private static final String VAE_CONFIG = "sdxl-base-1.0/configs/vae/config.json";
  private static final List<String> TOKENIZER = List.of("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json");

  /** {@code FOLDER [bf16|f16|f32 [SEED]]}: writes the model of the golden data's manifests. */
  public static void main(String[] args) {
    if (args.length < 1 || args.length > 3) {
      System.err.println("usage: MadeUpOmniGen FOLDER [bf16|f16|f32 [SEED]]");
      System.exit(2);
    }
    DType dtype = DType.valueOf(args.length > 1 ? args[1].toUpperCase(Locale.ROOT) : "BF16");
    published(dtype, args.length > 2 ? Long.parseLong(args[2]) : 0).write(Path.of(args[0]));
  }

  /** The one of the golden data's manifests; fails where there is none. */
  public static MadeUpOmniGen published(DType dtype, long seed) {
    Path manifests = Fixtures.folders("manifests").stream().map(Path::getParent).distinct()
        .filter(folder -> Fixtures.exists(folder.resolve(TRANSFORMER))).findFirst().orElseThrow();
    return new MadeUpOmniGen(manifests, dtype, seed);
  }

  /** Writes the model into {@code folder}, unless it is there already. */
  public Path reuseOrWrite(Path folder) {
    boolean isThere = Files.exists(folder.resolve(CONFIG))
        && description().equals(Json.read(folder.resolve(CONFIG)).string(MARK, ""));
    return isThere ? folder : write(folder);
  }

  /** Writes the model into {@code folder}, which is made. */
  public Path write(Path folder) {
    try {
      Path vae = Files.createDirectories(folder.resolve("vae"));
      Files.deleteIfExists(folder.resolve(CONFIG));
      Path tokenizer = Fixtures.folders("omnigen").getFirst();
      for (String file : TOKENIZER) {
        Files.write(folder.resolve(file), Files.readAllBytes(tokenizer.resolve(file)));
      }
      Files.write(vae.resolve(CONFIG), Files.readAllBytes(manifests.resolve(VAE_CONFIG)));
      MadeUpWeights.of(manifests.resolve("omnigen-v1-vae.json"), DType.F32)
          .write(vae, "diffusion_pytorch_model", Long.MAX_VALUE, (name, spec) -> MadeUpTensor.of(seed, "vae." + name, spec));
      MadeUpWeights.of(manifests.resolve(TRANSFORMER), dtype).write(folder, "model", Long.MAX_VALUE, this::tensor);
      Map<String, Object> config = new LinkedHashMap<>(released().asMap());
      config.put(MARK, description());
      Json.write(folder.resolve(CONFIG), config);
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private Tensor tensor(String name, TensorSpec spec) {
    return name.equals(POSITIONS) ? SinCosTable.of(spec) : MadeUpTensor.of(seed, name, spec);
  }

  /** What the weights depend on. */
  private String description() {
    return dtype + ", seed " + seed;
  }

  /** The values of the released configuration. */
  private static JsonObject released() throws IOException {
    try (InputStream in = Objects.requireNonNull(MadeUpOmniGen.class.getResourceAsStream(TRANSFORMER))) {
      return Json.parse(new String(in.readAllBytes(), StandardCharsets.UTF_8), TRANSFORMER);
    }
  }
}
