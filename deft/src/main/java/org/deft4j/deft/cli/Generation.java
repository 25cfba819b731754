package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.PipelineAdapter;
import org.deft4j.deft.cli.MemoryCheck.Remedy;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PngWriter;
import org.deft4j.tensor.Scope;
import org.deft4j.weights.Json;

/** One call of {@code generate}: loads the model and its adapters, samples, writes the pictures. */
record Generation(ModelArgument modelArgument, AdapterArguments adapters, PictureRequest request, long seed, int count,
    Path out) {

  /** Steps that show all a run needs: the second has what multistep methods remember. */
  private static final int REHEARSED_STEPS = 2;

  /** Takes what is made, and what there is to say. */
  private interface Receiver {
    void notice(String sentence);

    void step(int step, int steps, Duration elapsed);

    void made(long pictureSeed, Picture picture, Duration took) throws IOException;
  }

  /** Makes the pictures; returns the exit status. */
  int run(Console console, Activity activity) throws IOException {
    try (DiffusionModel model = modelArgument.open()) {
      PictureMaker maker = PictureMaker.of(model, request);
      activity.begin(Phase.ESTIMATING, "");
      MemoryCheck check = check(maker);
      check.require(() -> remedies(maker));
      activity.begin(Phase.LOADING, "");
      console.message(check.announcement());
      List<Map<String, Object>> pictures = new ArrayList<>();
      activity.named(() -> check.with(() -> make(maker, count, activity, new Receiver() {
        @Override
        public void notice(String sentence) {
          console.message(sentence);
        }

        @Override
        public void step(int step, int steps, Duration elapsed) {
          console.progress("step", step, steps, "", elapsed);
        }

        @Override
        public void made(long pictureSeed, Picture picture, Duration took) throws IOException {
          pictures.add(write(console, maker.text(pictureSeed, adapters), pictureSeed, picture, took));
        }
      })));
      Map<String, Object> document = new LinkedHashMap<>();
      document.put("pictures", pictures);
      console.document(Json.format(document));
      return ExitStatus.OK;
    }
  }

  /** Prints what {@link #run} would do, and what memory it would take; returns the exit status. */
  int plan(Console console, Activity activity) throws IOException {
    activity.begin(Phase.ESTIMATING, "");
    try (DiffusionModel model = modelArgument.open()) {
      PictureMaker maker = PictureMaker.of(model, request);
      MemoryCheck check = check(maker);
      Map<String, Object> run = new LinkedHashMap<>();
      run.put("adapters", adapters.labels());
      adapters.composition().ifPresent(how -> run.put("compose", how));
      run.putAll(maker.description());
      run.put("seed", seed);
      run.put("pictures", count);
      return PlanReport.print(console, model, run, check);
    }
  }

  // -------------------------------------------------------------------------------------------------------- memory

  private MemoryCheck check(PictureMaker maker) throws IOException {
    return MemoryCheck.of(MemoryPlan.of(maker.model(), rehearsal(maker), modelArgument.offload()));
  }

  /** The run with one picture of few steps, which is not written. */
  private MemoryPlan.Run rehearsal(PictureMaker maker) {
    PictureMaker few = maker.withSteps(Math.min(REHEARSED_STEPS, maker.steps()));
    return activity -> make(few, 1, activity, new Receiver() {
      @Override
      public void notice(String sentence) {}

      @Override
      public void step(int step, int all, Duration elapsed) {}

      @Override
      public void made(long pictureSeed, Picture picture, Duration took) {}
    });
  }

  private List<Remedy> remedies(PictureMaker maker) {
    List<Remedy> remedies = new ArrayList<>();
    boolean offload = modelArgument.offload();
    maker.lighter().forEach((option, lighter) -> remedies.add(new Remedy(option, lighter.model(), rehearsal(lighter), offload)));
    modelArgument.inHalf().ifPresent(half -> remedies.add(new Remedy(ModelArgument.HALF, half,
        rehearsal(PictureMaker.of(half, request)), offload)));
    if (modelArgument.canOffload()) {
      remedies.add(new Remedy(OffloadOption.NAME, maker.model(), rehearsal(maker), true));
    }
    return remedies;
  }

  // -------------------------------------------------------------------------------------------------------- pictures

  /** Loads, samples and hands over the pictures; the model has no weights before and after. */
  private void make(PictureMaker maker, int pictures, Activity activity, Receiver receiver) throws IOException {
    DiffusionModel model = maker.model();
    List<PipelineAdapter> attached = List.of();
    try {
      model.loadWeights(part -> activity.begin(Phase.LOADING, part));
      activity.begin(Phase.ADAPTING, "");
      attached = adapters.attach(model, receiver::notice);
      activity.begin(Phase.PROMPTING, "");
      try (Scope _ = Scope.open()) {
        PictureMaker.Sampling sampling = maker.start();
        for (int i = 0; i < pictures; i++) {
          long started = System.nanoTime();
          activity.begin(Phase.SAMPLING, 1, maker.steps());
          Picture picture = sample(sampling, seed + i, activity, (step, all) -> receiver.step(step, all,
              Duration.ofNanos(System.nanoTime() - started)));
          activity.begin(Phase.WRITING, file(seed + i).toString());
          receiver.made(seed + i, picture, Duration.ofNanos(System.nanoTime() - started));
        }
      }
    } finally {
      attached.forEach(PipelineAdapter::close);
      model.close();
    }
  }

  private static Picture sample(PictureMaker.Sampling sampling, long pictureSeed, Activity activity,
      PictureMaker.Progress progress) {
    try (Scope _ = Scope.open()) {
      return sampling.picture(pictureSeed, (step, all) -> {
        progress.done(step, all);
        if (step < all) {
          activity.begin(Phase.SAMPLING, step + 1, all);
        } else {
          activity.begin(Phase.DECODING, "");
        }
      });
    }
  }

  private Map<String, Object> write(Console console, PictureText text, long pictureSeed, Picture picture, Duration took)
      throws IOException {
    Path file = file(pictureSeed);
    if (file.toAbsolutePath().getParent() != null) {
      Files.createDirectories(file.toAbsolutePath().getParent());
    }
    PngWriter.write(file, picture, text.chunks());
    console.result(file + ": " + picture.width() + " x " + picture.height() + ", seed " + pictureSeed + ", "
        + Console.duration(took.toNanos() / 1e9));
    Map<String, Object> made = new LinkedHashMap<>();
    made.put("file", file.toString());
    made.putAll(text.fields());
    return made;
  }

  /** {@code --out}, with the seed at the end of its name where there are several. */
  private Path file(long pictureSeed) {
    if (count == 1) {
      return out;
    }
    String name = out.getFileName().toString();
    return out.resolveSibling(name.substring(0, name.length() - ".png".length()) + "-" + pictureSeed + ".png");
  }
}
