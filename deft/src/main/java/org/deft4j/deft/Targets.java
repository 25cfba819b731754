package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Stream;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Conv2d;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;

/**
 * Which linear layers and convolutions of a model are adapted, by PEFT's rules for {@code target_modules} and {@code exclude_modules}.
 *
 * @param include what is adapted
 * @param exclude what of it is not; matches nothing where empty
 */
public record Targets(Rule include, Rule exclude) {
  /** The projections of every attention layer of a diffusers UNet. */
  public static final Targets ATTENTION = suffixes(List.of("to_q", "to_k", "to_v", "to_out.0"));

  private static final String ALL_LINEAR = "all-linear";

  /** A set of layer paths. */
  public sealed interface Rule {
    /** Whether {@code layer}, at {@code path}, belongs to it. */
    boolean matches(String path, AdaptedLayer layer);
  }

  /** Paths that are one of {@code names} or end in a dot and one of them. */
  public record Suffixes(List<String> names) implements Rule {
    @Override
    public boolean matches(String path, AdaptedLayer layer) {
      return names.stream().anyMatch(name -> endsWith(path, name));
    }

    static boolean endsWith(String path, String name) {
      return path.equals(name) || path.endsWith("." + name);
    }
  }

  /** Paths that match a regular expression as a whole. */
  public record Expression(Pattern pattern) implements Rule {
    @Override
    public boolean matches(String path, AdaptedLayer layer) {
      return pattern.matcher(path).matches();
    }
  }

  /** Every linear layer. */
  public record AllLinear() implements Rule {
    @Override
    public boolean matches(String path, AdaptedLayer layer) {
      return layer instanceof Linear;
    }
  }

  /**
   * What matches {@code rule} in the blocks of these numbers, PEFT's {@code layers_to_transform}: the number is the last in the path that stands
   * behind a name, or behind the first of {@code patterns} ({@code layers_pattern}) that has one behind it.
   */
  public record Indexed(Rule rule, List<Integer> indices, List<String> patterns) implements Rule {
    @Override
    public boolean matches(String path, AdaptedLayer layer) {
      return rule.matches(path, layer) && (patterns.isEmpty() ? Stream.of("[^.]*") : patterns.stream())
          .map(name -> expression(".*\\." + name + "\\.(\\d+)\\..*").matcher(path)).filter(Matcher::matches).findFirst()
          .map(matcher -> indices.contains(Integer.valueOf(matcher.group(1)))).orElse(false);
    }
  }

  /** What is named on a command line: layers by the ends of their paths, or {@code all-linear}. */
  public static Targets named(List<String> names) {
    return names.equals(List.of(ALL_LINEAR)) ? new Targets(new AllLinear(), new Suffixes(List.of())) : suffixes(names);
  }

  /** Layers by the end of their path. */
  public static Targets suffixes(List<String> names) {
    return new Targets(new Suffixes(List.copyOf(names)), new Suffixes(List.of()));
  }

  /** These, less what {@code rule} matches. */
  public Targets without(Rule rule) {
    return new Targets(include, rule);
  }

  /**
   * A rule in PEFT's notation: a list of suffixes, {@code "all-linear"}, or a regular expression; null matches nothing.
   *
   * @throws InputException for anything else
   */
  static Rule rule(String key, Object value) {
    return switch (value) {
      case null -> new Suffixes(List.of());
      case List<?> list when list.stream().allMatch(String.class::isInstance) ->
          new Suffixes(list.stream().map(String.class::cast).toList());
      case String text when text.equals(ALL_LINEAR) -> new AllLinear();
      case String text -> {
        try {
          yield new Expression(expression(text));
        } catch (PatternSyntaxException e) {
          throw new InputException(key + ": '" + text + "' is not a regular expression: " + e.getDescription(), e);
        }
      }
      default -> throw new InputException(key + ": expected a list of names or a regular expression, found " + value);
    };
  }

  /**
   * A regular expression of Python's, where groups are named and the end is marked otherwise.
   *
   * @throws PatternSyntaxException if it is none
   */
  static Pattern expression(String python) {
    String named = Pattern.compile("\\(\\?P<(\\w+)>").matcher(python).replaceAll(group -> "(?<" + group(group.group(1)) + ">");
    String referred = Pattern.compile("\\(\\?P=(\\w+)\\)").matcher(named).replaceAll(group -> "\\\\k<" + group(group.group(1)) + ">");
    return Pattern.compile(referred.replace("\\Z", "\\z"));
  }

  /** A name of Java's for a group, which has letters and digits alone. */
  private static String group(String python) {
    return "g" + python.replace("_", "0");
  }

  /** {@code rule} in PEFT's notation. */
  public static Object notation(Rule rule) {
    return switch (rule) {
      case Suffixes(var names) -> names.isEmpty() ? null : names;
      case Expression(var pattern) -> pattern.pattern();
      case AllLinear() -> ALL_LINEAR;
      case Indexed(var inner, var _, var _) -> notation(inner);
    };
  }

  /**
   * The layers of {@code model} that are adapted, by path, in the model's order.
   *
   * @throws InputException listing the suffixes that match no layer, each with the nearest names; or if nothing
   *     matches
   */
  public Map<String, AdaptedLayer> select(Module model) {
    Map<String, AdaptedLayer> layers = layers(model);
    requireEachMatches(layers.keySet());
    Map<String, AdaptedLayer> selected = new LinkedHashMap<>();
    layers.forEach((path, layer) -> {
      if (matches(path, layer)) {
        selected.put(path, layer);
      }
    });
    if (selected.isEmpty()) {
      throw new InputException("targets " + notation(include) + " match none of the model's " + layers.size()
          + " linear layers and convolutions");
    }
    return selected;
  }

  /** Every layer that can be adapted, by path: linear ones, and convolutions whose filters see all input channels. */
  static Map<String, AdaptedLayer> layers(Module model) {
    Map<String, AdaptedLayer> layers = new LinkedHashMap<>();
    model.modules().forEach((path, module) -> {
      if (module instanceof AdaptedLayer layer && !(layer instanceof Conv2d conv && conv.spec().groups() > 1)) {
        layers.put(path, layer);
      }
    });
    return layers;
  }

  /** Whether {@code layer}, at {@code path}, is adapted. */
  boolean matches(String path, AdaptedLayer layer) {
    return include.matches(path, layer) && !exclude.matches(path, layer);
  }

  /**
   * Refuses suffixes that none of {@code paths} ends in.
   *
   * @throws InputException listing them, each with the nearest names
   */
  void requireEachMatches(Set<String> paths) {
    List<String> names = include instanceof Suffixes(var suffixes) ? suffixes : List.of();
    List<String> problems = new ArrayList<>();
    for (String name : names) {
      if (paths.stream().noneMatch(path -> Suffixes.endsWith(path, name))) {
        problems.add("target '" + name + "' matches no layer of the model; the nearest are "
            + String.join(", ", Nearest.names(name, endings(paths, name), 3)));
      }
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
  }

  /** The ends of all paths that have as many parts as {@code name}. */
  private static List<String> endings(Set<String> paths, String name) {
    int parts = name.split("\\.", -1).length;
    return paths.stream().map(path -> {
      String[] all = path.split("\\.", -1);
      return String.join(".", List.of(all).subList(Math.max(0, all.length - parts), all.length));
    }).distinct().toList();
  }
}
