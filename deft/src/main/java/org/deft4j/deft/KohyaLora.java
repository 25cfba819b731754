package org.deft4j.deft;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.WeightSource;

/**
 * LoRA as kohya's sd-scripts keep it, and A1111 and ComfyUI read it: {@code <flat name>.lora_down.weight} [r, in] or [r, in, kh, kw],
 * {@code .lora_up.weight} [out, r] or [out, r, 1, 1], {@code .alpha} [], the scale {@code alpha / r}, and 1 where there is
 * none. The flat names are those of {@link KohyaNames}.
 * The lengths of a DoRA are LyCORIS's {@code .dora_scale}, [out, 1] or [out, 1, 1, 1]; lengths of columns instead of rows, [1, in] (its
 * {@code wd_on_output=False}), are another method and refused.
 */
public final class KohyaLora {
  private static final String DOWN = ".lora_down.weight";
  private static final String UP = ".lora_up.weight";
  private static final String ALPHA = ".alpha";
  private static final String LENGTHS = ".dora_scale";
  /** The matrix that each ending names. */
  private static final Map<String, String> MATRICES = Map.of(DOWN, LoraAdapter.A, UP, LoraAdapter.B, LENGTHS, DoraAdapter.MAGNITUDE);

  private KohyaLora() {}

  /** Whether one of these is a name in such a file. */
  static boolean recognises(Set<String> names) {
    return names.stream().anyMatch(name -> name.startsWith("lora_unet_") || name.startsWith("lora_te"));
  }

  /**
   * Reads the adapter for {@code models}, in either style of names; not attached yet, and not in training.
   *
   * @param partial whether to leave out tensors that belong to none of their layers
   * @throws InputException listing everything that does not fit
   */
  static PipelineAdapter read(SafetensorsFile file, Map<String, Module> models, boolean partial) {
    Map<KohyaNames, String> tables = tables(models);
    requireRows(file);
    AdapterConfig config = Formats.hasLengths(file.names()) ? AdapterConfig.dora(1) : AdapterConfig.lora(1);
    AdapterReader reader = new AdapterReader(file.source(), models, config, partial, Strangers.byFlatName(tables));
    Map<AdapterReader.Site, String> flat = new LinkedHashMap<>();
    AdapterReader.Naming naming = name -> {
      int dot = name.indexOf('.');
      String matrix = dot < 0 ? null : MATRICES.get(name.substring(dot));
      if (matrix == null) {
        return null;
      }
      String flatName = name.substring(0, dot);
      for (Map.Entry<KohyaNames, String> table : tables.entrySet()) {
        String layer = table.getKey().layer(flatName);
        if (layer != null) {
          AdapterReader.Place place = new AdapterReader.Place(table.getValue(), layer, matrix);
          flat.put(place.site(), flatName);
          return place;
        }
      }
      return null;
    };
    List<String> without = new ArrayList<>();
    AdapterReader.Scale scale = (site, rank) -> {
      if (!file.names().contains(flat.get(site) + ALPHA)) {
        without.add(flat.get(site));
        return 1;
      }
      return alpha(file, flat.get(site)) / rank;
    };
    Map<String, AdapterSet> sets = reader.read(withoutAlphas(file), naming, false, scale, Map.of());
    List<String> notices = new ArrayList<>(reader.notices());
    Formats.noticeMissingAlphas(file.source(), without, sets.values(), notices);
    return new PipelineAdapter(sets, file.metadata(), notices);
  }

  /** What the adapter is, without its model; layers go by their flat names. */
  static AdapterSummary summary(SafetensorsFile file) {
    AdapterReader.Naming naming = name -> {
      int dot = name.indexOf('.');
      String matrix = dot < 0 ? null : MATRICES.get(name.substring(dot));
      return matrix == null ? null : new AdapterReader.Place(part(name), name.substring(0, dot), matrix);
    };
    return AdapterSummary.of(Formats.hasLengths(file.names()) ? AdapterConfig.dora(1) : AdapterConfig.lora(1), file, naming,
        (site, rank) -> file.names().contains(site.layer() + ALPHA) ? alpha(file, site.layer()) / rank : 1, List.of());
  }

  /** The part that a flat name is of. */
  private static String part(String flat) {
    return flat.startsWith(KohyaNames.Component.UNET.prefix()) ? "unet"
        : flat.startsWith(KohyaNames.Component.TEXT_ENCODER_2.prefix()) ? "text_encoder_2" : "text_encoder";
  }

  private static double alpha(SafetensorsFile file, String flat) {
    try (Scope _ = Scope.open()) {
      return Finite.require(file.load(flat + ALPHA), file.source() + ": " + flat + ALPHA).item();
    }
  }

  /** Without the alphas of layers; one that is alone belongs to none. */
  private static WeightSource withoutAlphas(SafetensorsFile file) {
    Set<String> layers = file.names().stream().filter(name -> !name.endsWith(ALPHA) && name.contains("."))
        .map(name -> name.substring(0, name.indexOf('.'))).collect(Collectors.toSet());
    return new Without(file, name -> name.endsWith(ALPHA) && layers.contains(name.substring(0, name.length() - ALPHA.length())));
  }

  private static void requireRows(SafetensorsFile file) {
    List<String> columns = file.names().stream().filter(name -> name.endsWith(LENGTHS) && file.shape(name).rank() > 1
        && file.shape(name).size(0) == 1 && file.shape(name).size(1) > 1).toList();
    if (!columns.isEmpty()) {
      throw new InputException(file.source() + ": " + columns.size() + " tensors, such as " + columns.getFirst() + " "
          + file.shape(columns.getFirst()) + ", hold a length for each column of a weight (LyCORIS's wd_on_output=False); in a DoRA that "
          + "can be read each row has one");
    }
  }

  /** The tables of the models' layers, each with the model's name; a single text encoder goes by two prefixes. */
  private static Map<KohyaNames, String> tables(Map<String, Module> models) {
    Map<KohyaNames, String> tables = new LinkedHashMap<>();
    models.forEach((name, model) -> components(name, models).forEach(component ->
        tables.put(KohyaNames.of(component, Targets.layers(model).keySet()), name)));
    return tables;
  }

  /** What a model's flat names may begin with; the first is what is written. */
  private static List<KohyaNames.Component> components(String model, Map<String, Module> models) {
    return switch (model) {
      case "unet" -> List.of(KohyaNames.Component.UNET);
      case "text_encoder" -> models.containsKey("text_encoder_2") ? List.of(KohyaNames.Component.TEXT_ENCODER_1)
          : List.of(KohyaNames.Component.TEXT_ENCODER, KohyaNames.Component.TEXT_ENCODER_1);
      case "text_encoder_2" -> List.of(KohyaNames.Component.TEXT_ENCODER_2);
      default -> List.of();
    };
  }

  /**
   * Writes a LoRA or DoRA.
   *
   * @param models the pipeline's models, all of them: their layers make the table of names
   * @param style of the UNet's names; those of SDXL are usually {@link KohyaNames.Style#SGM}
   * @param type F32, F16 or BF16
   * @param title for people
   * @throws InputException if the adapter is no LoRA, or a layer has no such name
   */
  public static void write(Path file, PipelineAdapter adapter, Map<String, Module> models, KohyaNames.Style style, DType type,
      String title) {
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      adapter.sets().forEach((model, set) -> {
        List<KohyaNames.Component> components = components(model, models);
        if (components.isEmpty()) {
          throw new InputException("kohya's format has no names for the layers of a " + model);
        }
        KohyaNames names = KohyaNames.of(components.getFirst(), Targets.layers(models.get(model)).keySet());
        set.adapters().forEach((layer, one) -> {
          LoraAdapter lora = LoraAdapter.of(one);
          String flat = names.flat(layer, style);
          tensors.put(flat + ALPHA, LoraAdapter.alphaTensor(lora.openScale() * lora.rank(), type));
          tensors.put(flat + DOWN, Finite.cast(lora.tensors().get(LoraAdapter.A), type, layer));
          tensors.put(flat + UP, Finite.cast(LoraAdapter.stored(lora.layer(), lora.tensors().get(LoraAdapter.B)), type, layer));
          if (lora instanceof DoraAdapter) {
            tensors.put(flat + LENGTHS, Finite.cast(DoraAdapter.kohya(lora.layer(), lora.tensors().get(DoraAdapter.MAGNITUDE)), type, layer));
          }
        });
      });
      SafetensorsWriter.write(file, tensors, metadata(adapter, models, style, title).forFile(tensors));
    }
  }

  private static KohyaMetadata metadata(PipelineAdapter adapter, Map<String, Module> models, KohyaNames.Style style, String title) {
    AdapterConfig usual = AdapterReader.described(adapter.sets().values().iterator().next().adapters());
    KohyaMetadata.Base base = models.containsKey("text_encoder_2") ? KohyaMetadata.Base.SDXL : KohyaMetadata.Base.SD_1;
    Map<String, String> read = AdapterMetadata.without(adapter.metadata(), AdapterMetadata.PEFT_FIELDS, AdapterMetadata.AUTHORS_CONFIG);
    return new KohyaMetadata(read).withNetwork(base, style, title, usual.rank(), usual.alpha() == null ? usual.rank() : usual.alpha());
  }
}
