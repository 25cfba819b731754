package org.deft4j.deft;

import java.util.Collection;
import java.util.function.Predicate;

/** Which tool's naming the tensors of an adapter file follow. */
final class Formats {
  private Formats() {}

  /** {@code "; these look like ..."} for namings that are known but not read here, else nothing. */
  static String guess(Collection<String> names) {
    if (any(names, name -> name.startsWith("lora_unet_") || name.startsWith("lora_te"))) {
      return "; the names are kohya's, which are not read yet";
    }
    if (any(names, name -> name.contains(".lora_layer.P"))) {
      return "; the names are those of the DEFT authors' SDXL code, which are not read yet";
    }
    if (any(names, name -> name.startsWith("text_encoder"))) {
      return "; it also adapts a text encoder, which is not supported yet";
    }
    if (any(names, name -> name.startsWith("base_model.model."))) {
      return "; the names are PEFT's, so it was trained on another model, or with other targets";
    }
    if (any(names, name -> name.startsWith("unet."))) {
      return "; the names are diffusers', so it was trained on another model";
    }
    return "; the names follow no known adapter format (PEFT: base_model.model.<layer>.deft_P, diffusers: "
        + "unet.<layer>.lora_A.weight)";
  }

  private static boolean any(Collection<String> names, Predicate<String> test) {
    return names.stream().anyMatch(test);
  }
}
