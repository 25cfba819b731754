package org.deft4j.deft.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.deft4j.deft.Nearest;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code deft generate}. */
@Command(name = "generate", sortOptions = false, usageHelpWidth = 110,
    description = "Makes pictures from text, as PNG with the settings written into them.",
    footer = {"", "Example: deft generate --model models/sdxl --adapter runs/dog --prompt \"a photo of sks dog on the beach\" \\",
        "           --steps 30 --seed 0 --out beach.png"})
final class GenerateCommand extends Subcommand {
  @Option(names = "--model", paramLabel = "PATH",
      description = "A folder of diffusers or OmniGen, a single-file checkpoint, or org/name in the Hugging Face cache.")
  String model;

  @Option(names = "--weights", paramLabel = "TYPE",
      description = "Hold matrices in this type, converted while loading: ${COMPLETION-CANDIDATES}. Default: as stored.",
      completionCandidates = WeightTypes.class)
  String weights;

  @Mixin
  AdapterOptions adapters = new AdapterOptions();

  @Option(names = "--prompt", paramLabel = "TEXT", description = "What the picture should show.")
  String prompt;

  @Option(names = "--negative", paramLabel = "TEXT", description = "What it should not show.")
  String negative;

  @Option(names = "--scheduler", paramLabel = "NAME",
      description = "How the noise is taken out; default: the model's own. There are ${COMPLETION-CANDIDATES}.",
      completionCandidates = SchedulerNames.class)
  String scheduler;

  @Option(names = "--steps", paramLabel = "N", description = "Steps; default 30, OmniGen 50.")
  Integer steps;

  @Option(names = "--guidance", paramLabel = "G",
      description = "How closely to follow the prompt; 1 or less: without the negative half. Default: the model's usual.")
  Double guidance;

  @Option(names = "--width", paramLabel = "PIXELS", description = "A multiple of 8, OmniGen 16; default: the model's.")
  Integer width;

  @Option(names = "--height", paramLabel = "PIXELS", description = "A multiple of 8, OmniGen 16; default: the model's.")
  Integer height;

  @Mixin
  OffloadOption offload = new OffloadOption();

  @Mixin
  OmniGenOptions omniGen = new OmniGenOptions();

  @Option(names = "--seed", paramLabel = "N", description = "Where random numbers start; default: drawn, and printed.")
  Long seed;

  @Option(names = "--count", paramLabel = "N",
      description = "How many pictures, with the seeds N, N+1, ...; their names end in the seed. Default 1.")
  int count = 1;

  @Option(names = "--out", paramLabel = "FILE", description = "Where the picture goes, a name in .png.")
  Path out;

  @Option(names = "--dry-run",
      description = "Print what would be done and the memory it would take; load no weights, write nothing.")
  boolean dryRun;

  @Override
  void check(List<String> problems) {
    Checks.model(problems, model);
    WeightTypes.check(problems, weights);
    adapters.check(problems);
    omniGen.check(problems);
    offload.check(problems, common.device);
    if (prompt == null) {
      problems.add("--prompt is missing: what the picture should show");
    }
    if (steps != null) {
      Checks.atLeast(problems, "--steps", steps, 1);
    }
    Checks.atLeast(problems, "--count", count, 1);
    if (width != null) {
      Checks.size(problems, "--width", width);
    }
    if (height != null) {
      Checks.size(problems, "--height", height);
    }
    if (guidance != null && !Double.isFinite(guidance)) {
      problems.add("--guidance " + guidance + ": a finite number is needed");
    }
    if (scheduler != null && !SchedulerNames.NAMES.contains(scheduler)) {
      problems.add("--scheduler: '" + scheduler + "' is unknown" + Nearest.hint(scheduler, SchedulerNames.NAMES)
          + "; there are " + String.join(", ", SchedulerNames.NAMES));
    }
    checkOut(problems);
  }

  private void checkOut(List<String> problems) {
    if (out == null) {
      problems.add("--out is missing: the PNG file that the picture goes to");
    } else if (!out.toString().toLowerCase(java.util.Locale.ROOT).endsWith(".png")) {
      problems.add("--out: " + out + ": the name must end in .png");
    } else if (Files.isDirectory(out)) {
      problems.add("--out: " + out + " is a folder");
    }
  }

  @Override
  int run(Console console) throws Exception {
    long first = CommonOptions.seed(seed, console);
    Activity activity = new Activity();
    Interruption.install(console, activity);
    PictureRequest request = new PictureRequest(prompt, negative, scheduler, steps, guidance, width, height, omniGen);
    Generation generation = new Generation(ModelArgument.of(model, weights).with(offload), adapters.arguments(), request, first, count, out);
    return dryRun ? generation.plan(console, activity) : generation.run(console, activity);
  }
}
