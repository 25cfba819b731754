package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.PatternSyntaxException;
import org.deft4j.weights.JsonObject;

/**
 * PEFT's {@code adapter_config.json} (version 0.20): {@code peft_type} DEFT, with {@code para} for PaRa, or LORA, with
 * {@code use_dora} for DoRA. A
 * decomposition that PEFT does not know is written under its own name, and what PEFT has no field for (a gate, a mask, left-out singular
 * vectors, LoRA with PaRa) under a {@code peft_type} of its own, DEFT4J, so that PEFT refuses the file instead of reading it
 * as something else.
 */
final class PeftConfig {
  /** The file's name. */
  static final String FILE = "adapter_config.json";

  private static final String DEFT = "DEFT";
  private static final String LORA = "LORA";
  private static final String OWN = "DEFT4J";
  private static final String RANKS = "rank_pattern";
  private static final String TARGETS = "target_modules";
  private static final String EXCLUDED = "exclude_modules";
  private static final String INDICES = "layers_to_transform";
  private static final String PATTERNS = "layers_pattern";
  private static final String GATE = "gate";
  private static final String GATED_LORA = "lora";
  private static final String SPARSITY = "sparsity";
  private static final String LAYER_DROPOUT = "layer_dropout";
  private static final String REMOVAL_DROPOUT = "removal_dropout";
  private static final String LORA_PARA = "lora_para";
  private static final String COLUMNS = "kept_columns";
  private static final String VARIANCE = "kept_variance";

  private PeftConfig() {}

  /**
   * What the file says.
   *
   * @throws InputException listing what is not understood or not supported
   */
  static AdapterConfig parse(JsonObject json) {
    List<String> problems = new ArrayList<>();
    String type = json.requireString("peft_type");
    if (!type.equals(DEFT) && !type.equals(LORA) && !type.equals(OWN)) {
      throw new InputException(json.source() + ": peft_type " + type + " is not supported; DEFT, LORA and " + OWN + " are");
    }
    refuse(problems, json, "bias", "none");
    refuse(problems, json, "modules_to_save", null);
    AdapterConfig config = null;
    try {
      config = type.equals(LORA) || json.bool(GATED_LORA, false) ? lora(json) : deft(json);
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
    Method method = json.bool("para", false) ? Method.PARA : json.bool(LORA_PARA, false) ? Method.LORA_PARA : Method.DEFT;
    Truncation truncation = new Truncation((long) json.number(COLUMNS, Long.MAX_VALUE), json.number(VARIANCE, 1));
    Decomposition decomposition = Decomposition.named(json.string("decomposition_method", "relu")).truncated(truncation);
    // PEFT's PaRa has PEFT's field too, but nothing that it could drop.
    Dropout dropout = dropout(json, method == Method.PARA ? REMOVAL_DROPOUT : "deft_dropout");
    return new AdapterConfig(method, decomposition, json.requireInteger("r"), positive(json, "alpha"), targets(json),
        json.bool("init_weights", true) ? Start.IDENTITY : Start.RANDOM, json.number("init_scale", 1),
        new AdapterExtras(dropout, json.bool(GATE, false), json.number(SPARSITY, 0)));
  }

  private static AdapterConfig lora(JsonObject json) {
    int rank = json.requireInteger("r");
    double alpha = json.number("lora_alpha", 8);
    return new AdapterConfig(json.bool("use_dora", false) ? Method.DORA : Method.LORA, null, rank,
        json.bool("use_rslora", false) ? alpha * Math.sqrt(rank) : alpha, targets(json), Start.IDENTITY, 1,
        new AdapterExtras(dropout(json, "lora_dropout"), json.bool(GATE, false), 0));
  }

  /** Of the whole layer, or of what {@code key} says. */
  private static Dropout dropout(JsonObject json, String key) {
    double whole = json.number(LAYER_DROPOUT, 0);
    return whole > 0 ? new Dropout(whole, true) : new Dropout(json.number(key, 0), false);
  }

  /** null and 0 both mean: no scaling. */
  private static Double positive(JsonObject json, String key) {
    double value = json.number(key, 0);
    return value == 0 ? null : value;
  }

  private static Targets targets(JsonObject json) {
    Targets.Rule include = Targets.rule(TARGETS, json.get(TARGETS));
    List<Integer> indices = integers(json, INDICES);
    return new Targets(indices.isEmpty() ? include : new Targets.Indexed(include, indices, strings(json, PATTERNS)),
        Targets.rule(EXCLUDED, json.get(EXCLUDED)));
  }

  /** A list, or what would be alone in it; none where there is nothing. */
  private static List<Integer> integers(JsonObject json, String key) {
    return json.isList(key) ? json.requireInts(key) : json.get(key) == null ? List.of() : List.of(json.requireInteger(key));
  }

  private static List<String> strings(JsonObject json, String key) {
    return json.isList(key) ? json.requireStrings(key) : json.get(key) == null ? List.of() : List.of(json.requireString(key));
  }

  /**
   * The s of a LoRA's layer at {@code path} with this rank.
   *
   * @param prefix what the keys of {@code json} begin with: nothing in PEFT's own file
   * @throws InputException if a key of {@code alpha_pattern} is no regular expression
   */
  static double loraScale(JsonObject json, String prefix, String path, long rank) {
    double divisor = json.bool(prefix + "use_rslora", false) ? Math.sqrt((double) rank) : (double) rank;
    return alpha(json, prefix, path) / divisor;
  }

  /** That of the first key of {@code alpha_pattern}, a regular expression, that matches the end of the path; else {@code lora_alpha}. */
  private static double alpha(JsonObject json, String prefix, String path) {
    if (json.has(prefix + "alpha_pattern")) {
      JsonObject patterns = json.requireObject(prefix + "alpha_pattern");
      for (String key : patterns.keys()) {
        if (matchesEnd(json, key, path)) {
          return patterns.requireNumber(key);
        }
      }
    }
    return json.number(prefix + "lora_alpha", 8);
  }

  private static boolean matchesEnd(JsonObject json, String key, String path) {
    try {
      return Targets.expression("(.*\\.)?(" + key + ")").matcher(path).matches();
    } catch (PatternSyntaxException e) {
      throw new InputException(json.source() + ": alpha_pattern: '" + key + "' is not a regular expression: " + e.getDescription(), e);
    }
  }

  /** The file for {@code set}; {@code baseModel} is a name, not a path. */
  static Map<String, Object> write(AdapterSet set, String baseModel) {
    AdapterConfig config = set.config();
    Map<String, Object> json = new LinkedHashMap<>();
    Map<String, Object> own = own(set);
    Dropout dropout = config.extras().dropout();
    boolean removal = config.method() == Method.PARA && !dropout.wholeLayer() && dropout.probability() > 0;
    double injectionDropout = dropout.wholeLayer() || removal ? 0 : dropout.probability();
    json.put("peft_type", !own.isEmpty() ? OWN : config.method().isLora() ? LORA : DEFT);
    json.put("auto_mapping", null);
    json.put("base_model_name_or_path", baseModel);
    json.put("revision", null);
    json.put("task_type", null);
    json.put("inference_mode", true);
    json.put("r", config.rank());
    json.put(TARGETS, Targets.notation(config.targets().include()));
    json.put(EXCLUDED, Targets.notation(config.targets().exclude()));
    if (config.method().isLora()) {
      json.put("lora_alpha", whole(config.alpha() == null ? (double) config.rank() : config.alpha()));
      json.put("lora_dropout", injectionDropout);
      json.put("fan_in_fan_out", false);
      json.put("use_rslora", false);
      json.put("use_dora", config.method() == Method.DORA);
      json.put("init_lora_weights", "gaussian");
      patterns(json, set);
    } else {
      json.put("decomposition_method", config.decomposition().method());
      json.put("init_scale", config.initScale());
      json.put("alpha", config.alpha() == null ? null : whole(config.alpha()));
      json.put("para", config.method() == Method.PARA);
      json.put("fan_in_fan_out", false);
      json.put("deft_dropout", injectionDropout);
      json.put("init_weights", config.start() == Start.IDENTITY);
    }
    Targets.Indexed indexed = config.targets().include() instanceof Targets.Indexed rule ? rule : null;
    json.put(INDICES, indexed == null ? null : indexed.indices());
    json.put(PATTERNS, indexed == null ? null : indexed.patterns());
    json.put("bias", "none");
    json.put("modules_to_save", null);
    json.putAll(own);
    if (dropout.wholeLayer()) {
      json.put(LAYER_DROPOUT, dropout.probability());
    }
    if (removal) {
      json.put(REMOVAL_DROPOUT, dropout.probability());
    }
    return json;
  }

  /** {@code fields} with these layers, by their whole paths, for targets; nothing where there are none. */
  static Map<String, Object> targeting(Map<String, Object> fields, List<String> paths) {
    Map<String, Object> changed = new LinkedHashMap<>(fields);
    if (!fields.isEmpty()) {
      changed.put(TARGETS, paths);
      changed.keySet().removeAll(List.of(EXCLUDED, INDICES, PATTERNS));
    }
    return changed;
  }

  /** What PEFT would get wrong if it did not know it. */
  private static Map<String, Object> own(AdapterSet set) {
    AdapterConfig config = set.config();
    Map<String, Object> own = new LinkedHashMap<>();
    if (!config.method().isLora()) {
      Map<String, Object> ranks = new LinkedHashMap<>();
      set.adapters().forEach((path, adapter) -> {
        if (adapter.rank() != config.rankFor(adapter.layer().weight().shape().size(0))) {
          ranks.put(path, adapter.rank());
        }
      });
      if (!ranks.isEmpty()) {
        own.put(RANKS, ranks);
      }
    }
    if (config.method() == Method.LORA_PARA) {
      own.put(LORA_PARA, true);
    }
    if (config.extras().gate()) {
      own.put(GATE, true);
      if (config.method().isLora()) {
        own.put(GATED_LORA, true);
      }
    }
    if (config.extras().sparsity() > 0) {
      own.put(SPARSITY, config.extras().sparsity());
    }
    Truncation truncation = config.decomposition() == null ? Truncation.NONE : config.decomposition().truncation();
    if (truncation.columns() < Long.MAX_VALUE) {
      own.put(COLUMNS, truncation.columns());
    }
    if (truncation.variance() < 1) {
      own.put(VARIANCE, truncation.variance());
    }
    return own;
  }

  /** The ranks and alphas of the layers that have others than most. */
  private static void patterns(Map<String, Object> json, AdapterSet set) {
    AdapterConfig config = set.config();
    double usual = config.alpha() == null ? config.rank() : config.alpha();
    Map<String, Object> ranks = new LinkedHashMap<>();
    Map<String, Object> alphas = new LinkedHashMap<>();
    set.adapters().forEach((path, adapter) -> {
      LoraAdapter lora = LoraAdapter.of(adapter);
      if (lora.rank() != config.rank()) {
        ranks.put(path, lora.rank());
      }
      if (lora.alpha() != usual) {
        alphas.put(path, whole(lora.alpha()));
      }
    });
    json.put(RANKS, ranks);
    json.put("alpha_pattern", alphas);
  }

  /** A whole number is written as one. */
  private static Object whole(double value) {
    return value == Math.rint(value) && Math.abs(value) < Integer.MAX_VALUE ? (Object) (int) value : (Object) value;
  }
}
