package org.deft4j.weights;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** The families of single-file checkpoints that can be read, and the configurations their makers published. */
public enum SingleFileFamily {
  /** Stable Diffusion 1.x. */
  SD15("Stable Diffusion 1.5", "sd-1.5", "cond_stage_model.transformer.", null),
  /** Stable Diffusion XL, base. */
  SDXL("Stable Diffusion XL", "sdxl-base-1.0", "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model.");

  private final String title;
  private final String folder;
  private final String textPrefix;
  private final String openClipPrefix;

  SingleFileFamily(String title, String folder, String textPrefix, String openClipPrefix) {
    this.title = title;
    this.folder = folder;
    this.textPrefix = textPrefix;
    this.openClipPrefix = openClipPrefix;
  }

  String title() {
    return title;
  }

  String textPrefix() {
    return textPrefix;
  }

  Optional<String> openClipPrefix() {
    return Optional.ofNullable(openClipPrefix);
  }

  /** Which family these names are of. */
  static SingleFileFamily of(String source, Set<String> names) {
    if (!has(names, SingleFileMap.UNET_PREFIX)) {
      throw new FormatException(source + ": is not a single-file checkpoint of Stable Diffusion: no name starts with "
          + SingleFileMap.UNET_PREFIX);
    }
    for (SingleFileFamily family : values()) {
      if (has(names, family.textPrefix) && (family.openClipPrefix == null || has(names, family.openClipPrefix))) {
        return family;
      }
    }
    String found = has(names, "cond_stage_model.model.") ? "a checkpoint of Stable Diffusion 2"
        : has(names, "conditioner.embedders.0.model.") ? "a checkpoint of the Stable Diffusion XL refiner"
            : "a checkpoint without the text encoders of Stable Diffusion 1.5 or XL";
    throw new FormatException(source + ": is " + found + "; supported are "
        + Text.list(List.of(SD15.title, SDXL.title)) + " with their text encoders");
  }

  private static boolean has(Set<String> names, String prefix) {
    return names.stream().anyMatch(name -> name.startsWith(prefix));
  }

  /**
   * The published configuration of a part ({@code unet}, {@code vae}, ...), or {@code model_index}.
   *
   * @throws FormatException if the family has no such part
   */
  public JsonObject published(String part) {
    String resource = "published/" + folder + "/" + part + ".json";
    try (InputStream in = SingleFileFamily.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new FormatException(title + ": has no configuration of a part " + Text.quote(part));
      }
      return Json.parse(new String(in.readAllBytes(), StandardCharsets.UTF_8), title + "'s published " + part);
    } catch (IOException e) {
      throw new UncheckedIOException(resource, e);
    }
  }
}
