package org.deft4j.weights;

import java.util.Collection;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Names of the denoising network in single-file checkpoints (CompVis latent-diffusion, Stability generative-models), where
 * blocks are counted through, against diffusers' names, where they are counted by level. With n resnets per level,
 * {@code input_blocks} i &gt; 0 is layer (i - 1) mod (n + 1) of level (i - 1) / (n + 1), the last layer being the downsampler;
 * {@code output_blocks} i is layer i mod (n + 1) of level i / (n + 1), the last layer with the upsampler in it. Inside a block
 * the parts are counted too: resnet 0, attention 1, and the upsampler is 2, or 1 in a level without attention.
 *
 * <p>Names are those of parameters, without the prefix of a checkpoint: {@code input_blocks.4.1.proj_in.weight} and
 * {@code down_blocks.1.attentions.0.proj_in.weight}.
 */
public final class LdmUNetNames {
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
  private static final Map<String, String> LDM_STEMS = inverse(STEMS);
  private static final Map<String, String> LDM_RESNET = inverse(RESNET);
  private static final Pattern ATTENTION = Pattern.compile("(norm|proj_in|proj_out|transformer_blocks)\\..+");
  private static final Pattern INPUT = Pattern.compile("input_blocks\\.(\\d{1,4})\\.[01]\\.(.+)");
  private static final Pattern MIDDLE = Pattern.compile("middle_block\\.([012])\\.(.+)");
  private static final Pattern OUTPUT = Pattern.compile("output_blocks\\.(\\d{1,4})\\.[012]\\.(.+)");
  private static final Pattern DOWNSAMPLER = Pattern.compile("input_blocks\\.(\\d{1,4})\\.0\\.op\\.weight");
  private static final Pattern LEVEL = Pattern.compile("(down|up)_blocks\\.(\\d{1,4})\\.(resnets|attentions)\\.(\\d{1,4})\\.(.+)");
  private static final Pattern SAMPLER =
      Pattern.compile("(down|up)_blocks\\.(\\d{1,4})\\.(?:down|up)samplers\\.0\\.conv\\.(.+)");
  private static final Pattern MID = Pattern.compile("mid_block\\.(resnets\\.[01]|attentions\\.0)\\.(.+)");

  /** Resnets per level plus one. */
  private final int step;
  /** The levels of {@code up_blocks} with attention. */
  private final Set<Integer> attentive;

  private LdmUNetNames(int step, Set<Integer> attentive) {
    this.step = step;
    this.attentive = attentive;
  }

  /**
   * For the network whose parameters have these names in a single-file checkpoint: the first downsampler tells how many
   * resnets a level has.
   */
  public static LdmUNetNames ofLdm(Collection<String> names) {
    int first = Integer.MAX_VALUE;
    int last = 0;
    for (String name : names) {
      Matcher downsampler = DOWNSAMPLER.matcher(name);
      Matcher input = INPUT.matcher(name);
      first = downsampler.matches() ? Math.min(first, Integer.parseInt(downsampler.group(1))) : first;
      last = input.matches() ? Math.max(last, Integer.parseInt(input.group(1))) : last;
    }
    int step = Math.max(1, first == Integer.MAX_VALUE ? last + 1 : first);
    LdmUNetNames counted = new LdmUNetNames(step, Set.of());
    return new LdmUNetNames(step, attentive(names.stream().map(counted::diffusers).filter(Objects::nonNull)));
  }

  /**
   * For the network whose parameters have these names in diffusers, all of them: the longest level tells how many resnets a
   * level has.
   */
  public static LdmUNetNames ofDiffusers(Collection<String> names) {
    int step = 1;
    for (String name : names) {
      Matcher level = LEVEL.matcher(name);
      if (level.matches()) {
        step = Math.max(step, Integer.parseInt(level.group(4)) + (level.group(1).equals("down") ? 2 : 1));
      }
    }
    return new LdmUNetNames(step, attentive(names.stream()));
  }

  private static Set<Integer> attentive(Stream<String> diffusers) {
    return diffusers.map(LEVEL::matcher)
        .filter(level -> level.matches() && level.group(1).equals("up") && level.group(3).equals("attentions"))
        .map(level -> Integer.parseInt(level.group(2))).collect(Collectors.toUnmodifiableSet());
  }

  /** The name in diffusers of a parameter of a single-file checkpoint, or null where there is none. */
  public String diffusers(String name) {
    String stem = renamed(STEMS, name);
    if (stem != null) {
      return stem;
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
    String resnet = renamed(RESNET, rest);
    if (resnet != null) {
      return level + ".resnets." + layer + "." + resnet;
    }
    return ATTENTION.matcher(rest).matches() ? level + ".attentions." + layer + "." + rest : null;
  }

  /** The name in a single-file checkpoint of a parameter of diffusers, or null where there is none. */
  public String ldm(String name) {
    String stem = renamed(LDM_STEMS, name);
    if (stem != null) {
      return stem;
    }
    Matcher level = LEVEL.matcher(name);
    if (level.matches()) {
      boolean down = level.group(1).equals("down");
      int layer = Integer.parseInt(level.group(4));
      int layers = down ? step - 1 : step;
      return layer < layers ? part(block(down, Integer.parseInt(level.group(2)), layer), level.group(3), level.group(5)) : null;
    }
    Matcher sampler = SAMPLER.matcher(name);
    if (sampler.matches()) {
      boolean down = sampler.group(1).equals("down");
      int at = Integer.parseInt(sampler.group(2));
      String place = down ? ".0.op." : attentive.contains(at) ? ".2.conv." : ".1.conv.";
      return block(down, at, step - 1) + place + sampler.group(3);
    }
    Matcher mid = MID.matcher(name);
    return mid.matches() ? middle(mid.group(1), mid.group(2)) : null;
  }

  private String block(boolean down, int level, int layer) {
    int at = level * step + layer;
    return down ? "input_blocks." + (at + 1) : "output_blocks." + at;
  }

  private static String part(String block, String kind, String rest) {
    if (kind.equals("resnets")) {
      String resnet = renamed(LDM_RESNET, rest);
      return resnet == null ? null : block + ".0." + resnet;
    }
    return ATTENTION.matcher(rest).matches() ? block + ".1." + rest : null;
  }

  /** The middle is one block: resnet, attention, resnet. */
  private static String middle(String part, String rest) {
    String inside = part.startsWith("resnets") ? renamed(LDM_RESNET, rest) : ATTENTION.matcher(rest).matches() ? rest : null;
    int at = switch (part) {
      case "resnets.0" -> 0;
      case "resnets.1" -> 2;
      default -> 1;
    };
    return inside == null ? null : "middle_block." + at + "." + inside;
  }

  /** The name with its beginning replaced as {@code stems} says, or null where it has none of them. */
  private static String renamed(Map<String, String> stems, String name) {
    for (Map.Entry<String, String> stem : stems.entrySet()) {
      if (name.startsWith(stem.getKey())) {
        return stem.getValue() + name.substring(stem.getKey().length());
      }
    }
    return null;
  }

  private static Map<String, String> inverse(Map<String, String> stems) {
    return stems.keySet().stream().collect(Collectors.toUnmodifiableMap(stems::get, Function.identity()));
  }
}
