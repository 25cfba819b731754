package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.ArrayList;
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
 * its dashes. What is given on the command line as well wins.
 */
final class ConfigFile implements IDefaultValueProvider {
  private static final String OPTION = "--config";

  private final Map<String, String> values;

  private ConfigFile(Map<String, String> values) {
    this.values = values;
  }

  /**
   * The file named by {@code --config} in {@code args}, or an empty one.
   *
   * @throws InputException listing the keys that are no option, each with the nearest one
   */
  static ConfigFile given(String[] args, CommandSpec command) {
    Path file = null;
    for (int i = 0; i < args.length; i++) {
      if (args[i].equals(OPTION) && i + 1 < args.length) {
        file = Path.of(args[i + 1]);
      } else if (args[i].startsWith(OPTION + "=")) {
        file = Path.of(args[i].substring(OPTION.length() + 1));
      }
    }
    return new ConfigFile(file == null ? Map.of() : read(file, command));
  }

  private static Map<String, String> read(Path file, CommandSpec command) {
    Map<String, Object> json;
    try {
      json = Json.read(file).asMap();
    } catch (FormatException e) {
      throw new InputException("--config: " + e.getMessage(), e);
    }
    List<String> known = command.options().stream().map(OptionSpec::longestName).map(name -> name.substring(2))
        .filter(name -> !name.equals("config") && !name.equals("help")).toList();
    List<String> problems = new ArrayList<>();
    Map<String, String> values = new TreeMap<>();
    json.forEach((key, value) -> {
      if (!known.contains(key)) {
        problems.add("--config: " + file + ": unknown key '" + key + "'" + Nearest.hint(key, known));
      } else if (value instanceof Map) {
        problems.add("--config: " + file + ": " + key + ": expected a value, found an object");
      } else if (value != null) {
        values.put("--" + key, value instanceof List<?> list
            ? list.stream().map(String::valueOf).collect(Collectors.joining(",")) : value.toString());
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
