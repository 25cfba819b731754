package org.deft4j.deft.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.deft4j.weights.Json;

/**
 * How a picture was made, for its text chunks: {@code parameters} as AUTOMATIC1111's program writes it, which many others
 * read, and {@code deft4j}, a JSON object for programs. Models and adapters go by name; no path is in it.
 *
 * @param negative null where nothing was said
 * @param words what {@code parameters} says beside the texts, model and adapters, under that program's names
 * @param settings what {@code deft4j} says beside model and adapters
 * @param adapters their names and strengths, and, of several, how they act together, are told
 */
record PictureText(String prompt, String negative, Map<String, Object> words, Map<String, Object> settings, String model,
    AdapterArguments adapters) {

  /** The chunks by keyword. */
  Map<String, String> chunks() {
    Map<String, String> chunks = new LinkedHashMap<>();
    chunks.put("parameters", parameters());
    chunks.put("deft4j", Json.format(fields()));
    return chunks;
  }

  private String parameters() {
    String text = prompt + (negative == null ? "" : "\nNegative prompt: " + negative) + "\n"
        + words.entrySet().stream().map(word -> word.getKey() + ": " + word.getValue()).collect(Collectors.joining(", "))
        + ", Model: " + model;
    List<String> labels = adapters.labels();
    return labels.isEmpty() ? text : text + ", Adapters: \"" + String.join(", ", labels) + "\""
        + adapters.composition().map(how -> ", Compose: " + how).orElse("");
  }

  /** The same as fields. */
  Map<String, Object> fields() {
    Map<String, Object> fields = new LinkedHashMap<>(settings);
    fields.put("model", model);
    fields.put("adapters", adapters.labels());
    adapters.composition().ifPresent(how -> fields.put("compose", how));
    return fields;
  }
}
