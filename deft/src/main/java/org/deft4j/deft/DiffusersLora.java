package org.deft4j.deft;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.WeightSource;

/**
 * LoRA as diffusers keeps it, {@code pytorch_lora_weights.safetensors}: {@code <model>.<layer>.lora_A.weight}, or in its older
 * namings {@code <model>.<layer>.lora.down.weight}, {@code <model>.<layer>.lora_linear_layer.down.weight} and for attention
 * {@code <model>.<attention>.processor.to_q_lora.down.weight} or {@code <model>.<attention>.to_q_lora.down.weight}, where the model is
 * {@code unet}, {@code text_encoder} or {@code text_encoder_2}; the file of one model alone ({@code save_lora_adapter}) does not name it, and is the pipeline's main model's.
 * The scale is that of the layer's {@code <model>.<layer>.alpha}, else that of PEFT's fields for the model
 * ({@code <model>.lora_alpha}, {@code <model>.alpha_pattern}, ...) in the header's {@code lora_adapter_metadata}, else 1.
 * The lengths of a DoRA are {@code <model>.<layer>.lora_magnitude_vector}, as PEFT names them; other tools call them {@code dora_scale}.
 */
public final class DiffusersLora {
  /** The file's usual name. */
  public static final String FILE = "pytorch_lora_weights.safetensors";

  private static final String ALPHA = ".alpha";
  private static final Pattern PLAIN = Pattern.compile("(.+)\\.(?:lora_A|lora_B|(?:lora|lora_linear_layer)\\.(?:down|up))\\.weight");
  private static final Pattern PROCESSOR = Pattern.compile("(.+)\\.processor\\.(to_q|to_k|to_v|to_out)_lora\\.(?:down|up)\\.weight");

  private static final Pattern TEXT = Pattern.compile("(.+\\.self_attn)\\.to_(q|k|v|out)_lora\\.(?:down|up)\\.weight");
  private static final Pattern LENGTHS = Pattern.compile("(.+)\\.(?:lora_magnitude_vector(?:\\.weight)?|dora_scale)");

  /** How the matrices are called. */
  public enum Style {
    /** {@code lora_A}, {@code lora_B}, as PEFT: what diffusers writes today. */
    PEFT,
    /** {@code lora.down}, {@code lora.up}, as diffusers wrote before; {@code lora_linear_layer.down} in a text encoder. */
    OLDER
  }

  private DiffusersLora() {}

  /** Whether one of these is a name in such a file. */
  static boolean recognises(Set<String> names) {
    return names.stream().anyMatch(name -> PLAIN.matcher(name).matches() || PROCESSOR.matcher(name).matches() || TEXT.matcher(name).matches());
  }

  /**
   * Reads the adapter for {@code models}; not attached yet, and not in training.
   *
   * @param partial whether to leave out tensors that belong to none of their layers
   * @throws InputException listing everything that does not fit
   */
  static PipelineAdapter read(SafetensorsFile file, Map<String, Module> models, boolean partial) {
    AdapterConfig config = Formats.hasLengths(file.names()) ? AdapterConfig.dora(1) : AdapterConfig.lora(1);
    AdapterReader reader = new AdapterReader(file.source(), models, config, partial,
        Strangers.byPath(models.keySet(), models, "; to be read for that part, their names would begin with '%s.'"));
    String prefix = prefix(file, models.keySet().iterator().next());
    Map<String, String> metadata = new KohyaMetadata(metadata(file, prefix)).withoutNetwork().entries();
    JsonObject fields = fields(metadata, file.source());
    List<String> without = new ArrayList<>();
    List<AdapterReader.Site> beside = new ArrayList<>();
    AdapterReader.Scale scale = (site, rank) -> {
      if (file.names().contains(alpha(prefix, site))) {
        beside.add(site);
      } else {
        without.add(site.layer());
      }
      return scale(file, prefix, fields, site, rank);
    };
    boolean alphas = file.names().stream().anyMatch(name -> name.endsWith(ALPHA));
    Map<String, AdapterSet> sets = reader.read(withoutAlphas(file, prefix), name -> place(prefix + name), false, scale, Map.of());
    beside.forEach(site -> LoraAdapter.of(sets.get(site.model()).adapters().get(site.layer())).keepAlpha());
    List<String> notices = new ArrayList<>(reader.notices());
    if (alphas && fields == null) {
      Formats.noticeMissingAlphas(file.source(), without, sets.values(), notices);
    }
    return new PipelineAdapter(sets, metadata, notices);
  }

  /** Without the alphas of layers; one that is alone belongs to none. */
  private static WeightSource withoutAlphas(SafetensorsFile file, String prefix) {
    Set<String> layers = file.names().stream().map(name -> place(prefix + name)).filter(Objects::nonNull)
        .map(place -> place.site().model() + "." + place.site().layer() + ALPHA).collect(Collectors.toSet());
    return new Without(file, name -> layers.contains(prefix + name));
  }

  /** What the adapter is, without its model. */
  static AdapterSummary summary(SafetensorsFile file) {
    String prefix = prefix(file, "");
    JsonObject fields = fields(metadata(file, prefix), file.source());
    return AdapterSummary.of(Formats.hasLengths(file.names()) ? AdapterConfig.dora(1) : AdapterConfig.lora(1), file,
        name -> place(prefix + name), (site, rank) -> scale(file, prefix, fields, site, rank), List.of());
  }

  /** What names lack to begin with their model: {@code main}'s, where the file is of one model and does not name it. */
  private static String prefix(SafetensorsFile file, String main) {
    boolean named = file.names().stream().anyMatch(name -> AdapterFiles.PARTS.contains(name.substring(0, Math.max(0, name.indexOf('.')))));
    return named ? "" : main + ".";
  }

  private static String alpha(String prefix, AdapterReader.Site site) {
    return (site.model() + "." + site.layer() + ALPHA).substring(prefix.length());
  }

  private static double scale(SafetensorsFile file, String prefix, JsonObject fields, AdapterReader.Site site, long rank) {
    String alpha = alpha(prefix, site);
    if (!file.names().contains(alpha)) {
      return scale(fields, site.model(), site.layer(), rank);
    }
    try (Scope _ = Scope.open()) {
      return Finite.require(file.load(alpha), file.source() + ": " + alpha).item() / rank;
    }
  }

  /** The header; PEFT's fields in that of a file of one model do not name it, and here they do. */
  private static Map<String, String> metadata(SafetensorsFile file, String prefix) {
    Map<String, String> metadata = new LinkedHashMap<>(file.metadata());
    JsonObject fields = fields(metadata, file.source());
    if (fields != null && !prefix.isEmpty()) {
      Map<String, Object> renamed = new LinkedHashMap<>();
      fields.asMap().forEach((key, value) -> renamed.put(prefix + key, value));
      metadata.put(AdapterMetadata.PEFT_FIELDS, Json.format(renamed));
    }
    return metadata;
  }

  /** PEFT's fields of each model; null where there are none. */
  private static JsonObject fields(Map<String, String> metadata, String source) {
    String text = metadata.get(AdapterMetadata.PEFT_FIELDS);
    return text == null ? null : Json.parse(text, source + ", " + AdapterMetadata.PEFT_FIELDS);
  }

  /** The s that they tell of a layer; 1 where they tell nothing of its model. */
  private static double scale(JsonObject fields, String model, String layer, long rank) {
    String prefix = model + ".";
    return fields != null && fields.keys().stream().anyMatch(key -> key.startsWith(prefix))
        ? PeftConfig.loraScale(fields, prefix, layer, rank) : 1;
  }

  private static AdapterReader.Place place(String name) {
    int dot = name.indexOf('.');
    if (dot < 0) {
      return null;
    }
    String model = name.substring(0, dot);
    String rest = name.substring(dot + 1);
    Matcher lengths = LENGTHS.matcher(rest);
    if (lengths.matches()) {
      return new AdapterReader.Place(model, lengths.group(1), DoraAdapter.MAGNITUDE);
    }
    String matrix = rest.endsWith("lora_A.weight") || rest.endsWith("down.weight") ? LoraAdapter.A : LoraAdapter.B;
    Matcher processor = PROCESSOR.matcher(rest);
    if (processor.matches()) {
      String projection = processor.group(2);
      return new AdapterReader.Place(model, processor.group(1) + "." + (projection.equals("to_out") ? "to_out.0" : projection),
          matrix);
    }
    Matcher text = TEXT.matcher(rest);
    if (text.matches()) {
      return new AdapterReader.Place(model, text.group(1) + "." + text.group(2) + "_proj", matrix);
    }
    Matcher plain = PLAIN.matcher(rest);
    return plain.matches() ? new AdapterReader.Place(model, plain.group(1), matrix) : null;
  }

  /**
   * Writes a LoRA or DoRA. What the file that was read says about itself is kept, PEFT's fields too, but for kohya's hashes, rank, alpha and
   * style of names, which would not hold of this one. The scale is told where it was: in the
   * header, or by an alpha beside the matrices. One that came from elsewhere is multiplied into B, because not every reader looks there.
   *
   * @param type F32, F16 or BF16
   * @throws InputException if the adapter is no LoRA
   */
  public static void write(Path file, PipelineAdapter adapter, Style style, DType type) {
    Map<String, String> metadata = AdapterMetadata.without(new KohyaMetadata(adapter.metadata()).withoutNetwork().entries(),
        AdapterMetadata.AUTHORS_CONFIG);
    JsonObject fields = fields(metadata, file.toString());
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      adapter.sets().forEach((model, set) -> set.adapters().forEach((layer, one) -> {
        LoraAdapter lora = LoraAdapter.of(one);
        Tensor b = lora.tensors().get(LoraAdapter.B);
        tensors.put(name(model, layer, style, true), Finite.cast(lora.tensors().get(LoraAdapter.A), type, layer));
        double told = lora.keepsAlpha() ? lora.scale() : scale(fields, model, layer, lora.rank());
        double untold = lora.openScale() / told;
        Tensor scaled = untold == 1 ? b : b.mul(untold);
        tensors.put(name(model, layer, style, false), Finite.cast(LoraAdapter.stored(lora.layer(), scaled), type, layer));
        if (lora.keepsAlpha()) {
          tensors.put(model + "." + layer + ALPHA, LoraAdapter.alphaTensor(lora.alpha(), type));
        }
        if (lora instanceof DoraAdapter) {
          tensors.put(model + "." + layer + "." + DoraAdapter.MAGNITUDE,
              Finite.cast(DoraAdapter.peft(lora.layer(), lora.tensors().get(DoraAdapter.MAGNITUDE)), type, layer));
        }
      }));
      Map<String, String> header = new LinkedHashMap<>(metadata);
      header.put("format", "pt");
      SafetensorsWriter.write(file, tensors, header);
    }
  }

  private static String name(String model, String layer, Style style, boolean down) {
    String matrix = style == Style.PEFT ? down ? "lora_A" : "lora_B"
        : (model.startsWith("text_encoder") ? "lora_linear_layer." : "lora.") + (down ? "down" : "up");
    return model + "." + layer + "." + matrix + ".weight";
  }
}
