package org.deft4j.deft.cli;

import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code deft merge}. */
@Command(name = "merge", sortOptions = false, usageHelpWidth = 110,
    description = {"Folds adapters into a model's weights and writes the model, in the layout of its kind;",
        "or, with --to, folds several adapters into one LoRA."},
    footer = {"", "Example: deft merge --model models/sdxl --adapter runs/dog --adapter style.safetensors:0.6 --out models/sdxl-dog"})
final class MergeCommand extends Subcommand {
  @Option(names = "--model", paramLabel = "PATH",
      description = "A folder of diffusers or OmniGen, a single-file checkpoint, or org/name in the Hugging Face cache.")
  String model;

  @Option(names = "--weights", paramLabel = "TYPE",
      description = "Write matrices in this type: ${COMPLETION-CANDIDATES}. Default: as stored.", completionCandidates = WeightTypes.class)
  String weights;

  @Mixin
  AdapterOptions adapters = new AdapterOptions();

  @Mixin
  ConvertCommand.OutputOptions output = new ConvertCommand.OutputOptions();

  @Override
  void check(List<String> problems) {
    Checks.model(problems, model);
    WeightTypes.check(problems, weights);
    if (adapters.adapters.isEmpty()) {
      problems.add("--adapter is missing: what to merge");
    }
    adapters.check(problems);
    output.check(problems, output.format == null);
  }

  @Override
  int run(Console console) throws Exception {
    Conversion conversion = new Conversion(ModelArgument.of(model, weights), adapters.arguments(), output, console);
    return output.format == null ? conversion.model() : conversion.fold();
  }
}
