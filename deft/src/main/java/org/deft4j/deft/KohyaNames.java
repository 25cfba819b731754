package org.deft4j.deft;

import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.weights.LdmUNetNames;

/**
 * The flat names that kohya's sd-scripts give a model's layers in LoRA files, against their paths in the model. A flat name
 * is a prefix for the model's component and the path with {@code _} for every dot, which no rule can undo
 * ({@code to_out.0} and {@code to_q} both have a {@code _}): this is a table, made from the paths of the layers of one model.
 * A denoising network's layers are known by two paths, see {@link Style}, and are found under either.
 */
public final class KohyaNames {
  private static final String WEIGHT = ".weight";

  private final Component component;
  private final Map<String, Map<Style, String>> flat = new LinkedHashMap<>();
  private final Map<String, String> layers = new LinkedHashMap<>();

  /** A model whose layers a file adapts, and what its flat names begin with. */
  public enum Component {
    /** The denoising network. */
    UNET("lora_unet_"),
    /** The text encoder of a pipeline that has one, as Stable Diffusion 1.5. */
    TEXT_ENCODER("lora_te_"),
    /** The first of two text encoders, as of Stable Diffusion XL. */
    TEXT_ENCODER_1("lora_te1_"),
    /** The second of two text encoders. */
    TEXT_ENCODER_2("lora_te2_");

    private final String prefix;

    Component(String prefix) {
      this.prefix = prefix;
    }

    /** What every flat name of it begins with, and none of another component. */
    public String prefix() {
      return prefix;
    }
  }

  /** Whose path of a denoising network's layer is made flat; a text encoder's layer has the same in both. */
  public enum Style {
    /** Diffusers', {@code down_blocks_1_attentions_0_proj_in}; kohya's own for Stable Diffusion 1.5. */
    DIFFUSERS,
    /** That of single-file checkpoints, {@code input_blocks_4_1_proj_in}; kohya's own for Stable Diffusion XL. */
    SGM
  }

  private KohyaNames(Component component) {
    this.component = component;
  }

  /**
   * The table of a model.
   *
   * @param layerPaths the paths of its linear and convolution layers, all of them, adapted or not: in a UNet they tell how
   *     the blocks are counted
   * @throws InputException naming layers that would have the same flat name
   */
  public static KohyaNames of(Component component, Collection<String> layerPaths) {
    KohyaNames names = new KohyaNames(component);
    List<String> weights = layerPaths.stream().map(path -> path + WEIGHT).toList();
    LdmUNetNames unet = component == Component.UNET ? LdmUNetNames.ofDiffusers(weights) : null;
    for (String path : layerPaths) {
      names.add(path, Style.DIFFUSERS, path);
      String ldm = unet == null ? path + WEIGHT : unet.ldm(path + WEIGHT);
      if (ldm != null) {
        names.add(path, Style.SGM, ldm.substring(0, ldm.length() - WEIGHT.length()));
      }
    }
    return names;
  }

  private void add(String layer, Style style, String path) {
    String name = component.prefix() + path.replace('.', '_');
    String other = layers.putIfAbsent(name, layer);
    if (other != null && !other.equals(layer)) {
      throw new InputException("the layers " + other + " and " + layer + " would both be called " + name
          + " in a kohya file; such a model has no kohya names");
    }
    flat.computeIfAbsent(layer, _ -> new LinkedHashMap<>()).put(style, name);
  }

  /** The model's part in the pipeline. */
  public Component component() {
    return component;
  }

  /** The path of the layer with this flat name, in whichever style; null where the model has none. */
  public String layer(String flatName) {
    return layers.get(flatName);
  }

  /** The path of every layer by its flat names, in both styles. */
  Map<String, String> layers() {
    return Collections.unmodifiableMap(layers);
  }

  /**
   * The flat name of the layer at this path.
   *
   * @throws InputException if it is no layer of the model, or the style has no name for it
   */
  public String flat(String layer, Style style) {
    Map<Style, String> names = flat.get(layer);
    if (names == null) {
      throw new InputException("layer " + layer + " is not one of the " + flat.size() + " that have kohya names"
          + Nearest.hint(layer, flat.keySet()));
    }
    String name = names.get(style);
    if (name == null) {
      throw new InputException("layer " + layer + " has no name in single-file checkpoints of Stable Diffusion, hence none in "
          + "kohya's SGM style; its name in the style of diffusers is " + names.get(Style.DIFFUSERS));
    }
    return name;
  }
}
