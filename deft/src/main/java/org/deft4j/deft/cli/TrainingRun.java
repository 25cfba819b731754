package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.LossLog;
import org.deft4j.deft.OutputFolder;
import org.deft4j.deft.PeftFolder;
import org.deft4j.deft.Trainer;
import org.deft4j.deft.TrainingOptions;
import org.deft4j.deft.TrainingState;
import org.deft4j.deft.cli.MemoryCheck.Remedy;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;

/**
 * One training: reads and checks everything, encodes the pictures, trains, and writes the folder whole. What it writes
 * depends on the model, the pictures and the options alone: no time, no path, no name of the machine is in it.
 */
final class TrainingRun {
  /** What was asked, and what came of it. */
  static final String RUN = "run.json";

  private static final String TABLE = "losses.csv";
  private static final String PLOT = "loss.png";
  private static final int RECENT = 20;

  /** The folders that a run may leave: an adapter's for each of several models, or the model. */
  static final Set<String> FOLDERS = Set.of("unet", "text_encoder", "text_encoder_2", ModelLearner.FOLDER);

  /** All that it may leave. */
  static final Set<String> FILES = Stream.concat(FOLDERS.stream(), Stream.of(PeftFolder.CONFIG, PeftFolder.WEIGHTS, RUN, TABLE, PLOT))
      .collect(Collectors.toUnmodifiableSet());

  private final ModelArgument modelArgument;
  private final TrainingRequest request;
  private final AdapterConfig config;
  private final TrainingOptions options;
  private final long seed;
  private final Path out;
  private final LossLog log = new LossLog();
  private final RunCheckpoints checkpoints;
  private List<String> files = List.of();

  /** One that keeps no checkpoints. */
  TrainingRun(ModelArgument modelArgument, TrainingRequest request, AdapterConfig config, TrainingOptions options, long seed,
      Path out) {
    this(modelArgument, request, config, options, seed, out, RunCheckpoints.none());
  }

  /** {@code config} goes for the layers that {@code request} or the model names; null: the whole denoiser is trained. */
  TrainingRun(ModelArgument modelArgument, TrainingRequest request, AdapterConfig config, TrainingOptions options, long seed,
      Path out, RunCheckpoints checkpoints) {
    this.modelArgument = modelArgument;
    this.request = request;
    this.config = config;
    this.options = options;
    this.seed = seed;
    this.out = out;
    this.checkpoints = checkpoints;
  }

  /** Trains and writes; returns the exit status. */
  int run(Console console, Activity activity, Interruption interruption) throws IOException {
    long started = System.nanoTime();
    try (DiffusionModel model = modelArgument.open(); RunCheckpoints _ = checkpoints) {
      TrainingJob job = TrainingJob.of(model, request);
      begin(job);
      activity.begin(Phase.ESTIMATING, "");
      MemoryCheck check = check(job, new Counts());
      check.require(() -> remedies(job));
      checkpoints.open(console);
      activity.begin(Phase.LOADING, "");
      console.message(check.announcement());
      long[] done = new long[1];
      activity.named(() -> check.with(() -> work(job, options, activity, new Course() {
        private long since = System.nanoTime();

        @Override
        public void encoded(int count) {
          console.progress("encoding pictures", count, job.pictures(), "", since(since));
        }

        @Override
        public void starts(Learner learner, Trainer trainer) {
          console.message("training " + learner.words() + " on " + job.data());
          checkpoints.attach(trainer, log, state -> save(console, activity, state, job, learner));
          since = System.nanoTime();
          interruption.setSaves(true);
        }

        @Override
        public void step(Trainer.Step step) {
          log.done(step);
          console.progress("step", checkpoints.before(), step.number(), options.steps(), String.format(Locale.ROOT, "loss %.4f",
              log.recent(RECENT)), since(since));
        }

        @Override
        public boolean getAsBoolean() {
          return interruption.getAsBoolean();
        }

        @Override
        public void trained(Learner learner, long steps) throws IOException {
          done[0] = steps;
          activity.begin(Phase.WRITING, out.toString());
          try (OutputFolder folder = OutputFolder.open(out)) {
            write(console, folder, job, learner);
            checkpoints.publish(folder);
          }
          checkpoints.ends(steps < options.steps());
          interruption.setSaves(false);
        }
      })));
      report(console, done[0], since(started));
      checkpoints.advise(console, done[0] < options.steps());
      return done[0] < options.steps() ? ExitStatus.INTERRUPTED : ExitStatus.OK;
    }
  }

  /** Prints what {@link #run} would do, and what memory it would take; returns the exit status. */
  int plan(Console console, Activity activity) throws IOException {
    activity.begin(Phase.ESTIMATING, "");
    try (DiffusionModel model = modelArgument.open()) {
      TrainingJob job = TrainingJob.of(model, request);
      begin(job);
      Counts counts = new Counts();
      MemoryCheck check = check(job, counts);
      Map<String, Object> run = settings(counts.learner, job);
      run.putAll(job.counts());
      run.put("checkpointing", options.checkpointing());
      run.put("offload", modelArgument.offload());
      return PlanReport.print(console, model, run, check);
    }
  }

  private void begin(TrainingJob job) throws IOException {
    if (checkpoints.areKept()) {
      checkpoints.begin(TrainingSettings.of(modelArgument, job, request, config, options, seed));
    }
  }

  /** Writes a checkpoint; the run goes on where the disk has no room for it. */
  private void save(Console console, Activity activity, TrainingState state, TrainingJob job, Learner learner) {
    String doing = activity.now();
    activity.begin(Phase.SAVING, "step " + state.step());
    checkpoints.write(console, state, folder -> {
      learner.write(folder);
      Json.write(folder.resolve(RUN), description(job, learner));
      log.writeTable(folder.resolve(TABLE));
    });
    activity.goOn(doing);
  }

  /** For each step the mean loss of the last {@code window} ones. */
  double[] losses(int window) {
    return log.means(window);
  }

  // -------------------------------------------------------------------------------------------------------- memory

  /** Steps that show all a run needs: the first makes the optimizer's state, the second runs beside it. */
  private static final int REHEARSED_STEPS = 2;

  /** What a rehearsal counts on its way. */
  private final class Counts implements Course {
    private Map<String, Object> learner;
    private Activity activity;

    @Override
    public void starts(Learner started, Trainer trainer) {
      learner = started.description();
      if (checkpoints.areKept() && config == null) {
        trainer.saving(1, state -> {
          activity.begin(Phase.SAVING, "");
          rehearseWriting(started);
          activity.begin(Phase.TRAINING, "");
        });
      }
    }

    private static void rehearseWriting(Learner started) {
      try {
        started.rehearseWriting();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private MemoryCheck check(TrainingJob job, Counts counts) throws IOException {
    return MemoryCheck.of(MemoryPlan.of(job.model(), rehearsal(job, options, counts), modelArgument.offload()));
  }

  /** The run with few steps, which are not written. */
  private MemoryPlan.Run rehearsal(TrainingJob job, TrainingOptions chosen, Counts counts) {
    TrainingOptions few = chosen.shortened(REHEARSED_STEPS);
    return activity -> {
      counts.activity = activity;
      work(job, few, activity, counts);
    };
  }

  private List<Remedy> remedies(TrainingJob job) {
    List<Remedy> remedies = new ArrayList<>();
    if (!options.checkpointing()) {
      remedies.add(remedy("--checkpointing", job, options.with(options.batch(), true)));
    }
    if (options.batch() > 1) {
      remedies.add(remedy("--batch 1", job, options.with(1, options.checkpointing())));
    }
    job.lighter().forEach((option, lighter) -> remedies.add(remedy(option, lighter, options)));
    modelArgument.inHalf().ifPresent(half -> remedies.add(remedy(ModelArgument.HALF, TrainingJob.of(half, request), options)));
    if (modelArgument.canOffload() && config != null) {
      remedies.add(new Remedy(OffloadOption.NAME, job.model(), rehearsal(job, options, new Counts()), true));
    }
    return remedies;
  }

  private Remedy remedy(String option, TrainingJob job, TrainingOptions chosen) {
    return new Remedy(option, job.model(), rehearsal(job, chosen, new Counts()), modelArgument.offload());
  }

  // ---------------------------------------------------------------------------------------------------------- work

  /** Follows a run, and may end it. */
  interface Course extends BooleanSupplier {
    /** So many pictures are encoded. */
    default void encoded(int count) {}

    /** Training begins. */
    default void starts(Learner learner, Trainer trainer) {}

    /** A step was done. */
    default void step(Trainer.Step step) {}

    /** Training is over, after so many steps. */
    default void trained(Learner learner, long steps) throws IOException {}

    /** Whether to end after this step. */
    @Override
    default boolean getAsBoolean() {
      return false;
    }
  }

  /** Loads, encodes and trains; the model has no weights before and after. */
  private void work(TrainingJob job, TrainingOptions chosen, Activity activity, Course course) throws IOException {
    DiffusionModel model = job.model();
    TorchRandom random = new TorchRandom(seed);
    try {
      try (TrainingJob.Prepared data = prepare(job, activity, course); Learner learner = learner(model, random, activity)) {
        Trainer trainer = new Trainer(data.objective(), learner.trainable(), chosen, random);
        course.starts(learner, trainer);
        activity.begin(Phase.TRAINING, log.steps().size() + 1L, chosen.steps());
        long done = trainer.run(step -> {
          course.step(step);
          if (step.number() < chosen.steps()) {
            activity.begin(Phase.TRAINING, step.number() + 1, chosen.steps());
          }
        }, course);
        course.trained(learner, done);
      }
    } finally {
      model.close();
    }
  }

  private Learner learner(DiffusionModel model, TorchRandom random, Activity activity) {
    activity.begin(Phase.ADAPTING, "");
    return Learner.begin(model, config, request, random);
  }

  private static TrainingJob.Prepared prepare(TrainingJob job, Activity activity, Course course) {
    return job.prepare(part -> activity.begin(Phase.LOADING, part), done -> {
      if (done > 0) {
        course.encoded(done);
      }
      if (done < job.pictures()) {
        activity.begin(Phase.ENCODING, "picture " + (done + 1) + " of " + job.pictures());
      }
    });
  }

  private static Duration since(long start) {
    return Duration.ofNanos(System.nanoTime() - start);
  }

  private void write(Console console, OutputFolder folder, TrainingJob job, Learner learner) throws IOException {
    learner.write(folder.path());
    files = Stream.concat(learner.files().stream(), Stream.of(RUN, TABLE, PLOT)).sorted().toList();
    Json.write(folder.path().resolve(RUN), description(job, learner));
    log.writeTable(folder.path().resolve(TABLE));
    try {
      log.writePlot(folder.path().resolve(PLOT), config == null ? Learner.FULL : config.method().label() + ", rank " + config.rank());
    } catch (IOException e) {
      console.message(e.getMessage() + "; the losses are in " + TABLE);
    }
  }

  private Map<String, Object> settings(Map<String, Object> learner, TrainingJob job) {
    Map<String, Object> run = new LinkedHashMap<>();
    run.put("weights", modelArgument.weights() == null ? null : modelArgument.weights().name().toLowerCase(Locale.ROOT));
    run.putAll(learner);
    run.putAll(job.description());
    run.put("steps", options.steps());
    run.put("lr", options.learningRate());
    run.put("projection_lr", options.projectionFactor());
    run.put("beta2", options.beta2());
    run.put("weight_decay", options.weightDecay());
    run.put("clip", options.clip());
    run.put("schedule", options.schedule());
    run.put("warmup", options.warmup());
    run.put("batch", options.batch());
    run.put("accumulate", options.accumulate());
    run.put("seed", seed);
    return run;
  }

  private Map<String, Object> description(TrainingJob job, Learner learner) {
    Map<String, Object> run = new LinkedHashMap<>();
    run.put("model", job.model().name());
    run.putAll(settings(learner.description(), job));
    run.put("steps", log.steps().size());
    run.put("steps_asked", options.steps());
    run.put("first_loss", log.steps().getFirst().loss());
    run.put("recent_loss", log.recent(RECENT));
    return run;
  }

  private void report(Console console, long done, Duration took) {
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("out", out.toString());
    document.put("steps", done);
    document.put("interrupted", done < options.steps());
    if (done < options.steps()) {
      document.put("checkpoint", checkpoints.newest().map(Path::toString).orElse(null));
    }
    document.put("seed", seed);
    document.put("first_loss", log.steps().getFirst().loss());
    document.put("recent_loss", log.recent(RECENT));
    document.put("seconds", took.toMillis() / 1e3);
    document.put("files", files);
    console.document(Json.format(document));
    console.result(String.format(Locale.ROOT, "%s: %d steps in %s, loss %.4f at first, %.4f over the last %d", out, done,
        Console.duration(took.toNanos() / 1e9), log.steps().getFirst().loss(), log.recent(RECENT),
        Math.min(RECENT, log.steps().size())));
  }
}
