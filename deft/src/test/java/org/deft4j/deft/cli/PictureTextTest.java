package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.deft4j.deft.ReadOptions;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

/** What a picture says of how it was made. */
class PictureTextTest {
  /** How AUTOMATIC1111's program takes the last line apart (its {@code re_param}). */
  private static final Pattern FIELD = Pattern.compile("\\s*(\\w[\\w \\-/]+):\\s*(\"(?:\\\\.|[^\\\\\"])+\"|[^,]*)(?:,|$)");

  private static Map<String, String> chunks(boolean inSequence, AdapterArgument... adapters) {
    Map<String, Object> words = new LinkedHashMap<>(Map.of("Steps", 2));
    return new PictureText("a toy", null, words, Map.of("steps", 2), "tiny",
        new AdapterArguments(List.of(adapters), inSequence, ReadOptions.STRICT)).chunks();
  }

  private static Map<String, String> fields(Map<String, String> chunks) {
    Map<String, String> fields = new LinkedHashMap<>();
    Matcher field = FIELD.matcher(chunks.get("parameters").lines().toList().getLast());
    while (field.find()) {
      fields.put(field.group(1), field.group(2));
    }
    return fields;
  }

  @Test
  void severalAdaptersAreToldWithTheWayTheyAct() {
    AdapterArgument dog = new AdapterArgument(Path.of("runs/dog"), 0.5);
    AdapterArgument style = new AdapterArgument(Path.of("style.safetensors"), 1);
    for (boolean inSequence : new boolean[] {false, true}) {
      String how = inSequence ? "sequence" : "sum";
      Map<String, String> chunks = chunks(inSequence, dog, style);
      assertEquals(Map.of("Steps", "2", "Model", "tiny", "Adapters", "\"dog:0.5, style.safetensors:1\"", "Compose", how), fields(chunks));
      JsonObject json = Json.parse(chunks.get("deft4j"), "text");
      assertEquals(List.of("dog:0.5", "style.safetensors:1"), json.requireStrings("adapters"));
      assertEquals(how, json.requireString("compose"));
      Map<String, String> one = chunks(inSequence, dog);
      assertEquals(Map.of("Steps", "2", "Model", "tiny", "Adapters", "\"dog:0.5\""), fields(one));
      assertFalse(Json.parse(one.get("deft4j"), "text").has("compose"));
      assertEquals(Map.of("Steps", "2", "Model", "tiny"), fields(chunks(inSequence)));
    }
  }
}
