package org.deft4j.deft.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.deft4j.weights.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code deft inspect}. */
@Command(name = "inspect", sortOptions = false, usageHelpWidth = 110,
    description = "Tells what a file or folder is: a model, an adapter, a safetensors file, or a picture made here.",
    footer = {"", "Example: deft inspect runs/dog"})
final class InspectCommand extends Subcommand {
  @Parameters(paramLabel = "PATH", arity = "0..1", description = "An adapter's or model's folder, a safetensors file, or a PNG.")
  Path path;

  @Option(names = "--tensors", description = "List every tensor.")
  boolean tensors;

  @Override
  void check(List<String> problems) {
    if (path == null) {
      problems.add("PATH is missing: the file or folder to look at");
    } else if (!Files.exists(path)) {
      problems.add(path + " does not exist");
    }
  }

  @Override
  int run(Console console) {
    Map<String, Object> document = Inspection.of(path);
    console.document(Json.format(document));
    document.forEach((key, value) -> print(console, key, value));
    return ExitStatus.OK;
  }

  private void print(Console console, String key, Object value) {
    if (value instanceof Map<?, ?> map && key.equals("tensors")) {
      if (tensors) {
        map.forEach((name, what) -> console.result("  " + what + "  " + name));
      } else if (map.size() > 0) {
        console.result(String.format(Locale.ROOT, "%-12s %d; --tensors lists them", key, map.size()));
      }
    } else if (value instanceof Map<?, ?> map) {
      console.result(key);
      map.forEach((name, what) -> console.result(String.format(Locale.ROOT, "  %-22s %s", name, plain(what))));
    } else {
      console.result(String.format(Locale.ROOT, "%-12s %s", key, plain(value)));
    }
  }

  private static String plain(Object value) {
    return switch (value) {
      case null -> "none";
      case List<?> list -> String.join(", ", list.stream().map(String::valueOf).toList());
      case Map<?, ?> map -> new LinkedHashMap<>(map).toString();
      case Long number -> String.format(Locale.ROOT, "%,d", number);
      default -> value.toString();
    };
  }
}
