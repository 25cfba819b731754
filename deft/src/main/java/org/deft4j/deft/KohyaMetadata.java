package org.deft4j.deft;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;
import java.util.regex.Pattern;
import org.deft4j.tensor.Tensor;

/**
 * The metadata of a LoRA file of kohya's sd-scripts: the entries of the safetensors header's {@code __metadata__}, every one
 * a string, some of them JSON in a string. Keys begin with {@code ss_} (how it was trained), {@code sshs_} (hashes) and
 * {@code modelspec.} (Stability AI's Model Metadata Standard 1.0.1). What was read is kept as it is, keys that nobody here
 * knows too; the hashes alone are made anew for the file that is written, and what names the style of its tensors' names goes with that.
 *
 * @param entries key to value, in the order of the file
 */
public record KohyaMetadata(Map<String, String> entries) {
  private static final String MODULE = "ss_network_module";
  private static final String DIM = "ss_network_dim";
  private static final String ALPHA = "ss_network_alpha";
  private static final String BASE_MODEL = "ss_base_model_version";
  private static final String VERSION_2 = "ss_v2";
  private static final String MODEL_NAME = "ss_sd_model_name";
  private static final String MODEL_HASH = "sshs_model_hash";
  private static final String LEGACY_HASH = "sshs_legacy_hash";
  private static final String SPEC = "modelspec.";
  private static final String SPEC_HASH = SPEC + "hash_sha256";
  private static final String SPEC_IMPLEMENTATION = SPEC + "implementation";
  private static final String DIFFUSERS = "diffusers";
  private static final String SGM = "https://github.com/Stability-AI/generative-models";

  private static final Pattern FOLDERS = Pattern.compile("ss_.*_dir.*");
  /**
   * An absolute path where one can begin: at the start, or after a space, a quote, a bracket, a separator or an escaped line
   * break. {@code /name}, {@code ~/name}, {@code C:\name} and {@code C:/name}, {@code \\host\}, {@code file:/}, with each
   * backslash once or, in JSON, twice. {@code https://} is none, for no name follows its first slash; neither is a picture in
   * base64, which begins with {@code /9j/} where it is a JPEG.
   */
  private static final Pattern LOCAL_PATH = Pattern.compile("(?:(?<![^\\s\"'`=,;:|()<>\\[\\]{}])|(?<=\\\\[nrt]))(?:"
      + "~?/(?!9j/)[\\p{L}\\p{N}_.@~-]|[A-Za-z]:[/\\\\]+[\\p{L}\\p{N}_.@~$-]|\\\\{2,4}[\\p{L}\\p{N}_.-]+\\\\|file:/)");

  /** A family of base models, by what the readers of kohya files call it. */
  public enum Base {
    /** Stable Diffusion 1.x. */
    SD_1("sd_v1", "stable-diffusion-v1", "512x512"),
    /** Stable Diffusion XL, base. */
    SDXL("sdxl_base_v1-0", "stable-diffusion-xl-v1-base", "1024x1024");

    private final String version;
    private final String architecture;
    private final String resolution;

    Base(String version, String architecture, String resolution) {
      this.version = version;
      this.architecture = architecture;
      this.resolution = resolution;
    }
  }

  /** Copies the map. */
  public KohyaMetadata {
    entries = Collections.unmodifiableMap(new LinkedHashMap<>(entries));
  }

  /** The module of sd-scripts whose network it is ({@code networks.lora}), as stored. */
  public Optional<String> networkModule() {
    return text(MODULE);
  }

  /** The family of the base model ({@code sdxl_base_v1-0}, {@code sd_v1}, ...), as stored. */
  public Optional<String> baseModelVersion() {
    return text(BASE_MODEL);
  }

  /** The base model's file or repository name, as stored. */
  public Optional<String> modelName() {
    return text(MODEL_NAME);
  }

  private Optional<String> text(String key) {
    return Optional.ofNullable(entries.get(key));
  }

  /** The rank; none where it is not stored or not one number ({@code None}; {@code Dynamic} where each layer has its own). */
  public OptionalInt networkDim() {
    double dim = number(DIM).orElse(0);
    return dim >= 1 && dim <= Integer.MAX_VALUE && dim == Math.rint(dim) ? OptionalInt.of((int) dim) : OptionalInt.empty();
  }

  /** The alpha of most layers; none where it is not stored or not one number. A layer's own is a tensor of the file. */
  public OptionalDouble networkAlpha() {
    return number(ALPHA);
  }

  private OptionalDouble number(String key) {
    try {
      double number = Double.parseDouble(entries.getOrDefault(key, ""));
      return Double.isFinite(number) ? OptionalDouble.of(number) : OptionalDouble.empty();
    } catch (NumberFormatException _) {
      return OptionalDouble.empty();
    }
  }

  /**
   * With the least that the readers of such files (sd-scripts, A1111, ComfyUI) look at, where it is not there:
   * the network's module, rank and alpha, the base model's family, and what the Model Metadata Standard demands. The style of the tensors'
   * names, which is what the standard means by an implementation, changes with it.
   *
   * @param title the adapter's name, for people
   * @param rank of all layers, or most
   * @param alpha of all layers, or most; the scale is {@code alpha / rank}
   */
  public KohyaMetadata withNetwork(Base base, KohyaNames.Style style, String title, int rank, double alpha) {
    Map<String, String> all = new LinkedHashMap<>(entries);
    all.putIfAbsent(MODULE, "networks.lora");
    all.putIfAbsent(DIM, Integer.toString(rank));
    all.putIfAbsent(ALPHA, Double.toString(alpha));
    all.putIfAbsent(BASE_MODEL, base.version);
    all.putIfAbsent(VERSION_2, "False");
    all.putIfAbsent(SPEC + "sai_model_spec", "1.0.1");
    all.putIfAbsent(SPEC + "architecture", base.architecture + "/lora");
    boolean sgm = style == KohyaNames.Style.SGM;
    all.putIfAbsent(SPEC_IMPLEMENTATION, sgm ? SGM : DIFFUSERS);
    all.replace(SPEC_IMPLEMENTATION, sgm ? DIFFUSERS : SGM, sgm ? SGM : DIFFUSERS);
    all.putIfAbsent(SPEC + "title", title);
    all.putIfAbsent(SPEC + "resolution", base.resolution);
    return new KohyaMetadata(all);
  }

  /** Without what holds of one file's tensors alone: the network's module, rank and alpha, the style of the names, and the hashes. */
  public KohyaMetadata withoutNetwork() {
    Map<String, String> kept = new LinkedHashMap<>(entries);
    kept.keySet().removeAll(Set.of(MODULE, DIM, ALPHA, MODEL_HASH, LEGACY_HASH, SPEC_IMPLEMENTATION, SPEC_HASH));
    return new KohyaMetadata(kept);
  }

  /**
   * Without the entries that tell something of the disk it was trained on: {@code ss_*_dir*}, and every one in whose value
   * an absolute path stands, at any depth of JSON. They go whole; what stays is unchanged.
   */
  public KohyaMetadata redacted() {
    Map<String, String> kept = new LinkedHashMap<>(entries);
    kept.entrySet().removeIf(entry -> FOLDERS.matcher(entry.getKey()).matches() || LOCAL_PATH.matcher(entry.getValue()).find());
    return new KohyaMetadata(kept);
  }

  /**
   * The entries for a file of these tensors, with its hashes in place of older ones: both of kohya's, see
   * {@link KohyaHashes}, and the standard's {@code modelspec.hash_sha256}, of the tensors' bytes, where there are entries of
   * the standard.
   */
  public Map<String, String> forFile(Map<String, Tensor> tensors) {
    KohyaHashes hashes = KohyaHashes.of(tensors, entries);
    Map<String, String> all = new LinkedHashMap<>(entries);
    String model = hashes.model();
    all.put(MODEL_HASH, model);
    all.put(LEGACY_HASH, hashes.legacy());
    if (entries.keySet().stream().anyMatch(key -> key.startsWith(SPEC))) {
      all.put(SPEC_HASH, "0x" + model);
    }
    return Collections.unmodifiableMap(all);
  }
}
