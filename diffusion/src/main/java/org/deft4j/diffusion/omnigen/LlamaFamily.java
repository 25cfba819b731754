package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.JsonObject;

/** Whether a {@code tokenizer.json} is one of Llama's family, in either of the forms in which it is written. */
final class LlamaFamily {
  private static final Map<String, Object> PREPEND = Map.of("type", "Prepend", "prepend", LlamaTokenizer.SPACE);
  private static final Map<String, Object> REPLACE =
      Map.of("type", "Replace", "pattern", Map.of("String", " "), "content", LlamaTokenizer.SPACE);
  private static final Map<String, Object> NORMALIZER =
      Map.of("type", "Sequence", "normalizers", List.of(PREPEND, REPLACE));

  private LlamaFamily() {}

  /** @throws FormatException in one sentence that names all that is strange */
  static void require(JsonObject file) {
    List<String> strange = new ArrayList<>();
    model(file.requireObject("model"), strange);
    if (!isOldForm(file) && !isNewForm(file)) {
      strange.add("normalizer " + describe(file.get("normalizer")));
      strange.add("pre-tokenizer " + describe(file.get("pre_tokenizer")));
    }
    if (begin(file) == null) {
      strange.add("post-processor " + describe(file.get("post_processor")));
    }
    if (!strange.isEmpty()) {
      throw new FormatException(file.source() + ": is a tokenizer of another family (" + String.join(", ", strange)
          + "); OmniGen has one of Llama's: BPE with byte fallback, spaces made \u2581 by the normalizers Prepend and Replace or "
          + "by the pre-tokenizer Metaspace (first, not split), and a template of one token and the text");
    }
  }

  private static void model(JsonObject model, List<String> strange) {
    String type = model.requireString("type");
    if (!type.equals("BPE")) {
      strange.add("model " + type);
      return;
    }
    if (!model.bool("byte_fallback", false)) {
      strange.add("BPE without byte fallback");
    }
    if (model.bool("ignore_merges", false)) {
      strange.add("BPE with ignore_merges");
    }
    if (model.number("dropout", 0) != 0) {
      strange.add("BPE with dropout " + model.number("dropout", 0));
    }
    for (String key : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
      String mark = model.string(key, "");
      if (!mark.isEmpty()) {
        strange.add("BPE with " + key + " '" + mark + "'");
      }
    }
  }

  private static boolean isOldForm(JsonObject file) {
    return NORMALIZER.equals(file.get("normalizer")) && !file.has("pre_tokenizer");
  }

  private static boolean isNewForm(JsonObject file) {
    return !file.has("normalizer") && file.get("pre_tokenizer") instanceof Map<?, ?> metaspace
        && "Metaspace".equals(metaspace.get("type")) && LlamaTokenizer.SPACE.equals(metaspace.get("replacement"))
        && "first".equals(String.valueOf(metaspace.get("prepend_scheme")).toLowerCase(Locale.ROOT))
        && Boolean.FALSE.equals(metaspace.get("split"));
  }

  /** The token before the text in the template {@code token, A}; null if the post-processor is anything else. */
  static String begin(JsonObject file) {
    return file.get("post_processor") instanceof Map<?, ?> post && "TemplateProcessing".equals(post.get("type"))
        && post.get("single") instanceof List<?> parts && parts.size() == 2
        && parts.get(0) instanceof Map<?, ?> first && first.get("SpecialToken") instanceof Map<?, ?> special
        && parts.get(1) instanceof Map<?, ?> second && second.get("Sequence") instanceof Map<?, ?> sequence
        && "A".equals(sequence.get("id")) ? Objects.toString(special.get("id"), null) : null;
  }

  /** A part by its type; those of a sequence in brackets, settings in parentheses. */
  private static String describe(Object part) {
    if (!(part instanceof Map<?, ?> map)) {
      return "none";
    }
    List<String> inner = new ArrayList<>();
    map.forEach((key, value) -> {
      if (value instanceof List<?> list && !key.equals("single") && !key.equals("pair")) {
        inner.addAll(list.stream().map(LlamaFamily::describe).toList());
      } else if (!key.equals("type") && (value instanceof String || value instanceof Boolean)) {
        inner.add(key + " " + value);
      }
    });
    return map.get("type") + (inner.isEmpty() ? "" : " (" + String.join(", ", inner) + ")");
  }
}
