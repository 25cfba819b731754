package org.deft4j.deft.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.deft4j.deft.AdapterFormat;
import org.deft4j.deft.InputException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code deft convert}. */
@Command(name = "convert", sortOptions = false, usageHelpWidth = 110,
    description = {"Writes an adapter in another layout, or a model in the layout of its kind and another type.",
        "A DEFT or PaRa becomes a LoRA for tools that know no other; with --tuned, the difference of two models becomes one."},
    footer = {"", "Example: deft convert --model models/sdxl --adapter runs/dog --to kohya --out dog.safetensors"})
final class ConvertCommand extends Subcommand {
  @Option(names = "--model", paramLabel = "PATH", description = "The model that the adapter belongs to, or that is converted.")
  String model;

  @Option(names = "--weights", paramLabel = "TYPE",
      description = "Convert a model's matrices to this type: ${COMPLETION-CANDIDATES}. Default: as stored.",
      completionCandidates = WeightTypes.class)
  String weights;

  @Mixin
  AdapterOptions adapters = new AdapterOptions();

  @Mixin
  OutputOptions output = new OutputOptions();

  @Option(names = "--tuned", paramLabel = "PATH",
      description = "A model made from --model: extract what was changed, in its text encoders too, as a LoRA of --rank.")
  String tuned;

  @Option(names = "--targets", split = ",", paramLabel = "SUFFIX",
      description = "With --tuned: the layers to extract, by the ends of their names, or all-linear; default: all that differ.")
  List<String> targets;

  @Override
  void check(List<String> problems) {
    Checks.model(problems, model);
    WeightTypes.check(problems, weights);
    adapters.check(problems);
    if (tuned != null) {
      if (!adapters.adapters.isEmpty()) {
        problems.add("--tuned and --adapter are two sources of one adapter; give one of them");
      }
      if (output.rank == null) {
        problems.add("--rank is missing: with --tuned, the rank of the LoRA");
      }
    } else if (targets != null) {
      problems.add("--targets goes with --tuned: the layers to extract; an adapter keeps all that it has");
    }
    if (adapters.adapters.size() > 1) {
      problems.add("convert takes one --adapter; merge makes one of several");
    }
    if (adapters.adapters.isEmpty()) {
      adapters.requireNone(problems);
    }
    output.check(problems, convertsModel());
  }

  private boolean convertsModel() {
    return adapters.adapters.isEmpty() && tuned == null;
  }

  @Override
  int run(Console console) throws Exception {
    Conversion conversion = new Conversion(ModelArgument.of(model, weights), adapters.arguments(), output, console);
    if (tuned != null) {
      return conversion.extract(ModelArgument.of(tuned, weights), targets);
    }
    return convertsModel() ? conversion.model() : conversion.adapter();
  }

  /** Where to write what: shared with {@code merge}. */
  static final class OutputOptions {
    private static final List<String> TELLING = Arrays.stream(AdapterFormat.values()).filter(AdapterFormat::hasMetadata)
        .map(AdapterFormat::label).toList();

    @Option(names = "--to", paramLabel = "FORMAT",
        description = "An adapter's layout: peft, diffusers, diffusers-older, kohya, kohya-sgm, kohya-diffusers, authors, authors-sdxl.")
    String format;

    @Option(names = "--dtype", paramLabel = "TYPE",
        description = "An adapter's numbers: f32, f16 or bf16. Default: as its file has them, and f32 for a LoRA that is made.")
    String type;

    @Option(names = "--rank", paramLabel = "R", description = "Make a LoRA of at most this rank, the nearest there is.")
    Integer rank;

    @Option(names = "--redact", description = "Leave out what an adapter's metadata tells of the disk it was trained on.")
    boolean redact;

    @Option(names = "--out", paramLabel = "PATH", description = "Where it goes: a file or a folder, as the layout is.")
    Path out;

    private void requireEnding(AdapterFormat chosen) {
      if (out != null && !out.toString().endsWith(chosen.ending())) {
        throw new InputException("--out: " + out + ": the name must end in " + chosen.ending() + ", by which readers know the file");
      }
      if (out != null && !chosen.isFolder() && Files.isDirectory(out)) {
        throw new InputException("--out: " + out + " is a folder; " + chosen.label() + " is a file");
      }
    }

    void check(List<String> problems, boolean writesModel) {
      if (out == null) {
        problems.add("--out is missing: where the result goes");
      }
      if (writesModel && format != null) {
        problems.add("--to is the layout of an adapter; a model is written in the layout of its kind");
      }
      if (!writesModel && format == null) {
        problems.add("--to is missing: one of " + String.join(", ", AdapterFormat.labels()));
      }
      if (format != null) {
        collect(problems, () -> requireEnding(AdapterFormat.named(format)));
      }
      if (writesModel && type != null) {
        problems.add("--dtype is that of an adapter's numbers; --weights is that of a model's");
      }
      if (writesModel && rank != null) {
        problems.add("--rank is that of an adapter; --to says in which layout");
      }
      if (redact && !TELLING.contains(format)) {
        problems.add("--redact is for files with metadata of their own: " + String.join(", ", TELLING));
      }
      if (type != null && !WeightTypes.NAMES.contains(type)) {
        problems.add("--dtype: '" + type + "' is unknown; there are " + String.join(", ", WeightTypes.NAMES));
      }
      if (rank != null) {
        Checks.atLeast(problems, "--rank", rank, 1);
      }
    }
  }
}
