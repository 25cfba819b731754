package org.deft4j.diffusion;

import java.util.List;
import org.deft4j.nn.Activation;
import org.deft4j.weights.JsonObject;

/** What a CLIP text encoder's {@code config.json} says, checked. {@code projection} 0: no projected text embedding. */
public record ClipTextConfig(int vocabulary, int hidden, int intermediate, int layers, int heads, int positions, double eps,
    String activation, int eosTokenId, int projection) {

  /** Reads and checks a configuration. */
  public static ClipTextConfig from(JsonObject json) {
    ConfigCheck check = new ConfigCheck(json);
    List<String> architectures = json.requireStrings("architectures");
    check.that(architectures.equals(List.of("CLIPTextModel"))
        || architectures.equals(List.of("CLIPTextModelWithProjection")),
        "architectures: " + architectures + " is not supported; CLIPTextModel and CLIPTextModelWithProjection are");
    String activation = json.string("hidden_act", "quick_gelu");
    check.that(Activation.isKnown(activation), "hidden_act: " + activation + " is not supported");
    int hidden = json.integer("hidden_size", 512);
    int heads = json.integer("num_attention_heads", 8);
    check.isMultiple("hidden_size", hidden, "num_attention_heads", heads);
    check.throwIfAny();
    boolean projects = architectures.contains("CLIPTextModelWithProjection");
    return new ClipTextConfig(json.integer("vocab_size", 49408), hidden, json.integer("intermediate_size", 2048),
        json.integer("num_hidden_layers", 12), heads, json.integer("max_position_embeddings", 77),
        json.number("layer_norm_eps", 1e-5), activation, json.integer("eos_token_id", 2),
        projects ? json.integer("projection_dim", 512) : 0);
  }
}
