package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.weights.JsonObject;

/**
 * What {@code unet/config.json} says, checked.
 *
 * @param heads attention heads per block: {@code num_attention_heads}, or, for historical reasons, {@code attention_head_dim}
 * @param layersPerTransformer transformer blocks per attention, per level
 * @param additionTimeDim width of the embedding of each time id; 0 where the model has no added conditions
 * @param additionInputDim width of pooled text and time ids together
 */
public record UNetConfig(int inChannels, int outChannels, List<Integer> channels, List<Boolean> downAttention,
    List<Boolean> upAttention, int layersPerBlock, List<Integer> layersPerTransformer, List<Integer> heads, int contextDim,
    int groups, double eps, boolean linearProjection, boolean flipSinToCos, double frequencyShift, int additionTimeDim,
    int additionInputDim, int sampleSize) {

  /** Channels of the time embedding: four times the first level's. */
  public int timeChannels() {
    return 4 * channels.getFirst();
  }

  /** Reads and checks a configuration; everything that is not supported is listed in one error. */
  public static UNetConfig from(JsonObject json) {
    ConfigCheck check = new ConfigCheck(json);
    check.is("_class_name", "UNet2DConditionModel");
    for (String key : List.of("class_embed_type", "encoder_hid_dim", "encoder_hid_dim_type", "cross_attention_norm",
        "num_class_embeds", "time_cond_proj_dim", "time_embedding_act_fn", "time_embedding_dim", "timestep_post_act",
        "reverse_transformer_layers_per_block", "mid_block_only_cross_attention")) {
      check.isNull(key);
    }
    for (String key : List.of("center_input_sample", "dual_cross_attention", "only_cross_attention",
        "resnet_skip_time_act", "class_embeddings_concat")) {
      check.isOrNull(key, false);
    }
    check.is("act_fn", "silu");
    check.is("attention_type", "default");
    check.is("time_embedding_type", "positional");
    check.is("resnet_time_scale_shift", "default");
    check.is("mid_block_type", "UNetMidBlock2DCrossAttn");
    check.is("conv_in_kernel", 3);
    check.is("conv_out_kernel", 3);
    check.is("downsample_padding", 1);
    check.is("mid_block_scale_factor", 1);
    check.is("resnet_out_scale_factor", 1);
    check.isOrNull("addition_embed_type", "text_time");
    List<Integer> channels = json.requireInts("block_out_channels");
    int levels = channels.size();
    boolean added = "text_time".equals(json.string("addition_embed_type", null));
    List<Boolean> down = attention(check, json, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D", levels);
    List<Boolean> up = attention(check, json, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D", levels);
    List<Integer> heads = json.has("num_attention_heads") ? perLevel(json, "num_attention_heads", levels, 8)
        : perLevel(json, "attention_head_dim", levels, 8);
    List<Integer> layers = perLevel(json, "transformer_layers_per_block", levels, 1);
    int groups = json.integer("norm_num_groups", 32);
    for (int i = 0; i < levels; i++) {
      check.isMultiple("block_out_channels", channels.get(i), "norm_num_groups", groups);
    }
    check.throwIfAny();
    check.that(heads.size() == levels, "attention_head_dim: " + heads + " for " + levels + " block_out_channels");
    check.that(layers.size() == levels, "transformer_layers_per_block: " + layers + " for " + levels + " block_out_channels");
    for (int i = 0; i < Math.min(levels, heads.size()); i++) {
      if (i == levels - 1 || down.get(i) || up.get(levels - 1 - i)) {
        check.isMultiple("block_out_channels", channels.get(i), "number of attention heads", heads.get(i));
      }
    }
    check.throwIfAny();
    return new UNetConfig(json.integer("in_channels", 4), json.integer("out_channels", 4), channels, down, up,
        json.integer("layers_per_block", 2), layers, heads,
        json.requireInteger("cross_attention_dim"), groups, json.number("norm_eps", 1e-5),
        json.bool("use_linear_projection", false), json.bool("flip_sin_to_cos", true), json.number("freq_shift", 0),
        added ? json.requireInteger("addition_time_embed_dim") : 0,
        added ? json.requireInteger("projection_class_embeddings_input_dim") : 0, json.integer("sample_size", 64));
  }

  private static List<Boolean> attention(ConfigCheck check, JsonObject json, String key, String plain, String cross,
      int levels) {
    List<String> types = json.requireStrings(key);
    List<Boolean> result = new ArrayList<>();
    for (String type : types) {
      check.that(type.equals(plain) || type.equals(cross), key + ": " + type + " is not supported; " + plain + " and "
          + cross + " are");
      result.add(type.equals(cross));
    }
    check.that(types.size() == levels, key + ": " + types.size() + " blocks for " + levels + " block_out_channels");
    return result;
  }

  private static List<Integer> perLevel(JsonObject json, String key, int levels, int otherwise) {
    if (json.isList(key)) {
      return json.requireInts(key);
    }
    return java.util.Collections.nCopies(levels, json.integer(key, otherwise));
  }
}
