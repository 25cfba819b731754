package org.deft4j.diffusion;

import java.util.List;
import org.deft4j.weights.JsonObject;

/** What {@code vae/config.json} says, checked. */
public record VaeConfig(int inChannels, int outChannels, int latentChannels, List<Integer> channels, int layersPerBlock,
    int groups, double scalingFactor, double shiftFactor, boolean midAttention, boolean quantConv, boolean postQuantConv,
    int sampleSize) {

  /** How many pixels one position of the latent covers in each direction. */
  public int downscale() {
    return 1 << (channels.size() - 1);
  }

  /** Reads and checks a configuration; everything that is not supported is listed in one error. */
  public static VaeConfig from(JsonObject json) {
    ConfigCheck check = new ConfigCheck(json);
    check.is("_class_name", "AutoencoderKL");
    check.is("act_fn", "silu");
    check.isNull("latents_mean");
    check.isNull("latents_std");
    List<Integer> channels = json.requireInts("block_out_channels");
    for (String key : List.of("down_block_types", "up_block_types")) {
      String expected = key.startsWith("down") ? "DownEncoderBlock2D" : "UpDecoderBlock2D";
      List<String> types = json.requireStrings(key);
      check.that(types.size() == channels.size() && types.stream().allMatch(expected::equals),
          key + ": " + types + " is not supported; " + channels.size() + " times " + expected + " is");
    }
    int groups = json.integer("norm_num_groups", 32);
    channels.forEach(count -> check.isMultiple("block_out_channels", count, "norm_num_groups", groups));
    check.throwIfAny();
    return new VaeConfig(json.integer("in_channels", 3), json.integer("out_channels", 3),
        json.integer("latent_channels", 4), channels, json.integer("layers_per_block", 2),
        groups, json.number("scaling_factor", 0.18215), json.number("shift_factor", 0),
        json.bool("mid_block_add_attention", true), json.bool("use_quant_conv", true),
        json.bool("use_post_quant_conv", true), json.integer("sample_size", 512));
  }
}
