package org.deft4j.weights;

import java.util.Collection;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Names of the denoising network in single-file checkpoints (CompVis latent-diffusion, Stability generative-models), where
 * blocks are counted through, against diffusers' names, where they are counted by level. With n resnets per level,
 * {@code input_blocks} i &gt; 0 is layer (i - 1) mod (n + 1) of level (i - 1) / (n + 1), the last layer being the downsampler;
 * {@code output_blocks} i is layer i mod (n + 1) of level i / (n + 1), the last layer with the upsampler in it.
 */
final class LdmUNetNames {
  private static final Map<String, String> STEMS = Map.of(
      "time_embed.0.", "time_embedding.linear_1.",
      "time_embed.2.", "time_embedding.linear_2.",
      "label_emb.0.0.", "add_embedding.linear_1.",
      "label_emb.0.2.", "add_embedding.linear_2.",
      "input_blocks.0.0.", "conv_in.",
      "out.0.", "conv_norm_out.",
      "out.2.", "conv_out.");
  private static final Map<String, String> RESNET = Map.of(
      "in_layers.0.", "norm1.",
      "in_layers.2.", "conv1.",
      "emb_layers.1.", "time_emb_proj.",
      "out_layers.0.", "norm2.",
      "out_layers.3.", "conv2.",
      "skip_connection.", "conv_shortcut.");
  private static final Pattern ATTENTION = Pattern.compile("(norm|proj_in|proj_out|transformer_blocks)\\..+");
  private static final Pattern INPUT = Pattern.compile("input_blocks\\.(\\d{1,4})\\.[01]\\.(.+)");
  private static final Pattern MIDDLE = Pattern.compile("middle_block\\.([012])\\.(.+)");
  private static final Pattern OUTPUT = Pattern.compile("output_blocks\\.(\\d{1,4})\\.[012]\\.(.+)");
  private static final Pattern DOWNSAMPLER = Pattern.compile("input_blocks\\.(\\d{1,4})\\.0\\.op\\.weight");

  /** Resnets per level plus one. */
  private final int step;

  /** For the network with these names, without prefix: the first downsampler tells how many resnets a level has. */
  LdmUNetNames(Collection<String> names) {
    int first = Integer.MAX_VALUE;
    int last = 0;
    for (String name : names) {
      Matcher downsampler = DOWNSAMPLER.matcher(name);
      Matcher input = INPUT.matcher(name);
      first = downsampler.matches() ? Math.min(first, Integer.parseInt(downsampler.group(1))) : first;
      last = input.matches() ? Math.max(last, Integer.parseInt(input.group(1))) : last;
    }
    step = Math.max(1, first == Integer.MAX_VALUE ? last + 1 : first);
  }

  /** The name in diffusers, or null where there is none. */
  String diffusers(String name) {
    for (Map.Entry<String, String> stem : STEMS.entrySet()) {
      if (name.startsWith(stem.getKey())) {
        return stem.getValue() + name.substring(stem.getKey().length());
      }
    }
    Matcher input = INPUT.matcher(name);
    if (input.matches()) {
      int at = Integer.parseInt(input.group(1)) - 1;
      return at < 0 ? null
          : layer("down_blocks." + at / step, at % step, input.group(2), "op.", "downsamplers.0.conv.");
    }
    Matcher output = OUTPUT.matcher(name);
    if (output.matches()) {
      int at = Integer.parseInt(output.group(1));
      return layer("up_blocks." + at / step, at % step, output.group(2), "conv.", "upsamplers.0.conv.");
    }
    Matcher middle = MIDDLE.matcher(name);
    return middle.matches() ? layer("mid_block", Integer.parseInt(middle.group(1)) / 2, middle.group(2), "-", "-") : null;
  }

  private static String layer(String level, int layer, String rest, String sampler, String samplerName) {
    if (rest.startsWith(sampler)) {
      return level + "." + samplerName + rest.substring(sampler.length());
    }
    for (Map.Entry<String, String> part : RESNET.entrySet()) {
      if (rest.startsWith(part.getKey())) {
        return level + ".resnets." + layer + "." + part.getValue() + rest.substring(part.getKey().length());
      }
    }
    return ATTENTION.matcher(rest).matches() ? level + ".attentions." + layer + "." + rest : null;
  }
}
