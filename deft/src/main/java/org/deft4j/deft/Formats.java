package org.deft4j.deft;

import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;

/** Which tool's naming the tensors of an adapter file follow. */
final class Formats {
  /** How the authors' names end in a DEFT, a LoRA and a PaRa: after the layer, without PEFT's {@code .weight}. */
  private static final List<String> AUTHORS = List.of(".R_new", ".lora_A", ".lora_B", ".B", ".B_dense", ".W");

  private Formats() {}

  /** {@code "; the names are ..."} for namings that are known, but not read; empty where these are none. */
  static String unsupported(Collection<String> names) {
    if (isLycoris(names)) {
      return "; the names are LoHa's or LoKr's of LyCORIS, which are not supported";
    }
    if (hasLengths(names)) {
      return "; it has the lengths of a DoRA, which belong to no layer of this model, or its adapter_config.json does not tell (use_dora)";
    }
    if (any(names, name -> name.endsWith(".lora_mid.weight"))) {
      return "; it has the middle matrices of a Tucker decomposition, which is not supported";
    }
    return "";
  }

  /** {@link #unsupported}, or whose names these are, though of other layers, or that they are nobody's. */
  static String guess(Collection<String> names) {
    String unsupported = unsupported(names);
    if (!unsupported.isEmpty()) {
      return unsupported;
    }
    if (any(names, name -> name.startsWith("lora_unet_") || name.startsWith("lora_te"))) {
      return "; the names are kohya's, so it was trained on another model, or adapts a part that is not there";
    }
    if (any(names, name -> name.contains(AuthorsFiles.LAYER + ".P") || AUTHORS.stream().anyMatch(name::endsWith))) {
      return "; the names are those of the DEFT authors' code, so it was trained on another model";
    }
    if (any(names, name -> name.startsWith("base_model.model."))) {
      return "; the names are PEFT's, so it was trained on another model, or with other targets";
    }
    if (any(names, name -> name.startsWith("unet.") || name.startsWith("text_encoder"))) {
      return "; the names are diffusers', so it was trained on another model, or adapts a part that is not there";
    }
    return "; the names follow no known adapter format (PEFT: base_model.model.<layer>.deft_P, diffusers: "
        + "unet.<layer>.lora_A.weight, kohya: lora_unet_<layer>.lora_down.weight)";
  }

  /** Whether a LoHa or LoKr has tensors of these names. */
  static boolean isLycoris(Collection<String> names) {
    return any(names, name -> name.contains(".hada_w") || name.contains(".lokr_w"));
  }

  /** Whether a DoRA has tensors of these names. */
  static boolean hasLengths(Collection<String> names) {
    return any(names, name -> name.endsWith(".dora_scale") || name.contains("." + DoraAdapter.MAGNITUDE));
  }

  /**
   * Says that layers of a file have no alpha, if any lack it: a scale of 1 that nobody asked for may be many times the one that they were
   * trained with.
   */
  static void noticeMissingAlphas(String source, List<String> without, Collection<AdapterSet> sets, List<String> notices) {
    if (!without.isEmpty()) {
      notices.add(source + ": " + without.size() + " of " + sets.stream().mapToInt(set -> set.adapters().size()).sum()
          + " layers have no alpha, such as " + without.getFirst() + "; it was taken to be the rank there (scale 1)");
    }
  }

  private static boolean any(Collection<String> names, Predicate<String> test) {
    return names.stream().anyMatch(test);
  }
}
