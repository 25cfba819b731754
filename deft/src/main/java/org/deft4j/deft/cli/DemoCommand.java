package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Method;
import org.deft4j.deft.OutputFolder;
import org.deft4j.weights.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code deft demo}. */
@Command(name = "demo", sortOptions = false, usageHelpWidth = 110,
    description = "The whole path on what the repository ships: adapts a small model to six pictures with DEFT, PaRa and LoRA,"
        + " makes pictures before and after, and writes a report.",
    footer = {"", "Example: deft demo"})
final class DemoCommand extends Subcommand {
  private static final String SHIPPED = "deft/src/demo";

  @Option(names = "--steps", paramLabel = "N", description = "Training steps for each method; default ${DEFAULT-VALUE}.")
  int steps = 40;

  @Option(names = "--seed", paramLabel = "N", description = "Where random numbers start; default ${DEFAULT-VALUE}.")
  long seed;

  @Option(names = "--out", paramLabel = "FOLDER", description = "Where the results go; default ${DEFAULT-VALUE}.")
  Path out = Path.of("runs/demo");

  @Override
  void check(List<String> problems) {
    Checks.atLeast(problems, "--steps", steps, 1);
    collect(problems, () -> OutputFolder.require(out, outputs()));
    collect(problems, DemoCommand::shipped);
  }

  /** The repository's own model and pictures; the launcher tells where the repository is. */
  private static Path shipped() {
    Path folder = Path.of(System.getProperty("deft4j.home", "")).resolve(SHIPPED);
    if (!Files.isDirectory(folder)) {
      throw new InputException("the demo's model and pictures are not in " + folder + "; start it as bin/deft in the repository");
    }
    return folder;
  }

  private static Set<String> outputs() {
    Set<String> names = new LinkedHashSet<>(List.of(Demo.REPORT, Demo.PLOT, Demo.BEFORE));
    for (Method method : Demo.METHODS) {
      names.add(method.label());
      names.add(Demo.after(method));
    }
    return names;
  }

  @Override
  int run(Console console) throws IOException {
    try (OutputFolder folder = OutputFolder.open(out)) {
      boolean finished = new Demo(shipped(), folder.path(), steps, seed).run(console);
      if (!finished) {
        return ExitStatus.INTERRUPTED;
      }
      folder.publish();
    }
    Map<String, Object> document = new LinkedHashMap<>();
    List<String> files = outputs().stream().map(name -> out.resolve(name).toString()).toList();
    document.put("out", out.toString());
    document.put("files", files);
    console.document(Json.format(document));
    console.result("The demo's files:");
    files.forEach(file -> console.result("  " + file));
    console.result("Open " + out.resolve(Demo.REPORT) + " to see them side by side.");
    return ExitStatus.OK;
  }
}
