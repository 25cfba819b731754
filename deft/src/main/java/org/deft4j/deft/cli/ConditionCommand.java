package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.OutputFolder;
import org.deft4j.deft.data.RolePictures;
import org.deft4j.weights.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code deft records condition}. */
@Command(name = "condition", sortOptions = false, usageHelpWidth = 110,
    description = {"Computes edges of pictures, or damages them: for each condition a folder of its name, with a PNG for each picture.",
        "The canny condition of dog.jpg is canny/dog_canny.png."},
    footer = {"", "Example: deft records condition --pictures photos --compute canny,blur --seed 0 --out data/conditions"})
final class ConditionCommand extends Subcommand {
  /** The role of the pictures that were given. */
  private static final String GIVEN = "target";

  @Option(names = "--pictures", paramLabel = "FOLDER", description = "The pictures.")
  Path pictures;

  @Option(names = "--compute", split = ",", paramLabel = "NAME",
      description = "What to make of each: ${COMPLETION-CANDIDATES}.", completionCandidates = ConditionNames.class)
  List<String> compute = List.of();

  @Option(names = "--seed", paramLabel = "N", description = "Where random numbers start; default: drawn, and printed.")
  Long seed;

  @Option(names = "--out", paramLabel = "FOLDER", description = "Where the folders go, a new or empty one.")
  Path out;

  @Override
  void check(List<String> problems) {
    Checks.folder(problems, "--pictures", pictures, "the folder of pictures to start from");
    if (compute.isEmpty()) {
      problems.add("--compute is missing: one or more of " + String.join(", ", ConditionNames.NAMES));
    }
    ConditionNames.check(problems, compute);
    Checks.newFolder(problems, out, "the folder that the pictures go to");
  }

  @Override
  int run(Console console) throws IOException {
    RolePictures given = RolePictures.of(GIVEN, pictures);
    int count = given.samples(List.of(GIVEN)).size();
    long start = CommonOptions.seed(seed, console);
    try (OutputFolder folder = OutputFolder.open(out)) {
      ConditionNames.add(console, given, compute, GIVEN, folder.path(), start);
      folder.publish();
    }
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("out", out.toString());
    document.put("pictures", count);
    document.put("conditions", compute);
    document.put("seed", start);
    console.document(Json.format(document));
    compute.forEach(name -> console.result("wrote " + Console.count(count, "picture") + " to " + out.resolve(name)));
    return ExitStatus.OK;
  }
}
