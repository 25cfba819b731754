package org.deft4j.deft.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** An adapter on the command line, {@code PATH[:STRENGTH]}. */
record AdapterArgument(Path path, double strength) {
  /** Reads one; a colon followed by a number is a strength unless a file of the whole name exists. */
  static AdapterArgument parse(String text) {
    int colon = text.lastIndexOf(':');
    if (colon > 0 && !Files.exists(Path.of(text))) {
      try {
        return new AdapterArgument(Path.of(text.substring(0, colon)), Double.parseDouble(text.substring(colon + 1)));
      } catch (NumberFormatException e) {
        return new AdapterArgument(Path.of(text), 1);
      }
    }
    return new AdapterArgument(Path.of(text), 1);
  }

  void check(List<String> problems) {
    if (!Files.exists(path)) {
      problems.add("--adapter: " + path + " does not exist");
    }
    if (!Double.isFinite(strength)) {
      problems.add("--adapter: " + path + ": the strength must be a finite number");
    }
  }

  /** Name and strength, for the picture's text. */
  String label() {
    Path name = path.toAbsolutePath().normalize().getFileName();
    return name + ":" + (strength == Math.rint(strength) ? String.valueOf((long) strength) : String.valueOf(strength));
  }
}
