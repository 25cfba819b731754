package org.deft4j.diffusion;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.DiffusersFolder;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.ModelSource;

/**
 * A Stable Diffusion model with all its parts: SD 1.5 (one text encoder) or SDXL (two, and added conditions).
 *
 * <p>Letters: N prompts, S tokens, D width of the encoded text, P width of its pooled form.
 */
public final class StableDiffusion implements DiffusionModel {
  private static final List<String> PIPELINES = List.of("StableDiffusionPipeline", "StableDiffusionXLPipeline");

  private final String model;
  private final DType weights;
  private final String name;
  private final boolean isXl;
  private final boolean zerosForNoNegative;
  private final ClipTokenizer tokenizer;
  private final ClipTokenizer tokenizer2;
  private final ClipTextEncoder textEncoder;
  private final ClipTextEncoder textEncoder2;
  private final UNet2DConditionModel unet;
  private final AutoencoderKL vae;
  private final JsonObject scheduler;

  private StableDiffusion(String model, DType weights, ModelSource source) {
    this.model = model;
    this.weights = weights;
    isXl = source.pipeline().equals("StableDiffusionXLPipeline");
    name = Path.of(source.source()).toAbsolutePath().normalize().getFileName().toString().replaceFirst("\\.safetensors$", "");
    zerosForNoNegative = isXl && (!(source instanceof DiffusersFolder folder)
        || folder.index().bool("force_zeros_for_empty_prompt", true));
    scheduler = source.config("scheduler");
    tokenizer = tokenizer(source, "tokenizer");
    tokenizer2 = isXl ? tokenizer(source, "tokenizer_2") : null;
    textEncoder = new ClipTextEncoder(ClipTextConfig.from(source.config("text_encoder")));
    textEncoder2 = isXl ? new ClipTextEncoder(ClipTextConfig.from(source.config("text_encoder_2"))) : null;
    unet = new UNet2DConditionModel(UNetConfig.from(source.config("unet")));
    vae = new AutoencoderKL(VaeConfig.from(source.config("vae")));
  }

  /** Loads a model with its weights in the types they are stored in. */
  public static StableDiffusion load(String model) {
    return load(model, null);
  }

  /** Opens a model and loads its weights; see {@link #open} and {@link #loadWeights}. */
  public static StableDiffusion load(String model, DType weights) {
    StableDiffusion opened = open(model, weights);
    try {
      opened.loadWeights(part -> {});
      return opened;
    } catch (RuntimeException | Error e) {
      opened.close();
      throw e;
    }
  }

  /**
   * Opens a model, without its weights: a diffusers folder, a single-file checkpoint, or {@code org/name} in the Hugging Face
   * cache.
   *
   * @param weights what matrices and kernels will be held in, whatever they are stored in; null: as they are stored
   * @throws FormatException if it is none of these, or its configuration asks for what we do not have
   */
  public static StableDiffusion open(String model, DType weights) {
    try (ModelSource source = ModelSource.open(model)) {
      if (!PIPELINES.contains(source.pipeline())) {
        throw new FormatException(model + ": a " + source.pipeline() + " is not supported; " + String.join(" and ", PIPELINES)
            + " are");
      }
      return new StableDiffusion(model, weights, source);
    }
  }

  @Override
  public void loadWeights(Consumer<String> reading) {
    try (ModelSource source = ModelSource.open(model)) {
      parts().forEach((part, module) -> {
        if (!ModuleWeights.isLoaded(module)) {
          reading.accept(part);
          ModuleWeights.load(source, part, module, weights);
        }
      });
    }
  }

  /** The model's own, or, where it has none as single-file checkpoints, the published one. */
  private static ClipTokenizer tokenizer(ModelSource source, String part) {
    return source.folder(part).map(ClipTokenizer::load).orElseGet(() -> ClipTokenizer.published(source.config(part)));
  }

  @Override
  public Map<String, Module> parts() {
    Map<String, Module> parts = new LinkedHashMap<>(textEncoders());
    parts.put("unet", unet);
    parts.put("vae", vae);
    return parts;
  }

  @Override
  public SequencedMap<String, Module> adaptable() {
    SequencedMap<String, Module> adaptable = new LinkedHashMap<>(parts());
    adaptable.remove("vae");
    adaptable.putFirst("unet", unet);
    return adaptable;
  }

  @Override
  public List<String> attentionProjections() {
    return List.of("to_q", "to_k", "to_v", "to_out.0");
  }

  @Override
  public void reload(String part, Collection<String> parameters) {
    try (ModelSource source = ModelSource.open(model)) {
      ModuleWeights.reload(source, part, parts().get(part), parameters);
    }
  }

  /** In diffusers' layout. */
  @Override
  public void save(Path folder) throws IOException {
    try (ModelSource source = ModelSource.open(model)) {
      DiffusersFolderWriter.write(source, parts(), folder);
    }
  }

  @Override
  public String name() {
    return name;
  }

  /** Whether the model is SDXL. */
  public boolean isXl() {
    return isXl;
  }

  /** The denoiser. */
  public UNet2DConditionModel unet() {
    return unet;
  }

  @Override
  public AutoencoderKL vae() {
    return vae;
  }

  /** The first text encoder, and the only one of SD 1.5. */
  public ClipTextEncoder textEncoder() {
    return textEncoder;
  }

  /** SDXL's second text encoder; null for SD 1.5. */
  public ClipTextEncoder textEncoder2() {
    return textEncoder2;
  }

  /** The text encoders by the names of their parts. */
  public SequencedMap<String, ClipTextEncoder> textEncoders() {
    SequencedMap<String, ClipTextEncoder> encoders = new LinkedHashMap<>();
    encoders.put("text_encoder", textEncoder);
    if (isXl) {
      encoders.put("text_encoder_2", textEncoder2);
    }
    return encoders;
  }

  /** How many layers of a text encoder take part in {@link #encode(String)}: all, but for SDXL's first, whose last one is not read. */
  public int usedLayers(ClipTextEncoder encoder) {
    return encoder.config().layers() - (isXl && encoder == textEncoder ? 1 : 0);
  }

  /** The model's own scheduler: the noise it was trained with, and how it is sampled unless said otherwise. */
  public Scheduler scheduler() {
    return Scheduler.of(scheduler);
  }

  /** Another scheduler over the noise that the model was trained with. */
  public Scheduler scheduler(SchedulerName kind) {
    return Scheduler.of(scheduler, kind);
  }

  /** The guidance that pictures of such a model are usually made with: 5 for SDXL, 7.5 for SD 1.5. */
  public double usualGuidance() {
    return isXl ? 5 : 7.5;
  }

  /** Of one pixel of the latent. */
  @Override
  public int grain() {
    return vae.config().downscale();
  }

  @Override
  public int defaultSize() {
    return unet.config().sampleSize() * vae.config().downscale();
  }

  /**
   * An encoded prompt.
   *
   * @param context [1,S,D]: what the UNet's cross-attention looks at
   * @param pooled [1,P], or null where the model has none
   */
  public record Conditioning(Tensor context, Tensor pooled) {
    /** Two of them as a batch, {@code first} in front. */
    public static Conditioning concat(Conditioning first, Conditioning second) {
      return new Conditioning(Tensor.concat(0, first.context, second.context),
          first.pooled == null ? null : Tensor.concat(0, first.pooled, second.pooled));
    }
  }

  /** Tokens of a prompt that do not fit and are left out, as text; empty where all fit. */
  public String truncated(String prompt) {
    ClipTokens tokens = tokenizer.tokens(prompt);
    return tokens.isTruncated() ? tokens.cutText() : "";
  }

  /**
   * Encodes a prompt. SD 1.5: the last hidden state after the final norm. SDXL: both encoders' penultimate hidden states side
   * by side, pooled text from the second.
   */
  public Conditioning encode(String prompt) {
    return encode(tokenIds(prompt));
  }

  /**
   * Prompts as the text encoders read them.
   *
   * @param first [N,S] of the first encoder
   * @param second [N,S] of the second; null where there is none
   */
  public record TokenIds(Tensor first, Tensor second) {}

  /** Of one prompt. */
  public TokenIds tokenIds(String prompt) {
    return new TokenIds(tokenizer.tokens(prompt).toTensor(), isXl ? tokenizer2.tokens(prompt).toTensor() : null);
  }

  /** {@link #encode(String)} for token ids. */
  public Conditioning encode(TokenIds ids) {
    try (Scope scope = Scope.open()) {
      ClipTextEncoder.Output first = textEncoder.forward(ids.first());
      if (!isXl) {
        return new Conditioning(scope.keep(first.lastHiddenState()), null);
      }
      ClipTextEncoder.Output second = textEncoder2.forward(ids.second());
      return new Conditioning(scope.keep(Tensor.concat(2, first.penultimate(), second.penultimate())),
          scope.keep(second.pooled()));
    }
  }

  /**
   * The negative half of guidance. Without a negative prompt (null) SDXL takes zeros where its {@code model_index.json} says {@code
   * force_zeros_for_empty_prompt}; otherwise the empty text is encoded. An empty text that is given is always encoded.
   */
  public Conditioning encodeNegative(String negative, Conditioning positive) {
    if (negative == null && zerosForNoNegative) {
      return new Conditioning(positive.context().zerosLike(), positive.pooled().zerosLike());
    }
    return encode(negative == null ? "" : negative);
  }

  /** Lets go of the text encoders' weights; once all prompts are encoded nothing needs them. {@link #encode} is over then. */
  public void releaseTextEncoders() {
    textEncoder.close();
    if (isXl) {
      textEncoder2.close();
    }
    MemoryPool.current().trim();
  }
}
