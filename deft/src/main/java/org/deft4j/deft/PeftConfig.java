package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.weights.JsonObject;

/**
 * PEFT's {@code adapter_config.json} (version 0.20): {@code peft_type} DEFT, with {@code para} for PaRa, or LORA. A
 * decomposition that PEFT does not know is written under its own name, so that PEFT refuses the file instead of reading it
 * as something else.
 */
final class PeftConfig {
  /** The file's name. */
  static final String FILE = "adapter_config.json";

  private static final String DEFT = "DEFT";
  private static final String LORA = "LORA";

  private PeftConfig() {}

  /**
   * What the file says.
   *
   * @throws InputException listing what is not understood or not supported
   */
  static AdapterConfig parse(JsonObject json) {
    List<String> problems = new ArrayList<>();
    String type = json.requireString("peft_type");
    if (!type.equals(DEFT) && !type.equals(LORA)) {
      throw new InputException(json.source() + ": peft_type " + type + " is not supported; DEFT and LORA are");
    }
    refuse(problems, json, "bias", "none");
    refuse(problems, json, "modules_to_save", null);
    refuse(problems, json, "fan_in_fan_out", false);
    refuse(problems, json, "layers_to_transform", null);
    refuse(problems, json, "use_dora", false);
    AdapterConfig config = null;
    try {
      config = type.equals(LORA) ? lora(json) : deft(json);
    } catch (InputException e) {
      e.problems().forEach(problem -> problems.add(json.source() + ": " + problem));
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return config;
  }

  private static void refuse(List<String> problems, JsonObject json, String key, Object usual) {
    Object value = json.get(key);
    if (value != null && !value.equals(usual) && !value.equals(List.of())) {
      problems.add(json.source() + ": " + key + " " + value + " is not supported"
          + (usual == null ? "; it must be absent" : "; it must be " + usual));
    }
  }

  private static AdapterConfig deft(JsonObject json) {
    Method method = json.bool("para", false) ? Method.PARA : Method.DEFT;
    Decomposition decomposition = Decomposition.named(json.string("decomposition_method", "relu"));
    return new AdapterConfig(method, decomposition, json.requireInteger("r"), positive(json, "alpha"), targets(json),
        json.bool("init_weights", true), json.number("init_scale", 1));
  }

  private static AdapterConfig lora(JsonObject json) {
    int rank = json.requireInteger("r");
    double alpha = json.number("lora_alpha", 8);
    return new AdapterConfig(Method.LORA, null, rank, json.bool("use_rslora", false) ? alpha * Math.sqrt(rank) : alpha,
        targets(json), true, 1);
  }

  /** null and 0 both mean: no scaling. */
  private static Double positive(JsonObject json, String key) {
    double value = json.number(key, 0);
    return value == 0 ? null : value;
  }

  private static Targets targets(JsonObject json) {
    return new Targets(Targets.rule("target_modules", json.get("target_modules")),
        Targets.rule("exclude_modules", json.get("exclude_modules")));
  }

  /**
   * LoRA's {@code alpha_pattern}: the alpha of the layer at {@code path} where one of its keys, a regular expression,
   * matches the end of the path; else {@code usual}.
   */
  static double alpha(JsonObject json, String path, double usual) {
    return json.isObject("alpha_pattern") ? json.requireObject("alpha_pattern").asMap().entrySet().stream()
        .filter(entry -> path.matches("(.*\\.)?(" + entry.getKey() + ")") && entry.getValue() instanceof Number)
        .map(entry -> ((Number) entry.getValue()).doubleValue()).findFirst().orElse(usual) : usual;
  }

  /** The file for {@code config}; {@code baseModel} is a name, not a path. */
  static Map<String, Object> write(AdapterConfig config, String baseModel) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("peft_type", config.method() == Method.LORA ? LORA : DEFT);
    json.put("auto_mapping", null);
    json.put("base_model_name_or_path", baseModel);
    json.put("revision", null);
    json.put("task_type", null);
    json.put("inference_mode", true);
    json.put("r", config.rank());
    json.put("target_modules", Targets.notation(config.targets().include()));
    json.put("exclude_modules", Targets.notation(config.targets().exclude()));
    if (config.method() == Method.LORA) {
      json.put("lora_alpha", whole(config.alpha() == null ? (double) config.rank() : config.alpha()));
      json.put("lora_dropout", 0.0);
      json.put("fan_in_fan_out", false);
      json.put("use_rslora", false);
      json.put("use_dora", false);
      json.put("init_lora_weights", "gaussian");
      json.put("rank_pattern", Map.of());
      json.put("alpha_pattern", Map.of());
    } else {
      json.put("decomposition_method", config.decomposition().method());
      json.put("init_scale", config.initScale());
      json.put("alpha", config.alpha() == null ? null : whole(config.alpha()));
      json.put("para", config.method() == Method.PARA);
      json.put("fan_in_fan_out", false);
      json.put("deft_dropout", 0.0);
      json.put("init_weights", config.identityStart());
    }
    json.put("layers_to_transform", null);
    json.put("layers_pattern", null);
    json.put("bias", "none");
    json.put("modules_to_save", null);
    return json;
  }

  /** A whole number is written as one. */
  private static Object whole(double value) {
    return value == Math.rint(value) && Math.abs(value) < Integer.MAX_VALUE ? (Object) (int) value : (Object) value;
  }
}
