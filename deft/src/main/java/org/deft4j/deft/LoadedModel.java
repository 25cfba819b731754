package org.deft4j.deft;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deft4j.diffusion.AutoencoderKL;
import org.deft4j.diffusion.ClipTextConfig;
import org.deft4j.diffusion.ClipTextEncoder;
import org.deft4j.diffusion.ClipTokenizer;
import org.deft4j.diffusion.Scheduler;
import org.deft4j.diffusion.SchedulerName;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.diffusion.UNetConfig;
import org.deft4j.diffusion.VaeConfig;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.DiffusersFolder;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.ModelSource;
import org.deft4j.weights.Target;
import org.deft4j.weights.WeightSource;
import org.deft4j.weights.Weights;

/** SD 1.5 or SDXL with its weights: what training and sampling need of it. */
public final class LoadedModel implements AutoCloseable {
  private static final String ENCODER = "text_encoder";
  private static final String SECOND_ENCODER = "text_encoder_2";

  private final String name;
  private final boolean sdxl;
  private final ClipTokenizer tokenizer;
  private final ClipTokenizer secondTokenizer;
  private final ClipTextEncoder encoder;
  private final ClipTextEncoder secondEncoder;
  private final UNet2DConditionModel unet;
  private final AutoencoderKL vae;
  private final JsonObject schedulerConfig;
  private final boolean zerosForNoNegative;

  /**
   * An encoded text.
   *
   * @param context [1, S, D]
   * @param pooled [1, P]; null for SD 1.5
   */
  public record Text(Tensor context, Tensor pooled) {}

  private LoadedModel(ModelSource source) {
    this.name = name(source);
    this.sdxl = source.components().contains(SECOND_ENCODER);
    this.schedulerConfig = source.config("scheduler");
    this.zerosForNoNegative = sdxl
        && (!(source instanceof DiffusersFolder folder) || folder.index().bool("force_zeros_for_empty_prompt", true));
    this.tokenizer = tokenizer(source, "tokenizer");
    this.secondTokenizer = sdxl ? tokenizer(source, "tokenizer_2") : null;
    this.encoder = new ClipTextEncoder(ClipTextConfig.from(source.config(ENCODER)));
    this.secondEncoder = sdxl ? new ClipTextEncoder(ClipTextConfig.from(source.config(SECOND_ENCODER))) : null;
    this.unet = new UNet2DConditionModel(UNetConfig.from(source.config("unet")));
    this.vae = new AutoencoderKL(VaeConfig.from(source.config("vae")));
  }

  private static ClipTokenizer tokenizer(ModelSource source, String part) {
    return ClipTokenizer.load(source.folder(part).orElseThrow(() -> new FormatException(source.source()
        + ": a single-file checkpoint has no tokenizer; give the diffusers folder of the same model")));
  }

  private static String name(ModelSource source) {
    String file = Path.of(source.source()).toAbsolutePath().normalize().getFileName().toString();
    return file.endsWith(".safetensors") ? file.substring(0, file.length() - ".safetensors".length()) : file;
  }

  /**
   * Loads the model that {@code model} names (see {@link ModelSource#open}).
   *
   * @throws FormatException if it is not there, is not a model of these kinds, or its weights do not fit its configuration
   */
  public static LoadedModel load(String model) {
    try (ModelSource source = ModelSource.open(model)) {
      LoadedModel loaded = new LoadedModel(source);
      try {
        loaded.parts().forEach((part, module) -> fill(source, part, module));
        return loaded;
      } catch (RuntimeException e) {
        loaded.close();
        throw e;
      }
    }
  }

  private static void fill(ModelSource source, String part, Module module) {
    Map<String, Target> targets = new LinkedHashMap<>();
    module.parameters().forEach((key, parameter) -> targets.put(key, new Target(parameter.shape(), parameter::set)));
    try (Scope _ = Scope.open(); WeightSource weights = source.weights(part)) {
      Weights.load(part, targets, weights);
    }
  }

  private Map<String, Module> parts() {
    Map<String, Module> parts = new LinkedHashMap<>();
    parts.put(ENCODER, encoder);
    if (sdxl) {
      parts.put(SECOND_ENCODER, secondEncoder);
    }
    parts.put("unet", unet);
    parts.put("vae", vae);
    return parts;
  }

  /** The model's name: the last part of its path. */
  public String name() {
    return name;
  }

  /** The denoiser. */
  public UNet2DConditionModel unet() {
    return unet;
  }

  /** The autoencoder. */
  public AutoencoderKL vae() {
    return vae;
  }

  /** The model's own scheduler: the noise it was trained with, and how it is sampled unless said otherwise. */
  public Scheduler scheduler() {
    return Scheduler.of(schedulerConfig);
  }

  /** Another scheduler over the noise that the model was trained with. */
  public Scheduler scheduler(SchedulerName kind) {
    return Scheduler.of(schedulerConfig, kind);
  }

  /** Whether a missing negative prompt stands for zeros instead of the empty text. */
  boolean zerosForNoNegative() {
    return zerosForNoNegative;
  }

  /** The guidance that pictures of such a model are usually made with: 5 for SDXL, 7.5 for SD 1.5. */
  public double usualGuidance() {
    return sdxl ? 5 : 7.5;
  }

  /** The side in pixels of the pictures it was made for. */
  public int defaultSize() {
    return unet.config().sampleSize() * vae.config().downscale();
  }

  /**
   * Encodes a prompt; the result belongs to the innermost scope. SD 1.5 conditions on the encoder's last hidden state after
   * its norm; SDXL on both encoders' states before their last layers, side by side, and the second's pooled vector.
   */
  public Text encode(String prompt) {
    ClipTextEncoder.Output first = encoder.forward(tokenizer.tokens(prompt).toTensor());
    if (!sdxl) {
      return new Text(first.lastHiddenState(), null);
    }
    ClipTextEncoder.Output second = secondEncoder.forward(secondTokenizer.tokens(prompt).toTensor());
    return new Text(Tensor.concat(2, first.penultimate(), second.penultimate()), second.pooled());
  }

  @Override
  public void close() {
    parts().values().forEach(Module::close);
  }
}
