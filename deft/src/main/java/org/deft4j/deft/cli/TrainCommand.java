package org.deft4j.deft.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterExtras;
import org.deft4j.deft.Decomposition;
import org.deft4j.deft.Dropout;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Method;
import org.deft4j.deft.OutputFolder;
import org.deft4j.deft.Start;
import org.deft4j.deft.TrainingOptions;
import org.deft4j.deft.Truncation;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code deft train}. */
@Command(name = "train", sortOptions = false, usageHelpWidth = 110,
    description = "Trains an adapter of a model on a folder of pictures, and writes it as PEFT does.",
    footer = {"", "Example: deft train --model models/sdxl --data photos/dog --prompt \"a photo of sks dog\" --method deft \\",
        "           --rank 8 --steps 500 --out runs/dog"})
final class TrainCommand extends Subcommand {
  @Option(names = "--config", paramLabel = "FILE",
      description = "Take options from a JSON file, {\"rank\": 8, ...}; those given here win.")
  Path config;

  @Option(names = "--preset", paramLabel = "NAME",
      description = "Start from the settings of a published recipe: omnigen-deft, omnigen-para or omnigen-lora (the DEFT authors' for "
          + "OmniGen); what --config and the command line say wins.")
  String preset;

  @Option(names = "--model", paramLabel = "PATH",
      description = "A folder of diffusers or OmniGen, a single-file checkpoint, or org/name in the Hugging Face cache.")
  String model;

  @Option(names = "--weights", paramLabel = "TYPE",
      description = "Hold matrices in this type, converted while loading: ${COMPLETION-CANDIDATES}. Default: as stored.",
      completionCandidates = WeightTypes.class)
  String weights;

  @Option(names = "--data", split = ConfigFile.BETWEEN, hideParamSyntax = true, paramLabel = "PATH",
      description = "A folder of pictures to train on, the caption of 01.jpg in 01.txt beside it, or else --prompt; or a file of JSON "
          + "records with instruction, input_images and output_image. May be given several times; in --config a list.")
  List<Path> data = List.of();

  @Option(names = "--repeats", split = ",", paramLabel = "N",
      description = "How often the examples of each --data come in one pass through all; default: once.")
  List<Integer> repeats = List.of();

  @Option(names = "--image-root", paramLabel = "FOLDER",
      description = "Where the paths of pictures in files of records begin; default: each file's own folder.")
  Path imageRoot;

  @Option(names = "--prompt", paramLabel = "TEXT", description = "The caption of pictures that have none of their own.")
  String prompt;

  @Option(names = "--method", paramLabel = "NAME",
      description = "deft (default), para, lora, dora or lora-para; full: no adapter, all weights of the denoiser are trained, "
          + "in float32.")
  String method = "deft";

  @Option(names = "--decomposition", paramLabel = "NAME",
      description = "How P becomes a projection: relaxed (default for deft), relu, relu-relu, qr (default for para), "
          + "qr-frozen, svd, tsvd, lrmf, eigen, nmf, nmf-paper, qr+p, svd+p; see docs/projections.md.")
  String decomposition;

  @Option(names = "--variance", paramLabel = "SHARE",
      description = "Adaptive rank for svd, tsvd, lrmf and eigen: remove along the singular vectors that carry this share.")
  Double variance;

  @Option(names = "--rank", paramLabel = "R", description = "Width of the adapter's matrices; default ${DEFAULT-VALUE}.")
  int rank = 4;

  @Option(names = "--alpha", paramLabel = "A", description = "Scale what is injected by A / R; default: by 1.")
  Double alpha;

  @Option(names = "--init", paramLabel = "START",
      description = "identity (default): start as the model is, as PEFT does; random: at a moderate size; official: as the "
          + "authors' code does.")
  String init = "identity";

  @Option(names = "--dropout", paramLabel = "P", description = "Drop this share of the input of what is injected or, by para, removed; default 0.")
  double dropout;

  @Option(names = "--layer-dropout", paramLabel = "P",
      description = "Drop this share of the input of the whole adapted layer, as the DEFT authors do; default 0.")
  double layerDropout;

  @Option(names = "--gate", description = "deft, lora, lora-para: multiply what is injected by the sigmoid of a trained number.")
  boolean gate;

  @Option(names = "--sparsity", paramLabel = "SHARE", description = "Hold this share of P's elements at 0; default 0.")
  double sparsity;

  @Option(names = "--rslora", description = "LoRA and DoRA: scale by A / sqrt(R) instead of A / R.")
  boolean rankStabilized;

  @Option(names = "--targets", split = ",", paramLabel = "SUFFIX",
      description = "The layers to adapt, by the ends of their names; default: the "
          + "attention projections (to_q, to_k, to_v, to_out.0; OmniGen qkv_proj, o_proj).")
  List<String> targets;

  @Option(names = "--train-text-encoder",
      description = "Adapt the attention of the text encoders too (q_proj, k_proj, v_proj, out_proj), in a folder for each model.")
  boolean textEncoders;

  @Option(names = "--steps", paramLabel = "N", description = "Optimizer steps; default ${DEFAULT-VALUE}.")
  long steps = 500;

  @Option(names = "--lr", paramLabel = "RATE", description = "Learning rate; default ${DEFAULT-VALUE}.")
  double lr = 1e-4;

  @Option(names = "--projection-lr", paramLabel = "FACTOR",
      description = "DEFT's P learns at this times the learning rate; default ${DEFAULT-VALUE}.")
  double projectionLr = 0.1;

  @Option(names = "--beta2", paramLabel = "B",
      description = "How much of the mean squared gradient AdamW keeps per step; default ${DEFAULT-VALUE}.")
  double beta2 = 0.999;

  @Option(names = "--weight-decay", paramLabel = "W", description = "AdamW's weight decay; default ${DEFAULT-VALUE}.")
  double weightDecay = 1e-4;

  @Option(names = "--clip", paramLabel = "NORM", description = "Largest gradient norm, 0 for any; default ${DEFAULT-VALUE}.")
  double clip = 1;

  @Option(names = "--schedule", paramLabel = "NAME", description = "Of the learning rate: constant (default) or cosine.")
  String schedule = "constant";

  @Option(names = "--warmup", paramLabel = "N", description = "Steps over which the learning rate rises; default 0.")
  long warmup;

  @Option(names = "--batch", paramLabel = "N", description = "Pictures in a forward pass; default ${DEFAULT-VALUE}.")
  int batch = 1;

  @Option(names = "--accumulate", paramLabel = "N", description = "Forward passes in a step; default ${DEFAULT-VALUE}.")
  int accumulate = 1;

  @Option(names = "--checkpointing", description = "Use less memory and more time: recompute on the way back.")
  boolean checkpointing;

  @Option(names = "--size", paramLabel = "PIXELS",
      description = "Side of the square that pictures are brought to, a multiple of 8; OmniGen: their larger side at most, a multiple of "
          + "16. Default: the model's.")
  Integer size;

  @Mixin
  OffloadOption offload = new OffloadOption();

  @Mixin
  OmniGenTrainingOptions omniGen = new OmniGenTrainingOptions();

  @Option(names = "--seed", paramLabel = "N", description = "Where random numbers start; default: drawn, and printed.")
  Long seed;

  @Option(names = "--out", paramLabel = "FOLDER", description = "Where the adapter goes.")
  Path out;

  @Mixin
  CheckpointOptions checkpoints = new CheckpointOptions();

  @Option(names = "--dry-run",
      description = "Print what would be done and the memory it would take; load no weights, write nothing.")
  boolean dryRun;

  @Override
  void check(List<String> problems) {
    Checks.model(problems, model);
    WeightTypes.check(problems, weights);
    checkData(problems);
    omniGen.check(problems);
    offload.check(problems, common.device);
    if (size != null) {
      Checks.size(problems, "--size", size);
    }
    if (rankStabilized && (alpha == null || !Set.of("lora", "dora").contains(method))) {
      problems.add("--rslora scales by alpha / sqrt(rank): it needs --alpha, and --method lora or dora");
    }
    checkUseless(problems);
    collect(problems, () -> named("--init", () -> Start.named(init)));
    collect(problems, this::extras);
    collect(problems, () -> Optional.ofNullable(adapterConfig()).ifPresent(AdapterConfig::requireStart));
    collect(problems, this::options);
    if (out == null) {
      problems.add("--out is missing: the folder that the adapter goes to");
    } else {
      collect(problems, () -> OutputFolder.require(out, name -> TrainingRun.FILES.contains(name) || Checkpoint.isOurs(name)));
    }
    collect(problems, () -> checkpoints.check(problems, out));
  }

  /** What is asked of an adapter is not left out in silence where there is none, or none that it means anything to. */
  private void checkUseless(List<String> problems) {
    String given = "--method " + method;
    if (method.equals(Learner.FULL)) {
      Checks.takesNo(problems, given, "--targets", targets);
      Checks.takesNo(problems, given, "--decomposition", decomposition);
      Checks.takesNo(problems, given, "--train-text-encoder", textEncoders ? true : null);
      Checks.takesNo(problems, given, OffloadOption.NAME, offload.offload ? true : null);
      Checks.takesNo(problems, given, "--gate", gate ? true : null);
      Checks.takesNo(problems, given, "--sparsity", sparsity == 0 ? null : sparsity);
      Checks.takesNo(problems, given, "--dropout", dropout == 0 ? null : dropout);
      Checks.takesNo(problems, given, "--layer-dropout", layerDropout == 0 ? null : layerDropout);
    }
    if (Set.of(Learner.FULL, "lora", "dora").contains(method)) {
      Checks.takesNo(problems, given, "--variance", variance);
    }
    if (Set.of(Learner.FULL, "para").contains(method)) {
      Checks.takesNo(problems, given, "--alpha", alpha);
    }
  }

  private void checkData(List<String> problems) {
    if (data.isEmpty()) {
      problems.add("--data is missing: a folder of pictures, or a file of records");
    }
    data.stream().filter(path -> !Files.exists(path)).forEach(path -> problems.add("--data: " + path + " does not exist"));
    if (!repeats.isEmpty() && (repeats.size() != data.size() || repeats.stream().anyMatch(count -> count < 1))) {
      problems.add("--repeats " + repeats + ": one number for each --data is needed, at least 1; there are " + data.size());
    }
  }

  /** Null: no adapter. */
  private AdapterConfig adapterConfig() {
    if (method.equals(Learner.FULL)) {
      return null;
    }
    Method family = Method.named(method);
    AdapterConfig base = AdapterConfig.of(family, rank).with(named("--init", () -> Start.named(init))).with(extras())
        .withAlpha(rankStabilized && alpha != null ? (Double) (alpha * Math.sqrt(rank)) : alpha);
    Decomposition chosen = decomposition == null ? base.decomposition() : Decomposition.named(decomposition);
    if (chosen == null) {
      return base;
    }
    return base.with(variance == null ? chosen : named("--variance", () -> chosen.truncated(Truncation.variance(variance))));
  }

  private AdapterExtras extras() {
    Dropout injected = named("--dropout", () -> new Dropout(dropout, false));
    Dropout whole = named("--layer-dropout", () -> new Dropout(layerDropout, true));
    if (injected.probability() > 0 && whole.probability() > 0) {
      throw new InputException("--dropout and --layer-dropout drop the same input at two places; give one of them");
    }
    return new AdapterExtras(whole.probability() > 0 ? whole : injected, gate, sparsity);
  }

  /** The value of an option, whose name is put before whatever is wrong with it. */
  private static <T> T named(String option, Supplier<T> value) {
    try {
      return value.get();
    } catch (InputException e) {
      throw new InputException(e.problems().stream().map(problem -> option + ": " + problem).toList());
    }
  }

  private TrainingOptions options() {
    return new TrainingOptions(steps, lr, projectionLr, beta2, weightDecay, clip, schedule, warmup, batch, accumulate,
        checkpointing);
  }

  @Override
  int run(Console console) throws Exception {
    Checkpoint from = checkpoints.from(out);
    long start = seed == null && from != null ? TrainingSettings.seed(from) : CommonOptions.seed(seed, console);
    RunCheckpoints kept = new RunCheckpoints(out, checkpoints.every, from);
    TrainingRun run = new TrainingRun(ModelArgument.of(model, weights).with(offload), new TrainingRequest(data, repeats, imageRoot, prompt, size, targets,
        textEncoders, omniGen), adapterConfig(), options(), start, out, kept);
    Activity activity = new Activity();
    Interruption interruption = Interruption.install(console, activity);
    if (dryRun) {
      return run.plan(console, activity);
    }
    try {
      return run.run(console, activity, interruption);
    } catch (Throwable error) {
      if (!kept.hasBegun()) {
        throw error;
      }
      int status = Main.fail(error, System.err);
      kept.advise(console, true);
      return status;
    }
  }
}
