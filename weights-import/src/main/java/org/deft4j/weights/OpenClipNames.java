package org.deft4j.weights;

import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.deft4j.tensor.Shape;

/**
 * Names of a text encoder as open_clip has them (SDXL's second one in single-file checkpoints) against those of
 * transformers' CLIPTextModelWithProjection. open_clip stores q, k and v as one matrix, and the projection transposed.
 */
final class OpenClipNames {
  private static final Map<String, String> WHOLE = Map.of(
      "positional_embedding", "text_model.embeddings.position_embedding.weight",
      "token_embedding.weight", "text_model.embeddings.token_embedding.weight",
      "ln_final.weight", "text_model.final_layer_norm.weight",
      "ln_final.bias", "text_model.final_layer_norm.bias");
  private static final Pattern BLOCK = Pattern.compile(
      "transformer\\.resblocks\\.(\\d{1,4})\\.(ln_1|ln_2|mlp\\.c_fc|mlp\\.c_proj|attn\\.out_proj|attn\\.in_proj)[._](weight|bias)");
  private static final Map<String, String> PARTS = Map.of("ln_1", "layer_norm1", "ln_2", "layer_norm2",
      "mlp.c_fc", "mlp.fc1", "mlp.c_proj", "mlp.fc2", "attn.out_proj", "self_attn.out_proj");

  private OpenClipNames() {}

  /** What a tensor becomes: nothing for {@code logit_scale}; null where the name is unknown. */
  static List<Piece> pieces(String name, Shape shape) {
    if (WHOLE.containsKey(name)) {
      return List.of(new Piece.Copy(WHOLE.get(name)));
    }
    if (name.equals("text_projection")) {
      return shape.rank() == 2 ? List.of(new Piece.Transposed("text_projection.weight")) : null;
    }
    if (name.equals("logit_scale")) {
      return List.of();
    }
    Matcher block = BLOCK.matcher(name);
    if (!block.matches()) {
      return null;
    }
    String layer = "text_model.encoder.layers." + block.group(1) + ".";
    if (!block.group(2).equals("attn.in_proj")) {
      return List.of(new Piece.Copy(layer + PARTS.get(block.group(2)) + "." + block.group(3)));
    }
    if (shape.rank() == 0 || shape.size(0) % 3 != 0) {
      return null;
    }
    long rows = shape.size(0) / 3;
    String projection = "_proj." + block.group(3);
    return List.of(new Piece.Rows(layer + "self_attn.q" + projection, 0, rows),
        new Piece.Rows(layer + "self_attn.k" + projection, rows, 2 * rows),
        new Piece.Rows(layer + "self_attn.v" + projection, 2 * rows, 3 * rows));
  }
}
