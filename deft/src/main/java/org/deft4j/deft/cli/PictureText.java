package org.deft4j.deft.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.deft4j.weights.Json;

/**
 * How a picture was made, for its text chunks: {@code parameters} as AUTOMATIC1111's program writes it, which many others
 * read, and {@code deft4j}, a JSON object for programs. Models and adapters go by name; no path is in it.
 */
record PictureText(String prompt, String negative, long seed, int steps, String scheduler, double guidance, int width,
    int height, String model, List<String> adapters) {

  /** The chunks by keyword. */
  Map<String, String> chunks() {
    Map<String, String> chunks = new LinkedHashMap<>();
    chunks.put("parameters", parameters());
    chunks.put("deft4j", Json.format(fields()));
    return chunks;
  }

  private String parameters() {
    String text = prompt + (negative == null ? "" : "\nNegative prompt: " + negative) + String.format(Locale.ROOT,
        "%nSteps: %d, Sampler: %s, CFG scale: %s, Seed: %d, Size: %dx%d, Model: %s", steps, scheduler, guidance, seed, width,
        height, model).replace(System.lineSeparator(), "\n");
    return adapters.isEmpty() ? text : text + ", Adapters: \"" + String.join(", ", adapters) + "\"";
  }

  /** The same as fields. */
  Map<String, Object> fields() {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("prompt", prompt);
    fields.put("negative", negative);
    fields.put("seed", seed);
    fields.put("steps", steps);
    fields.put("scheduler", scheduler);
    fields.put("guidance", guidance);
    fields.put("width", width);
    fields.put("height", height);
    fields.put("model", model);
    fields.put("adapters", adapters);
    return fields;
  }
}
