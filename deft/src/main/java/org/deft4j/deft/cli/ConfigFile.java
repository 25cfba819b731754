package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Nearest;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * The options of a command from a JSON file, {@code {"rank": 8, "targets": ["to_q", "to_v"]}}: each key is an option without
 * its dashes, and an option that may be given several times takes a list. What is given on the command line as well wins. Under the
 * file lies a preset, a file of that form that the program has with it.
 */
final class ConfigFile implements IDefaultValueProvider {
  /** The names of the presets. */
  static final List<String> PRESETS = List.of("omnigen-deft", "omnigen-para", "omnigen-lora");

  /** Between the values of a list where a comma may be part of one: what no argument of a process can hold. */
  static final String BETWEEN = "\0";

  private static final String OPTION = "--config";
  private static final String PRESET = "--preset";

  private final Map<String, String> values;

  private ConfigFile(Map<String, String> values) {
    this.values = values;
  }

  /**
   * What {@code --preset} and {@code --config} in {@code args} name.
   *
   * @throws InputException if there is no such preset, or listing the keys that are no option, each with the nearest one
   */
  static ConfigFile given(String[] args, CommandSpec command) {
    Map<String, String> values = new TreeMap<>();
    String preset = given(args, PRESET);
    if (preset != null) {
      values.putAll(values(PRESET + " " + preset, preset(preset), command));
    }
    String file = given(args, OPTION);
    if (file != null) {
      values.putAll(read(Path.of(file), command));
    }
    return new ConfigFile(values);
  }

  /** The last value given to {@code option}, or null. */
  private static String given(String[] args, String option) {
    String value = null;
    for (int i = 0; i < args.length; i++) {
      if (args[i].equals(option) && i + 1 < args.length) {
        value = args[i + 1];
      } else if (args[i].startsWith(option + "=")) {
        value = args[i].substring(option.length() + 1);
      }
    }
    return value;
  }

  private static Map<String, Object> preset(String name) {
    if (!PRESETS.contains(name)) {
      throw new InputException(PRESET + ": '" + name + "' is unknown" + Nearest.hint(name, PRESETS) + "; there are "
          + String.join(", ", PRESETS));
    }
    try (InputStream stored = ConfigFile.class.getResourceAsStream("presets/" + name + ".json")) {
      return Json.parse(new String(stored.readAllBytes(), StandardCharsets.UTF_8), name).asMap();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Map<String, String> read(Path file, CommandSpec command) {
    Map<String, Object> json;
    try {
      json = Json.read(file).asMap();
    } catch (FormatException e) {
      throw new InputException("--config: " + e.getMessage(), e);
    }
    return values(OPTION + ": " + file, json, command);
  }

  private static Map<String, String> values(String source, Map<String, Object> json, CommandSpec command) {
    Map<String, OptionSpec> options = new LinkedHashMap<>();
    command.options().forEach(option -> options.put(option.longestName().substring(2), option));
    options.keySet().removeAll(List.of("config", "preset", "help"));
    List<String> problems = new ArrayList<>();
    Map<String, String> values = new TreeMap<>();
    json.forEach((key, value) -> {
      OptionSpec option = options.get(key);
      if (option == null) {
        problems.add(source + ": unknown key '" + key + "'" + Nearest.hint(key, options.keySet()));
      } else if (value instanceof List<?> && option.splitRegex().isEmpty()) {
        problems.add(source + ": " + key + ": expected one value, found a list");
      } else if (value instanceof Map) {
        problems.add(source + ": " + key + ": expected a value, found an object");
      } else if (value != null) {
        values.put("--" + key, value instanceof List<?> list
            ? list.stream().map(String::valueOf).collect(Collectors.joining(option.splitRegex())) : value.toString());
      }
    });
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return values;
  }

  @Override
  public String defaultValue(ArgSpec argument) {
    return argument instanceof OptionSpec option ? values.get(option.longestName()) : null;
  }
}
