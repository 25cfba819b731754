package org.deft4j.deft;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * What an adapter's file says about itself, as strings by key: the entries of a safetensors header, kept for writing. Some hold of files of
 * one layout alone, because they tell of its tensors: those of kohya's network and hashes ({@link KohyaMetadata#withoutNetwork}), PEFT's
 * fields in a file of diffusers, and the configuration beside a file of the DEFT authors.
 */
final class AdapterMetadata {
  /** PEFT's fields of each model in diffusers' header, a JSON object in a string. */
  static final String PEFT_FIELDS = "lora_adapter_metadata";
  /** The configuration beside a file of the DEFT authors, a JSON object in a string. */
  static final String AUTHORS_CONFIG = "authors_config";

  private AdapterMetadata() {}

  /** What holds whatever the layout. */
  static Map<String, String> plain(Map<String, String> metadata) {
    return without(new KohyaMetadata(metadata).withoutNetwork().entries(), PEFT_FIELDS, AUTHORS_CONFIG);
  }

  /** Less {@code keys}. */
  static Map<String, String> without(Map<String, String> metadata, String... keys) {
    Map<String, String> kept = new LinkedHashMap<>(metadata);
    kept.keySet().removeAll(Set.of(keys));
    return kept;
  }
}
