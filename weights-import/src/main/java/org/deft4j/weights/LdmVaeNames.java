package org.deft4j.weights;

import java.util.Collection;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Names of the autoencoder in single-file checkpoints (CompVis latent-diffusion) against diffusers' names. The decoder's
 * levels are counted from the smallest picture in diffusers, from the largest in the checkpoint.
 */
final class LdmVaeNames {
  private static final Pattern LEVEL =
      Pattern.compile("(encoder\\.down|decoder\\.up)\\.(\\d{1,4})\\.(block\\.(\\d{1,4})|downsample|upsample)\\.(.+)");
  private static final Pattern MIDDLE_RESNET = Pattern.compile("(encoder|decoder)\\.mid\\.block_([12])\\.(.+)");
  private static final Pattern MIDDLE_ATTENTION =
      Pattern.compile("(encoder|decoder)\\.mid\\.attn_1\\.(norm|q|k|v|proj_out)\\.(weight|bias)");
  private static final Map<String, String> ATTENTION = Map.of(
      "norm", "group_norm", "q", "to_q", "k", "to_k", "v", "to_v", "proj_out", "to_out.0");
  private static final Pattern SAME =
      Pattern.compile("((encoder|decoder)\\.(conv_in|conv_out)|quant_conv|post_quant_conv)\\.(weight|bias)");
  private static final Pattern NORM_OUT = Pattern.compile("(encoder|decoder)\\.norm_out\\.(weight|bias)");

  private final int levels;

  /** For the autoencoder with these names, without prefix. */
  LdmVaeNames(Collection<String> names) {
    int last = 0;
    for (String name : names) {
      Matcher level = LEVEL.matcher(name);
      last = level.matches() ? Math.max(last, Integer.parseInt(level.group(2))) : last;
    }
    levels = last + 1;
  }

  /** The name in diffusers, or null where there is none. */
  String diffusers(String name) {
    Matcher level = LEVEL.matcher(name);
    if (level.matches()) {
      return level(level);
    }
    Matcher resnet = MIDDLE_RESNET.matcher(name);
    if (resnet.matches()) {
      return resnet.group(1) + ".mid_block.resnets." + (Integer.parseInt(resnet.group(2)) - 1) + "."
          + shortcut(resnet.group(3));
    }
    Matcher attention = MIDDLE_ATTENTION.matcher(name);
    if (attention.matches()) {
      return attention.group(1) + ".mid_block.attentions.0." + ATTENTION.get(attention.group(2)) + "." + attention.group(3);
    }
    Matcher norm = NORM_OUT.matcher(name);
    if (norm.matches()) {
      return norm.group(1) + ".conv_norm_out." + norm.group(2);
    }
    return SAME.matcher(name).matches() ? name : null;
  }

  private String level(Matcher level) {
    boolean down = level.group(1).equals("encoder.down");
    int index = Integer.parseInt(level.group(2));
    String block = level.group(1) + "_blocks." + (down ? index : levels - 1 - index) + ".";
    if (level.group(4) != null) {
      return block + "resnets." + level.group(4) + "." + shortcut(level.group(5));
    }
    return block + (down ? "downsamplers" : "upsamplers") + ".0." + level.group(5);
  }

  private static String shortcut(String rest) {
    return rest.startsWith("nin_shortcut.") ? "conv_shortcut." + rest.substring("nin_shortcut.".length()) : rest;
  }
}
